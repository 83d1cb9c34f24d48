"""The envelope of the 协同平台 (standards §6.1): read, check, sign, pack and unpack. Pure; no I/O.

Parameters as published: app_id, process_id, event_id, event_type, sub_type, usc_id, data, timestamp (also the
published misspelling `tiemstamp`). Ours beside them, both set by the platform: `from_app_id` (the system an event comes
from) and `n` (number in the receiver's mailbox); and `sign_type`, `sign`.

The signature covers every other parameter that is present: names sorted by code point, `name=value` joined by `&`, in
UTF-8. `HMAC-SM3` (GB/T 15852.2 over SM3) under the shared key, or `SM2` over the same text; hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import re
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from yaosu import gm
from yaosu.access.types import is_clean
from yaosu.edge import strict_json
from yaosu.errors import Finding, YaosuError
from yaosu.gm.keys import private_key, public_key

CHINA = ZoneInfo("Asia/Shanghai")
BASE, APPLICATION = 10, 20
DATA_MAX = 12 * 1024 * 1024
"""Characters of `data` (base64)."""
PLAIN_MAX = 64 * 1024 * 1024
"""Bytes of the JSON inside."""
RATIO_MAX = 200
"""A zip that grows more than this is a bomb; JSON of codes shrinks ten- to thirtyfold."""
RATIO_FROM = 1024 * 1024
SKEW = timedelta(minutes=15)
HMAC_SM3, SM2 = "HMAC-SM3", "SM2"

FIELDS: Mapping[str, tuple[bool, str, str, str]] = {
    # name: (needed, pattern, why in Chinese, why in English)
    "app_id": (True, r"[0-9A-Za-z_.-]{1,64}", "接入系统标识", "the system's id"),
    "process_id": (False, r"[0-9A-Fa-f-]{32,36}", "应为 uuid", "a uuid"),
    "event_id": (True, r"[0-9A-Fa-f-]{32,36}", "应为 uuid", "a uuid"),
    "event_type": (True, r"10|20", "应为 10 或 20", "10 or 20"),
    "sub_type": (True, r"[0-9A-Za-z_-]{1,20}", "事件子类型", "the sub type"),
    "usc_id": (False, r"[0-9A-Z:._-]{1,40}", "统一社会信用代码", "the firm's number"),
    "timestamp": (True, r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", "应为 yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss"),
    "from_app_id": (False, r"[0-9A-Za-z_.-]{1,64}", "来源系统标识", "the origin's id"),
    "n": (False, r"\d{1,18}", "应为整数", "a whole number"),
    "sign_type": (False, r"HMAC-SM3|SM2", "应为 HMAC-SM3 或 SM2", "HMAC-SM3 or SM2"),
    "sign": (True, r"[0-9A-Fa-f]{64,144}", "应为十六进制签名", "a signature in hexadecimal"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Envelope:
    """A transmission whose parameters are well-formed; the signature is not checked yet."""

    app_id: str
    event_id: uuid.UUID
    event_type: int
    sub_type: str
    sent_at: datetime
    data: str
    given: Mapping[str, str] = field(repr=False)
    process_id: str = ""
    usc_id: str = ""
    from_app_id: str = ""
    n: int = 0


def wrong(name: str, zh: str, en: str) -> YaosuError:
    """A parameter is not as it should be: `xietong_field` with its name."""
    params = {"field": name, "reason": zh, "reason_en": en}
    return YaosuError("xietong_field", params, [Finding("xietong_field", params, name)])


def params_of(given: object) -> dict[str, str]:
    """The parameters of a request body as texts; `tiemstamp` becomes `timestamp` where that is missing.

    Numbers stand for their digits (event_type: 10). Refused: `xietong_field`.
    """
    if not isinstance(given, Mapping):
        raise wrong("body", "应为参数对象", "an object of parameters")
    found: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            if value is None:
                continue
            raise wrong(str(name)[:40], "应为文本", "text")
        found[str(name)] = str(value)
    return found


def read(params: Mapping[str, str]) -> Envelope:
    """Well-formed or refused with the parameter's name. Unknown parameters are signed and otherwise ignored."""
    values = dict(params)
    if not values.get("timestamp") and values.get("tiemstamp"):
        values["timestamp"] = values["tiemstamp"]
    for name, (needed, pattern, zh, en) in FIELDS.items():
        value = values.get(name, "")
        if not value:
            if needed:
                raise wrong(name, "必填", "required")
            continue
        if re.fullmatch(pattern, value) is None:
            raise wrong(name, zh, en)
    try:
        event_id = uuid.UUID(values["event_id"])
    except ValueError:
        raise wrong("event_id", "应为 uuid", "a uuid") from None
    try:
        sent_at = datetime.strptime(values["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError:
        raise wrong("timestamp", "没有这一时间", "no such time") from None
    data = values.get("data", "")
    if not data:
        raise wrong("data", "必填", "required")
    if len(data) > DATA_MAX:
        raise wrong("data", f"超过 {DATA_MAX} 个字符", f"longer than {DATA_MAX} characters")
    return Envelope(
        app_id=values["app_id"],
        event_id=event_id,
        event_type=int(values["event_type"]),
        sub_type=values["sub_type"],
        sent_at=sent_at,
        data=data,
        given=params,
        process_id=values.get("process_id", ""),
        usc_id=values.get("usc_id", ""),
        from_app_id=values.get("from_app_id", ""),
        n=int(values.get("n") or 0),
    )


def signed_text(params: Mapping[str, str]) -> bytes:
    """What a signature covers."""
    return "&".join(f"{k}={params[k]}" for k in sorted(params) if k != "sign" and params[k] != "").encode()


def sign(params: Mapping[str, str], key: str, private: str = "") -> dict[str, str]:
    """The parameters with `sign_type` and `sign`: HMAC-SM3 under `key`, or SM2 with `private` where there is one."""
    full = {**{k: v for k, v in params.items() if v != ""}, "sign_type": SM2 if private else HMAC_SM3}
    text = signed_text(full)
    signature = gm.sm2_sign(private_key(private), text) if private else gm.hmac_sm3(key.encode(), text)
    return {**full, "sign": signature.hex()}


def genuine(params: Mapping[str, str], key: str, public: str = "") -> bool:
    """Whether the signature fits. A system with a registered SM2 key must use it."""
    try:
        given = bytes.fromhex(params.get("sign", ""))
    except ValueError:
        return False
    text = signed_text(params)
    if public:
        if params.get("sign_type") != SM2:
            return False
        return len(given) == 64 and gm.sm2_verify(public_key(public), text, given)
    if params.get("sign_type", HMAC_SM3) != HMAC_SM3:
        return False
    return hmac.compare_digest(gm.hmac_sm3(key.encode(), text), given)


def in_time(sent_at: datetime, now: datetime) -> bool:
    """Whether a transmission is of now: older ones are replays or a clock that is wrong."""
    return abs(now - sent_at) <= SKEW


def stamp(now: datetime) -> str:
    """A time as the envelope writes it."""
    return now.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def pack(content: Mapping[str, Any]) -> bytes:
    """The zip of a content: one file `data.json`, always the same bytes for the same content."""
    plain = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr(zipfile.ZipInfo("data.json", (1980, 1, 1, 0, 0, 0)), plain, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def encode(packed: bytes) -> str:
    """`data` of a zip."""
    return base64.b64encode(packed).decode()


def _broken(zh: str, en: str) -> YaosuError:
    params = {"reason": zh, "reason_en": en, "field": "data"}
    return YaosuError("xietong_data", params, [Finding("xietong_data", params, "data")])


def decode(data: str) -> bytes:
    """The zip inside `data`; refused `xietong_data`."""
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _broken("不是 base64", "not base64") from None


def unpack(packed: bytes) -> dict[str, Any]:
    """The content of a zip: exactly one file, JSON in UTF-8, an object. Refused: `xietong_data` with what is wrong.

    The size told in the archive is not believed: reading stops at `PLAIN_MAX` bytes or when it grows past `RATIO_MAX`.
    """
    limit = min(PLAIN_MAX, max(RATIO_FROM, len(packed) * RATIO_MAX))
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            names = [i for i in archive.infolist() if not i.is_dir()]
            if len(names) != 1:
                raise _broken(f"压缩包内应有 1 个文件，现有 {len(names)} 个", f"{len(names)} files, not one")
            if names[0].flag_bits & 1:
                raise _broken("压缩包已加密", "the archive is encrypted")
            with archive.open(names[0]) as file:
                plain = file.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
        raise _broken("不是完整的 zip", "not a complete zip") from None
    if len(plain) > limit:
        raise _broken("解压后过大", "too large when unpacked")
    try:
        content = strict_json.parse(plain)
    except strict_json.MalformedBodyError as error:
        raise _broken(error.zh, error.en) from None
    if not isinstance(content, dict):
        raise _broken("应为 JSON 对象", "a JSON object")
    return content


def content_digest(event_type: int, sub_type: str, usc_id: str, content: Mapping[str, Any]) -> bytes:
    """SM3 of what an event says, whatever way its zip was made: same event_id, same digest, same event."""
    head = {"event_type": event_type, "sub_type": sub_type, "usc_id": usc_id, "content": dict(content)}
    try:
        return gm.sm3(orjson.dumps(head, option=orjson.OPT_SORT_KEYS))
    except orjson.JSONEncodeError:
        raise _broken("含有超出范围的数值", "a number out of range") from None


class Content:
    """Reads fields of a content; what is missing or of another form is refused with its place (`xietong_content`)."""

    def __init__(self, values: Mapping[str, Any], place: str = "") -> None:
        self.values = values
        self.place = place

    def _where(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def wrong(self, name: str, zh: str, en: str) -> YaosuError:
        """The refusal of one field."""
        params = {"field": self._where(name), "reason": zh, "reason_en": en}
        return YaosuError("xietong_content", params, [Finding("xietong_content", params, self._where(name))])

    def text(self, name: str, needed: bool = False, longest: int = 200, lines: bool = False) -> str:
        """A text without control characters."""
        value = self.values.get(name)
        if value is None or value == "":
            if needed:
                raise self.wrong(name, "必填", "required")
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value) > longest:
            raise self.wrong(
                name, f"应为至多 {longest} 个字符的文本", f"text of at most {longest} characters"
            )
        if not is_clean(value.replace("\n", "").replace("\t", "") if lines else value):
            raise self.wrong(name, "含有控制字符", "control characters")
        return value.strip()

    def whole(self, name: str, default: int | None = None, least: int = 0, most: int = 2**31 - 1) -> int:
        """A whole number; digits as text are taken too."""
        value = self.values.get(name)
        if value is None or value == "":
            if default is None:
                raise self.wrong(name, "必填", "required")
            return default
        if isinstance(value, str) and re.fullmatch(r"\d{1,10}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"应为 {least} 至 {most} 的整数", f"a whole number from {least} to {most}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self.values.get(name, default)
        if value in (0, 1, "0", "1"):
            return bool(int(value))
        if not isinstance(value, bool):
            raise self.wrong(name, "应为 true 或 false", "true or false")
        return value

    def many(self, name: str, most: int, needed: bool = False) -> list[Any]:
        """A list."""
        value = self.values.get(name)
        if value is None:
            value = []
        if not isinstance(value, list) or len(value) > most or (needed and not value):
            raise self.wrong(
                name, f"应为{'非空的' if needed else ''}列表，至多 {most} 项", f"a list of at most {most}"
            )
        return value

    def part(self, name: str, needed: bool = True) -> Content:
        """An object inside."""
        value = self.values.get(name)
        if value is None and not needed:
            value = {}
        if not isinstance(value, Mapping):
            raise self.wrong(name, "应为对象", "an object")
        return Content(value, self._where(name))

    def parts(self, name: str, most: int, needed: bool = False) -> list[Content]:
        """A list of objects."""
        found = []
        for number, value in enumerate(self.many(name, most, needed)):
            if not isinstance(value, Mapping):
                raise self.wrong(f"{name}.{number}", "应为对象", "an object")
            found.append(Content(value, self._where(f"{name}.{number}")))
        return found

    def time(self, name: str) -> datetime:
        """A time, ISO 8601 with zone or `yyyy-MM-dd HH:mm:ss` in Beijing time."""
        value = self.text(name, True, 40)
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise self.wrong(name, "应为日期时间", "a date and time") from None
        return found if found.tzinfo is not None else found.replace(tzinfo=CHINA)
