"""Reading what the server pushes: genuine, fresh, and each thing once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
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
    secret: str, headers: Mapping[str, str], body: bytes, *, fresh_s: int = FRESH_S, now: float | None = None
) -> Event:
    """Check signature and age of a delivery and read it. `body` are the bytes as received."""
    given = {name.lower(): value for name, value in headers.items()}
    stamp = given.get(TIMESTAMP, "")
    if not stamp.isdigit() or abs((now if now is not None else time.time()) - int(stamp)) > fresh_s:
        raise WebhookError("the time of the delivery is missing or too old")
    made = "v1=" + hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(made.encode(), given.get(SIGNATURE, "").encode()):
        raise WebhookError("the signature does not fit")
    return Event(given.get(EVENT, ""), given.get(KIND, ""), json.loads(body))
