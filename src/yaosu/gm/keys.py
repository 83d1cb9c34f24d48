"""Keys as platforms hand them out: hexadecimal or Base64, bare numbers or wrapped as PKCS#8 / SubjectPublicKeyInfo."""

from __future__ import annotations

import base64
import binascii

from yaosu.gm.sm2 import SIZE, on_curve, public_of

TEXT_MAX = 2048
_CURVE_OID = bytes.fromhex("06082a811ccf5501822d")
"""OBJECT IDENTIFIER 1.2.156.10197.1.301, the SM2 curve."""


class KeyFormatError(ValueError):
    """Not a key in any of the known forms. The text never repeats what was given."""


def _raw(text: str) -> bytes:
    lines = [line for line in text.strip().splitlines() if not line.startswith("-----")]
    packed = "".join("".join(lines).split())
    if not packed or len(packed) > TEXT_MAX or not packed.isascii():
        raise KeyFormatError("not a key")
    try:
        return bytes.fromhex(packed)
    except ValueError:
        pass
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        raise KeyFormatError("not a key") from None


def private_key(text: str) -> bytes:
    """The 32 bytes of a private key: bare, with a leading zero byte as Java writes it, SEC 1 or PKCS#8."""
    raw = _raw(text)
    found = b""
    if len(raw) == SIZE:
        found = raw
    elif len(raw) == SIZE + 1 and raw[0] == 0:
        found = raw[1:]
    elif raw[:1] == b"\x30":
        # ECPrivateKey: version 1, OCTET STRING of 32 bytes
        at = raw.find(b"\x02\x01\x01\x04\x20")
        found = raw[at + 5 : at + 5 + SIZE] if at >= 0 and (_CURVE_OID in raw or len(raw) < 60) else b""
    if len(found) != SIZE:
        raise KeyFormatError("not an SM2 private key")
    try:
        public_of(found)
    except ValueError:
        raise KeyFormatError("not an SM2 private key") from None
    return found


def public_key(text: str) -> bytes:
    """The 64 bytes x||y of a public key: bare, with 04, or SubjectPublicKeyInfo."""
    raw = _raw(text)
    if raw[:1] == b"\x30" and len(raw) > 2 * SIZE + 1 and _CURVE_OID in raw:
        raw = raw[-(2 * SIZE + 1) :]
    if len(raw) == 2 * SIZE + 1 and raw[0] == 4:
        raw = raw[1:]
    if len(raw) != 2 * SIZE:
        raise KeyFormatError("not an SM2 public key")
    if not on_curve(raw):
        raise KeyFormatError("not an SM2 public key")
    return raw
