"""A datastores driver in a package of its own: files in one SQLite database, behind a password."""
