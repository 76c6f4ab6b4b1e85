"""PostgreSQL beside its peers: `python -m benchmarks.postgresql --help`."""
