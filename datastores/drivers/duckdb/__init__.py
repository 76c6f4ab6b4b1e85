"""A DuckDB database file as a store of tables."""
