"""Arrow types: their written form, the source's notes kept beside them, exact conversion, digests."""
