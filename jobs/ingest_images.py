"""The entry of `popspark ingest-images` for spark-submit."""

from popspark.cli import main

if __name__ == "__main__":
    main("ingest-images")
