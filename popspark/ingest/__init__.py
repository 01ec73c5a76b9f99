"""Origins: each file reads one kind of export into posts and rejects."""
