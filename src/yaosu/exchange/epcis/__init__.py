"""EPCIS 2.0: capture and query as GS1 specifies."""
