"""Files to pixels: decoding and its limits, the index of a folder, downloads."""
