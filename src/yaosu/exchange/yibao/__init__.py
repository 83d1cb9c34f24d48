"""医保: what a designated institution sends to the insurance bureau (R-C6, R-C7)."""
