"""Feature families read off their definitions line by line: slow; the truth of tests and the baseline of benches."""
