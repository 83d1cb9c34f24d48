"""Personal identities, encrypted at rest, and the rules of sales that name a person (R-C2, R-C4)."""
