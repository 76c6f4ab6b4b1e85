"""Torture values through this library and its peers: `python -m benchmarks.postgresql.scorecard`."""
