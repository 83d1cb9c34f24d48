"""Exchange with other systems: one folder per counterpart, one outbox for what is owed to them (R-X9)."""
