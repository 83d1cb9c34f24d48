"""Leaves for the transparency log (design D9): what was submitted and what was judged, bound in one hash.

The leaf hash follows RFC 9162 §2.1.1: SHA-256 over a zero byte and the leaf's content. The log itself (signed
checkpoints, proofs) is built over these leaves in the order of bill ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def leaf_hash(parts: Iterable[bytes]) -> bytes:
    """SHA-256 over 0x00 and the parts, each with its length in front, so that no two lists share a hash."""
    digest = hashlib.sha256(b"\x00")
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
