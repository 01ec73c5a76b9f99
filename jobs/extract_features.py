"""The entry of `popspark extract-features` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("extract-features")
