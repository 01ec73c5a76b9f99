"""The entry of `popspark validate-export` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("validate-export")
