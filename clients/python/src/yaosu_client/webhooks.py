"""Reading what the server pushes: genuine, fresh, and each thing once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yaosu_client.errors import YaosuClientError

EVENT, KIND, TIMESTAMP, SIGNATURE = (
    "yaosu-event-id",
    "yaosu-event-kind",
    "yaosu-timestamp",
    "yaosu-signature",
)
FRESH_S = 300


class WebhookError(YaosuClientError):
    """Not from the server, or not fresh: answer 400 and do nothing."""


@dataclass(frozen=True, slots=True)
class Event:
    """A delivery. Keep `id`: the same one may come again, and is then to be answered with 200 and nothing more."""

    id: str
    kind: str
    body: Mapping[str, Any]


def read_webhook(
    secret: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    fresh_s: int = FRESH_S,
    now: float | None = None,
) -> Event:
    """Check signature and age of a delivery and read it. `body` are the bytes as received.

    While a secret is being renewed give both, the new one and the old one: what was signed with either is genuine.
    """
    given = {name.lower(): value for name, value in headers.items()}
    stamp = given.get(TIMESTAMP, "")
    if (
        not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16)
        or abs((now if now is not None else time.time()) - int(stamp)) > fresh_s
    ):
        raise WebhookError("the time of the delivery is missing or too old")
    signature = given.get(SIGNATURE, "").encode()
    secrets = [secret] if isinstance(secret, str) else list(secret)
    made = [_signed(one, stamp, body) for one in secrets if one]
    # every one is compared, so that the time taken does not tell which
    fits = [hmac.compare_digest(one, signature) for one in made]
    if not any(fits):
        raise WebhookError("the signature does not fit")
    try:
        said = json.loads(body)
    except ValueError as error:
        raise WebhookError("the body is no JSON") from error
    return Event(given.get(EVENT, ""), given.get(KIND, ""), said)


def _signed(secret: str, stamp: str, body: bytes) -> bytes:
    return (
        b"v1=" + hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest().encode()
    )
