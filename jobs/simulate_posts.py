"""The entry of `popspark simulate-posts` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("simulate-posts")
