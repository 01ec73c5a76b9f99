"""The entry of `popspark generate-pairs` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("generate-pairs")
