"""A file each: the kinds of export that can be read."""
