"""The entry of `popspark train-vscnn` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("train-vscnn")
