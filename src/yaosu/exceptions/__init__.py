"""异常协查: mismatches of deliveries settled between buyer and seller (R-B4, R-B5)."""
