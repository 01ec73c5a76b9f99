"""What Spark SQL knows of a post: social values, labels, splits, and the examples made of them."""
