"""A file each: every feature family, image in, values out."""
