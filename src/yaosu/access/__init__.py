"""Who may act, for which organisation, with which permission, and who sees what (design D10).

Doors: `service` (sign-in), `accounts` and `keys` (who may act), `audit` (what they did), `visibility` (what
they see), `scopes` (permissions as data), `middleware` (every request passes it), `types` (clean input).
"""
