"""医保, the bureau's side: collection, settlement check, duplicates, dossiers (R-C7, R-X11)."""
