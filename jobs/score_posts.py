"""The entry of `popspark score-posts` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("score-posts")
