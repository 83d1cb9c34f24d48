"""One call of the protocol: signed, sent, its envelope read; what came back as levels (domain facts §2.1, §2.7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson

from yaosu.exchange.outbox.model import Link
from yaosu.exchange.top import signing
from yaosu.exchange.top.fields import CHINA
from yaosu.notify import http

TIMEOUT_S = 30.0
ANSWER_MAX = 16 << 20
LIMITED_S = 2.0
"""How long an AppKey is shut out after "App Call Limited"; the platform says one to two seconds."""
LIMITED = frozenset(
    {"7", "accesscontrol.limited-by-app-access-count", "isp.call-limited", "isp.call-in-progress"}
)
BUSY = "queued"
"""Our own code of a call that was not made because the AppKey's turns are taken for a while."""
AWAY = ("isp.",)
"""Sub codes of the platform's own trouble: the same call may succeed later."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one call.

    `level` 0: it never arrived; -1: it may have arrived and nobody answered; 1: the gateway refused it (`code`,
    `sub_code`); 2: the method answered. `text` is what they said, word for word.
    """

    level: int
    text: str
    code: str = ""
    sub_code: str = ""
    message: str = ""
    status: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """Whether the platform only asks for patience."""
        return self.level == 1 and (self.code in LIMITED or self.sub_code in LIMITED)

    @property
    def away(self) -> bool:
        """Whether trying again later may help."""
        return self.level < 1 or self.limited or self.sub_code.startswith(AWAY)

    @property
    def success(self) -> bool:
        """Level 2 said yes. `success` true beside a `msg_code` that says FAIL is a no (§2.7)."""
        if self.level != 2:
            return False
        flags = [self.body[k] for k in ("response_success", "success") if k in self.body]
        good = all(flag is True or str(flag).lower() == "true" for flag in flags)
        return good and not self.msg_code.upper().startswith("FAIL")

    @property
    def msg_code(self) -> str:
        """The method's own code."""
        return str(self.body.get("msg_code") or "")

    @property
    def msg_info(self) -> str:
        """The method's own words."""
        return str(self.body.get("msg_info") or self.body.get("sub_msg_code") or "")

    @property
    def model(self) -> Any:
        """The payload, whichever name it goes by."""
        for name in ("model", "models", "model_list", "result_list", "data"):
            if name in self.body:
                return self.body[name]
        return None


def request(link: Link, method: str, params: Mapping[str, object], now: datetime) -> bytes:
    """The form body of a call, signed with the connection's secret."""
    how = str(link.account.get("sign_method") or "hmac-sha256")
    given = {
        "method": method,
        "app_key": str(link.account.get("app_key") or ""),
        "timestamp": now.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        "format": "json",
        "v": "2.0",
        "simplify": "true",
        "sign_method": how,
        **{name: value if isinstance(value, str) else _text(value) for name, value in params.items()},
    }
    text = signing.text_of(given)
    given["sign"] = signing.sign(str(link.secret.get("app_secret") or ""), how, text.encode())
    return urlencode(given).encode()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        return ",".join(str(v) for v in value)
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return str(value)


async def call(
    link: Link, method: str, params: Mapping[str, object], now: datetime, allowed: Collection[str]
) -> Said:
    """Make a call and say how far it got. Never raises for what the network or the other side does."""
    body = request(link, method, params, now)
    head = {
        "content-type": "application/x-www-form-urlencoded;charset=utf-8",
        "user-agent": "Yaosu-TOP/1",
    }
    try:
        answer = await http.call("POST", link.url, body, head, allowed, TIMEOUT_S, ANSWER_MAX)
    except http.AddressRefusedError as error:
        return Said(0, str(error), code="address")
    except httpx.ConnectError as error:
        return Said(0, f"无法连接：{type(error).__name__}")
    except (TimeoutError, httpx.HTTPError) as error:
        return Said(-1, f"没有收到应答：{type(error).__name__}")
    if answer.status != 200:
        # a gateway or proxy in between; whether the platform got it nobody knows
        return Said(-1, answer.text[:2000], status=answer.status)
    return read(answer.text, answer.status, whole=answer.whole)


def read(text: str, status: int | None = 200, *, whole: bool = True) -> Said:
    """The envelope of an answer."""
    try:
        found = orjson.loads(text) if whole else None
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        # an empty body or half of one is what the platform sends when it times out
        return Said(-1, text[:2000] or "应答为空", status=status)
    error = found.get("error_response")
    if isinstance(error, dict):
        code, sub = str(error.get("code", "")), str(error.get("sub_code", ""))
        words = str(error.get("sub_msg") or error.get("msg") or "")
        return Said(1, text[:2000], code, sub, words, status)
    body: Any = found
    if len(found) == 1:
        ((name, inner),) = found.items()
        if name.endswith("_response") and isinstance(inner, dict):
            body = inner
    # many methods put everything one level deeper
    inner = body.get("result")
    if isinstance(inner, dict) and "msg_code" not in body and "model" not in body:
        body = inner
    return Said(2, text[:2000], status=status, body=body)


def many(value: Any) -> Sequence[Any]:
    """A list of the protocol, however it came: plain, wrapped in its item's name, or one element alone (§2.7)."""
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        if len(value) == 1:
            (inner,) = value.values()
            if isinstance(inner, list):
                return inner
            if isinstance(inner, dict):
                return (inner,)
        return (value,)
    return (value,)
