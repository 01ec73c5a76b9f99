"""Posts with known effects."""
