"""Registry: organisations, products and their ladders, linked codes, filings, the resolver, code lists."""
