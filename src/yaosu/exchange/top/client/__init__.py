"""The client of 码上放心: our bills for codes whose home it is, and what upstream sends (R-X9, R-B9)."""
