"""Keys and ciphers of personal data. The keys derive from the master secret, which is not in the database (design §6).

HKDF-SHA-256 (RFC 5869) gives, each under a label of its own: one AES-256 key per generation (`people.cipher_key`)
for numbers, names and telephones; one HMAC key for the match; keys of sealed submissions, which also depend on the
salts of the persons in them and are therefore gone when a person is erased.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from yaosu.errors import YaosuError

NONCE = 12
SALT = 16


class Keeper:
    """Encrypts, decrypts and matches. Holds the master secret; never shows or logs anything of it."""

    __slots__ = ("_keys", "_master", "_match")

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise ValueError("the master secret has 32 bytes")
        self._master = master
        self._match = self._derive(b"yaosu people match 1")
        self._keys: dict[int, AESGCM] = {}

    def __repr__(self) -> str:
        return "Keeper(…)"

    def _derive(self, label: bytes, salt: bytes | None = None) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=salt, info=label).derive(self._master)

    def _aes(self, key_id: int) -> AESGCM:
        found = self._keys.get(key_id)
        if found is None:
            found = self._keys[key_id] = AESGCM(self._derive(f"yaosu people cipher {key_id}".encode()))
        return found

    def cipher(self, purpose: str) -> AESGCM:
        """A cipher of another room under a key of its own; what it closes, nothing here opens, and the reverse."""
        return AESGCM(self._derive(f"yaosu {purpose}".encode()))

    def match(self, text: str) -> bytes:
        """The keyed hash (HMAC-SHA-256) under which a person is found again.

        Its key has no generations: the hash of a number must stay what it is, or the same person would count as two.
        """
        return hmac.new(self._match, text.encode(), hashlib.sha256).digest()

    def close(self, key_id: int, data: bytes, bound: bytes) -> bytes:
        """`data` under generation `key_id`; opens only together with `bound`, so ciphers cannot change rows."""
        nonce = os.urandom(NONCE)
        return nonce + self._aes(key_id).encrypt(nonce, data, bound)

    def open(self, key_id: int, cipher: bytes, bound: bytes) -> bytes:
        """The text of `close`. Refused (`person_unreadable`) under another master secret or another row."""
        try:
            return self._aes(key_id).decrypt(cipher[:NONCE], cipher[NONCE:], bound)
        except InvalidTag:
            raise YaosuError("person_unreadable") from None

    def seal(self, salts: Sequence[bytes], data: bytes, bound: bytes) -> bytes:
        """`data` under a key that no longer exists once one of the salts is destroyed."""
        nonce = os.urandom(NONCE)
        return nonce + self._sealing(salts).encrypt(nonce, data, bound)

    def unseal(self, salts: Sequence[bytes], cipher: bytes, bound: bytes) -> bytes:
        """The text of `seal`; refused as `open` is."""
        try:
            return self._sealing(salts).decrypt(cipher[:NONCE], cipher[NONCE:], bound)
        except InvalidTag:
            raise YaosuError("person_unreadable") from None

    def _sealing(self, salts: Sequence[bytes]) -> AESGCM:
        if not salts:
            raise ValueError("a sealed submission names at least one person")
        return AESGCM(self._derive(b"yaosu people seal 1", b"".join(salts)))
