"""One signed call to a regulator's system; an answer counts only when it is signed and belongs to the question."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from yaosu.exchange.jianguan import form
from yaosu.notify import http

TIMEOUT_S = 30.0
ANSWER_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What came back. `ok`: genuine, and a success."""

    ok: bool
    text: str
    body: Mapping[str, Any] = field(default_factory=dict)
    genuine: bool = False


def head(source_id: str, request_id: str = "") -> dict[str, str]:
    """The protocol fields of a message now."""
    return {
        "sourceID": source_id,
        "requestID": request_id or str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }


async def call(url: str, source_id: str, key: str, body: Mapping[str, Any], allowed: Collection[str]) -> Said:
    """POST one message; never raises for what the network or the other side does."""
    mine = head(source_id)
    message = form.sign(mine, dict(body), key)
    headers = {"content-type": "application/json; charset=utf-8"}
    try:
        answer = await http.post(
            url, orjson.dumps(message), headers, allowed, TIMEOUT_S, answer_max=ANSWER_MAX
        )
        said = orjson.loads(answer.body)
    except http.AddressRefusedError as error:
        return Said(False, error.zh)
    except orjson.JSONDecodeError:
        return Said(False, f"HTTP {answer.status} {answer.text[:200]}")
    except (TimeoutError, httpx.HTTPError, OSError) as error:
        return Said(False, type(error).__name__)
    if not isinstance(said, dict) or not isinstance(said.get("body"), dict):
        return Said(False, f"HTTP {answer.status} {answer.text[:200]}")
    told: Mapping[str, Any] = said["body"]
    # kept as text, which holds no NUL
    text = f"{told.get('code', '')} {told.get('message', '')}".replace("\x00", "␀").strip()[:500]
    fits = form.genuine(said, key) and str(said["head"].get("requestID")) == mine["requestID"]
    return Said(fits and told.get("success") is True, text or "—", told, fits)
