"""One call to the other side of the envelope, and what its answer means."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from yaosu.exchange.xietong import envelope
from yaosu.notify import http

TIMEOUT_S = 15.0
ANSWER_MAX = 24 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What the other side said. `reached`: whether it may have arrived; `genuine`: whether the answer is theirs."""

    reached: bool
    genuine: bool
    success: bool = False
    code: str = ""
    info: str = ""
    status: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Word for word, short."""
        return f"{self.code} {self.info}".strip()


def signed(params: Mapping[str, str], key: str, private: str = "") -> dict[str, str]:
    """The parameters of a call now, signed."""
    now = {"timestamp": envelope.stamp(datetime.now(UTC)), "process_id": str(uuid.uuid4())}
    return envelope.sign({**params, **now}, key, private)


def answer_params(body: Mapping[str, Any]) -> dict[str, str]:
    """An answer's plain fields as texts, as its signature covers them."""
    found = {}
    for name, value in body.items():
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif isinstance(value, (str, int)):
            found[name] = str(value)
    return found


def sign_answer(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The answer with `sign_type` and `sign`; lists and objects in it are signed by themselves."""
    signed_ = envelope.sign(answer_params(body), key)
    return {**body, "sign_type": signed_["sign_type"], "sign": signed_["sign"]}


async def call(url: str, params: Mapping[str, str], key: str, allowed: Collection[str]) -> Said:
    """POST the signed parameters; never raises for what the network or the other side does."""
    headers = {"content-type": "application/json; charset=utf-8", "accept": "application/json"}
    try:
        answer = await http.post(
            url, orjson.dumps(dict(params)), headers, allowed, TIMEOUT_S, answer_max=ANSWER_MAX
        )
    except http.AddressRefusedError as error:
        return Said(False, False, info=error.zh)
    except httpx.ConnectError as error:
        return Said(False, False, info=type(error).__name__)
    except (TimeoutError, httpx.HTTPError, OSError) as error:
        return Said(True, False, info=type(error).__name__)
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        return Said(True, False, info=answer.text[:300], status=answer.status)
    said = answer_params(body)
    fits = envelope.genuine(said, key) and said.get("process_id") == params.get("process_id")
    return Said(
        True,
        fits,
        body.get("success") is True,
        # kept as text, which holds no NUL
        str(body.get("msg_code", "")).replace("\x00", "␀")[:80],
        str(body.get("msg_info", "")).replace("\x00", "␀")[:1000],
        answer.status,
        body,
    )
