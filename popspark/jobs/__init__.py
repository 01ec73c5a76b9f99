"""A file each: the jobs, what each reads and writes, its settings, and a main that calls the rooms below."""
