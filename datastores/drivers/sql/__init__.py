"""What the SQL drivers share: quoting, parameters, filters, and the statements of each write mode."""
