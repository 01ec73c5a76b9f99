"""The schema of every table, by subject; `popspark.storage.tables` lists them all."""
