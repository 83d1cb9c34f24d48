"""码上放心: its interface on our side (gateway) and ours on its side (client) (R-X10)."""
