"""国密: SM2 signatures and encryption, SM3 digests, SM4 ciphers, for the interfaces that demand them."""
