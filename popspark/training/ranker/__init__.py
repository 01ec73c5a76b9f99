"""The siamese ranker: its pairs, its fit, its evaluation, its page."""
