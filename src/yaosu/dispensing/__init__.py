"""Sale and use: split packs and pools, real-name sales, narcotics to the person (R-C2, R-C4, R-C9)."""
