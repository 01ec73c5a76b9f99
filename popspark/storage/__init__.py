"""Tables: their schemas, how they are read and written, and the record of runs."""
