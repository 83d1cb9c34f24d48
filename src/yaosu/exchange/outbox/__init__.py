"""What each movement owes to whom: connections, routing, deliveries and their life (R-X9)."""
