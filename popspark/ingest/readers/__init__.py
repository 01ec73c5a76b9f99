"""Files of text to records, for whatever origin reads them."""
