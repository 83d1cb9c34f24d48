"""A firm's own sandbox: a small world of organisations, products and goods to try an integration on (R-I1)."""
