"""Azure Blob storage, in accounts with a flat namespace."""
