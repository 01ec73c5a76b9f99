"""Jobs on tables between runs: what they were, and what is done with them."""
