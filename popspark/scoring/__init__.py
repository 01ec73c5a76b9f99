"""Posts to scores: inputs, scores, updates, the report, albums, and the functions for SQL."""
