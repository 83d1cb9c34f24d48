"""国密: the Chinese national algorithms SM2, SM3 and SM4, as interfaces of 医保 and supervision use them.

SM3 and SM4 are those of `cryptography` (OpenSSL). SM2 follows GB/T 32918 on the curve arithmetic of `fastecdsa`;
docs/dependencies.md says why. Everything here is pure: no I/O, no state.
"""

from yaosu.gm.keys import KeyFormatError, private_key, public_key
from yaosu.gm.sm2 import (
    USER_ID,
    from_der,
    new_keys,
    public_of,
    sm2_decrypt,
    sm2_encrypt,
    sm2_sign,
    sm2_verify,
    to_der,
)
from yaosu.gm.symmetric import hmac_sm3, sm3, sm4_decrypt, sm4_encrypt

__all__ = [
    "USER_ID",
    "KeyFormatError",
    "from_der",
    "hmac_sm3",
    "new_keys",
    "private_key",
    "public_key",
    "public_of",
    "sm2_decrypt",
    "sm2_encrypt",
    "sm2_sign",
    "sm2_verify",
    "sm3",
    "sm4_decrypt",
    "sm4_encrypt",
    "to_der",
]
