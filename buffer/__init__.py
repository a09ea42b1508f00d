"""What the box remembers: one SQLite database, one writer, and nothing lost between two commits."""
