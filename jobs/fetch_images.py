"""The entry of `popspark fetch-images` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("fetch-images")
