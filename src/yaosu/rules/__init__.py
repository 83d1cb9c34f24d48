"""What is allowed: bill types, the state machine of units, and the judge. Pure: no I/O, replayable."""
