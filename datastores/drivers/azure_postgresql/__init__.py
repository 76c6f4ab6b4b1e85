"""Azure Database for PostgreSQL, and PostgreSQL anywhere else: rows through binary COPY."""
