"""popspark: popularity of image posts, scored in batches on Spark, and the training of the models that do it."""

__version__ = "0.1.0"
