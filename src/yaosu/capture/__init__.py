"""Many codes in one picture: a photo of a case or a shelf is decoded to all codes in it (R-I2)."""
