"""异常协查: cases between buyer and seller for goods that do not match their data (R-B3, R-B4, R-B5)."""
