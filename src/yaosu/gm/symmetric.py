"""SM3 (GB/T 32905), HMAC over it (GB/T 15852.2) and SM4 (GB/T 32907), all by OpenSSL."""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK_BITS = 128
BLOCK = BLOCK_BITS // 8


def sm3(data: bytes) -> bytes:
    """The 32-byte digest."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def hmac_sm3(key: bytes, data: bytes) -> bytes:
    """The 32-byte authentication code."""
    code = hmac.HMAC(key, hashes.SM3())
    code.update(data)
    return code.finalize()


def _cipher(key: bytes, mode: str, iv: bytes) -> Cipher[modes.ECB] | Cipher[modes.CBC]:
    if len(key) != BLOCK:
        raise ValueError("an SM4 key has 16 bytes")
    if mode == "ecb":
        # 医保 and supervision platforms prescribe it for messages whose key is fresh or whose text is signed
        return Cipher(algorithms.SM4(key), modes.ECB())  # noqa: S305
    if mode != "cbc":
        raise ValueError("the mode is ecb or cbc")
    if len(iv) != BLOCK:
        raise ValueError("CBC needs an initial value of 16 bytes")
    return Cipher(algorithms.SM4(key), modes.CBC(iv))


def sm4_encrypt(key: bytes, data: bytes, mode: Literal["ecb", "cbc"] = "ecb", iv: bytes = b"") -> bytes:
    """Ciphertext of `data` padded after PKCS#7. ValueError: a wrong key, mode or initial value."""
    encryptor = _cipher(key, mode, iv).encryptor()
    padder = padding.PKCS7(BLOCK_BITS).padder()
    return encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


def sm4_decrypt(key: bytes, data: bytes, mode: Literal["ecb", "cbc"] = "ecb", iv: bytes = b"") -> bytes:
    """The text without its padding. ValueError: a wrong key, a cut or changed ciphertext."""
    decryptor = _cipher(key, mode, iv).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    unpadder = padding.PKCS7(BLOCK_BITS).unpadder()
    return unpadder.update(padded) + unpadder.finalize()
