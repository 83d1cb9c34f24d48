"""Signatures of the protocol: over all parameters but `sign` and files, sorted by name, name and value joined (§2.1).

md5 encloses the text in the secret, hmac is HMAC-MD5 and hmac-sha256 HMAC-SHA-256 under it; hexadecimal, upper case.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

METHODS = ("md5", "hmac", "hmac-sha256")


def text_of(params: Mapping[str, str], *, blanks: bool = True) -> str:
    """What is signed. `blanks`: whether parameters with empty values stand in it by their names."""
    names = sorted(params)
    return "".join(f"{k}{params[k]}" for k in names if k != "sign" and (blanks or params[k] != ""))


def sign(secret: str, method: str, text: bytes) -> str:
    """The signature of `text`. Raises ValueError for an unknown method."""
    key = secret.encode()
    if method == "md5":
        return hashlib.md5(key + text + key, usedforsecurity=False).hexdigest().upper()
    if method == "hmac":
        return hmac.digest(key, text, "md5").hex().upper()
    if method == "hmac-sha256":
        return hmac.digest(key, text, "sha256").hex().upper()
    raise ValueError(method)


def good(
    secrets: list[str], method: str, params: Mapping[str, str], charset: str = "utf-8", body: bytes = b""
) -> bool:
    """Whether `params["sign"]` is right under one of the secrets; constant time in the signature.

    `body`: what is signed behind the parameters (a batch of calls); empty for single calls.

    Published clients differ in two points, so both readings are tried: whether a parameter with an empty value is
    part of the text, and whether the text is in UTF-8 or in the charset of the request.
    """
    given = params.get("sign", "").strip().upper().encode()
    texts = [text_of(params)]
    if any(value == "" for value in params.values()):
        texts.append(text_of(params, blanks=False))
    for text in texts:
        for data in _encoded(text, charset):
            for secret in secrets:
                if hmac.compare_digest(sign(secret, method, data + body).encode(), given):
                    return True
    return False


def _encoded(text: str, charset: str) -> list[bytes]:
    data = [text.encode("utf-8", "surrogatepass")]
    if charset != "utf-8" and not text.isascii():
        data.append(text.encode(charset, "replace"))
    return data
