"""Secrets and signatures of webhooks.

A secret is HMAC-SHA256 of the subscription's salt under the master secret, so the database alone signs nothing. A
delivery is signed over its time and its body: `v1=` HMAC-SHA256(secret, "<timestamp>.<body>") in hexadecimal. A
receiver checks the signature, refuses times older than a few minutes, and keeps event ids to know what it already had.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time

EVENT, KIND, TIMESTAMP, SIGNATURE = (
    "Yaosu-Event-Id",
    "Yaosu-Event-Kind",
    "Yaosu-Timestamp",
    "Yaosu-Signature",
)
"""Names of the headers."""

_PURPOSE = b"yaosu webhook v1\x00"


def new_salt() -> bytes:
    """Sixteen random bytes."""
    return os.urandom(16)


def secret_of(master: bytes, salt: bytes) -> str:
    """The subscription's secret as its owner got it: `whs_` and 43 characters."""
    digest = hmac.digest(master, _PURPOSE + salt, hashlib.sha256)
    return "whs_" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature header."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def headers(secret: str, event: object, kind: str, body: bytes, at: int | None = None) -> dict[str, str]:
    """The headers of a delivery that is sent now (`at`, Unix seconds)."""
    now = int(time.time()) if at is None else at
    return {
        "content-type": "application/json",
        "user-agent": "Yaosu-Webhook/1",
        EVENT: str(event),
        KIND: kind,
        TIMESTAMP: str(now),
        SIGNATURE: sign(secret, now, body),
    }


def fits(secret: str, timestamp: int, body: bytes, signature: str) -> bool:
    """Whether a delivery is genuine; constant time."""
    return hmac.compare_digest(sign(secret, timestamp, body), signature)
