"""A store of files that lives as long as its driver: for tests, and to learn from."""
