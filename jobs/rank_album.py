"""The entry of `popspark rank-album` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("rank-album")
