"""The form of the regulator interface: canonical JSON, SM3 signatures, digests. Pure; after standards §6.2.

HTTPS, POST, JSON in UTF-8, SM3 signatures on requests and responses, protocol fields checked before business fields,
eventID a GUID. Field tables of the provincial standard are not public: names beyond those are ours.

Canonical JSON: UTF-8, members sorted by name (code points), no blanks, no escapes but the necessary ones, whole numbers
only. `sign` is HMAC-SM3 in hexadecimal under the shared key over
`requestID=…&sourceID=…&timestamp=…&version=…&body=<SM3 of the body's canonical JSON, hexadecimal>`.
"""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from yaosu import gm
from yaosu.circulation.cache import CHINA
from yaosu.errors import Finding, YaosuError
from yaosu.notify.signing import new_salt

__all__ = [
    "CHINA",
    "Head",
    "canonical",
    "digest",
    "event_id",
    "genuine",
    "gm",
    "new_key",
    "range_digest",
    "read_head",
    "sign",
]

VERSION = "1.0"
TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})"
SKEW = timedelta(minutes=15)
BLOCK = 4096
"""Events whose digests are hashed together; a range's digest is the SM3 over its blocks' digests."""
NAMESPACE = uuid.UUID("6f0f7c1e-54a4-5a5e-8f0e-0b6d2f5f9b5a")

_HEAD = {
    "version": (r"1\.\d", "应为 1.0", "1.0"),
    "sourceID": (r"[0-9A-Za-z_.-]{1,64}", "数据来源标识", "the source's id"),
    "requestID": (r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "应为 GUID", "a GUID"),
    "timestamp": (TIME, "应为带时区的时间", "with zone"),
    "sign": (r"[0-9a-fA-F]{64}", "应为 64 位十六进制", "64 hexadecimal digits"),
}  # fmt: skip


def canonical(value: Any) -> bytes:
    """The one text of a JSON value."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> bytes:
    """SM3 of the canonical text."""
    return gm.sm3(canonical(value))


def event_id(source_id: str, what: str) -> uuid.UUID:
    """The GUID of an event: the same thing of the same source has the same one, whenever it is made."""
    return uuid.uuid5(NAMESPACE, f"{source_id}|{what}")


def range_digest(pairs: Iterable[tuple[uuid.UUID, bytes]]) -> bytes:
    """The digest of a run of events, in order: (eventID, SM3 of the event). Of no events: SM3 of nothing."""
    blocks: list[bytes] = []
    block: list[bytes] = []
    for event, one in pairs:
        block.append(event.bytes + one)
        if len(block) == BLOCK:
            blocks.append(gm.sm3(b"".join(block)))
            block = []
    if block:
        blocks.append(gm.sm3(b"".join(block)))
    return gm.sm3(b"".join(blocks))


def signed_text(head: Mapping[str, Any], body: Any) -> bytes:
    """What a signature covers."""
    fields = ("requestID", "sourceID", "timestamp", "version")
    return ("&".join(f"{n}={head.get(n, '')}" for n in fields) + f"&body={digest(body).hex()}").encode()


def sign(head: Mapping[str, str], body: Any, key: str) -> dict[str, Any]:
    """A message: head with signature, and body."""
    full = {"version": VERSION, **head}
    full["signType"] = "SM3"
    return {"head": {**full, "sign": gm.hmac_sm3(key.encode(), signed_text(full, body)).hex()}, "body": body}


def genuine(message: Mapping[str, Any], key: str) -> bool:
    """Whether a message's signature fits; constant time."""
    head = message.get("head")
    if not isinstance(head, Mapping):
        return False
    try:
        given = bytes.fromhex(str(head.get("sign", "")))
    except ValueError:
        return False
    try:
        expected = gm.hmac_sm3(key.encode(), signed_text(head, message.get("body")))
    except orjson.JSONEncodeError:
        return False  # a number no canonical form has
    return hmac.compare_digest(given, expected)


@dataclass(frozen=True, slots=True)
class Head:
    """The protocol fields of a message, well-formed; the signature is not checked yet."""

    source_id: str
    request_id: str
    sent_at: datetime


def wrong(field: str, zh: str, en: str) -> YaosuError:
    """A protocol field is not as it should be."""
    params = {"field": field, "reason": zh, "reason_en": en}
    return YaosuError("jianguan_head", params, [Finding("jianguan_head", params, field)])


def read_head(message: Any) -> Head:
    """Protocol fields first (standards §6.2); refused `jianguan_head` with the field."""
    if not isinstance(message, Mapping):
        raise wrong("body", "应为 JSON 对象", "a JSON object")
    head = message.get("head")
    if not isinstance(head, Mapping):
        raise wrong("head", "必填", "required")
    for name, (pattern, zh, en) in _HEAD.items():
        value = head.get(name)
        if value in (None, ""):
            raise wrong(f"head.{name}", "必填", "required")
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise wrong(f"head.{name}", zh, en)
    if head.get("signType", "SM3") != "SM3":
        raise wrong("head.signType", "应为 SM3", "SM3")
    if not isinstance(message.get("body"), Mapping):
        raise wrong("body", "应为 JSON 对象", "a JSON object")
    try:
        sent_at = datetime.fromisoformat(head["timestamp"])
    except ValueError:
        raise wrong("head.timestamp", "没有这一时间", "no such time") from None
    return Head(head["sourceID"], head["requestID"].lower(), sent_at)


def new_key() -> str:
    """64 hexadecimal digits."""
    return (new_salt() + new_salt()).hex()
