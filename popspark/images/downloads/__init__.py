"""Images by URL: one download, politely, and all that posts name, in rounds."""
