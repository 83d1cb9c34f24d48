"""The envelope of the 医保 interface, both directions: build, sign, encrypt; open, verify (interfaces.md §3.1). Pure.

What is signed (the practice published for 医保 SM2/SM4 interfaces): all fields of the message except the signature
itself (`cainfo`, and `signData`, `encData`, `extra` of related interfaces), sorted by name, joined as `name=value` with
`&`, at last `key=` and the institution's secret. Objects and lists stand as compact JSON with sorted names; blank
values, empty objects and empty lists are left out, at every depth. SM2 signs that text with SM3 (r||s, Base64); SM3
puts the digest of that text there in hexadecimal capitals. The signature is made over the open text and encryption
comes after it: `input` (or `output`) becomes the SM4-ECB ciphertext in hexadecimal capitals. The SM4 key derives from
application id and secret: secret under the first 16 characters of the id, hexadecimal, the first 16 characters of that.
"""

from __future__ import annotations

import base64
import codecs
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from yaosu import gm
from yaosu.errors import Finding, YaosuError
from yaosu.insurance import wording

MESSAGE_MAX = 8 << 20
"""Bytes of one message; 100 rows of 100 codes are about 2 MB."""
DEPTH_MAX = 12
NOT_SIGNED = frozenset({"cainfo", "signData", "encData", "extra"})
OPTER_TYPES = frozenset({"1", "2", "3"})
"""1 经办人, 2 自助终端, 3 移动终端."""
OK = "0"
FAILED = "-1"
TIMEOUT = "9000"
"""infcode of a message whose time is too far from the platform's (签名超时)."""

HEAD: Mapping[str, tuple[int, bool]] = {
    # name: (most characters, required)
    "infno": (5, True),
    "msgid": (30, True),
    "mdtrtarea_admvs": (6, True),
    "insuplc_admdvs": (6, False),
    "recer_sys_code": (10, True),
    "dev_no": (100, False),
    "dev_safe_info": (2000, False),
    "cainfo": (1024, False),
    "signtype": (10, False),
    "infver": (6, True),
    "opter_type": (3, True),
    "opter": (30, True),
    "opter_name": (50, True),
    "inf_time": (19, True),
    "fixmedins_code": (12, True),
    "fixmedins_name": (20, False),
    "sign_no": (30, False),
    "enc_type": (10, False),
    "fixmedins_soft_fcty": (200, False),
}
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_ADDRESS = str.maketrans("-_", "+/")
_AREA = re.compile(r"\d{6}\Z")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\Z")


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What one side holds: its own private key, the other side's public key, and the shared id and secret."""

    app_id: str = ""
    secret: str = ""
    private: bytes = b""
    peer: bytes = b""

    def __repr__(self) -> str:
        return "Keys(…)"

    @property
    def sm4(self) -> bytes:
        """The key of the message's cipher. ValueError: the application id is shorter than 16 characters."""
        head = self.app_id.encode()[:16]
        if len(head) < 16:
            raise ValueError("the application id has at least 16 characters")
        return gm.sm4_encrypt(head, self.secret.encode()).hex().upper()[:16].encode()


@dataclass(frozen=True, slots=True)
class Head:
    """Who speaks to whom: the fields of a request's head besides number, id, time and signature."""

    fixmedins_code: str
    fixmedins_name: str
    mdtrtarea_admvs: str
    recer_sys_code: str = "YAOSU"
    insuplc_admdvs: str = ""
    dev_no: str = ""
    dev_safe_info: str = ""
    infver: str = "V1.0"
    opter_type: str = "1"
    opter: str = ""
    opter_name: str = ""
    sign_no: str = ""


def msgid(fixmedins_code: str, at: datetime, number: int) -> str:
    """Institution code (12), yyyyMMddHHmmss, four digits that rise: unique for an institution (30 characters)."""
    return f"{fixmedins_code[:12]:0<12}{at:%Y%m%d%H%M%S}{number % 10_000:04d}"


def request(head: Head, infno: str, number: str, at: datetime, body: Mapping[str, Any]) -> dict[str, Any]:
    """An unsigned request. `number` is its msgid, `at` the wall clock of China, `body` the `input`."""
    return {
        "infno": infno,
        "msgid": number,
        "mdtrtarea_admvs": head.mdtrtarea_admvs,
        "insuplc_admdvs": head.insuplc_admdvs,
        "recer_sys_code": head.recer_sys_code,
        "dev_no": head.dev_no,
        "dev_safe_info": head.dev_safe_info,
        "cainfo": "",
        "signtype": "",
        "infver": head.infver,
        "opter_type": head.opter_type,
        "opter": head.opter,
        "opter_name": head.opter_name,
        "inf_time": f"{at:%Y-%m-%d %H:%M:%S}",
        "fixmedins_code": head.fixmedins_code,
        "fixmedins_name": head.fixmedins_name[:20],
        "sign_no": head.sign_no,
        "input": body,
    }


def response(
    asked: Mapping[str, Any],
    at: datetime,
    output: Mapping[str, Any] | None,
    infcode: str = OK,
    err_msg: str = "",
    number: str = "",
    warn_msg: str = "",
) -> dict[str, Any]:
    """An unsigned answer to the request `asked`. `number` is the answerer's own id (inf_refmsgid)."""
    return {
        "infcode": infcode,
        "inf_refmsgid": number or str(asked.get("msgid", "")),
        "refmsg_time": f"{at:%Y%m%d%H%M%S}000",
        "respond_time": f"{at:%Y%m%d%H%M%S}000",
        "err_msg": err_msg,
        "warn_msg": warn_msg,
        "output": dict(output) if output is not None else {},
        "signtype": "",
        "cainfo": "",
    }


def result(ok: bool, message: str = "") -> dict[str, str]:
    """The `result` node of 35xx: retRslt 1 done, 0 refused; msgRslt says why."""
    return {"retRslt": "1" if ok else "0", "msgRslt": message[:2000]}


def _clean(value: Any) -> Any:
    """`value` without blanks at any depth; None when nothing is left."""
    # what JSON gives, by type: asking the abstract classes took a tenth of a whole call
    kind = type(value)
    if kind is str:
        return value or None
    if kind is dict or (kind is not list and isinstance(value, Mapping)):
        kept = {k: c for k, v in value.items() if (c := _clean(v)) is not None}
        return kept or None
    if kind is list or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        listed = [c for v in value if (c := _clean(v)) is not None]
        return listed or None
    return value


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_number).decode()


def _number(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(type(value).__name__)


def signed_text(message: Mapping[str, Any], secret: str) -> str:
    """The text that is signed."""
    parts = []
    for name in sorted(message):
        if name in NOT_SIGNED:
            continue
        value = _clean(message[name])
        if value is None:
            continue
        if isinstance(value, bool):
            text = "true" if value else "false"
        else:
            text = _json(value) if isinstance(value, dict | list) else str(value)
        parts.append(f"{name}={text}")
    return "&".join([*parts, f"key={secret}"])


def seal(
    message: Mapping[str, Any], keys: Keys, signtype: str, enc_type: str = "", body: str = "input"
) -> dict[str, Any]:
    """The message signed (`signtype` SM2, SM3 or ""), then its `body` encrypted (`enc_type` SM4 or "").

    ValueError: an unknown algorithm or a key that does not fit.
    """
    made = {**message, "signtype": signtype}
    if enc_type:
        made["enc_type"] = enc_type
    text = signed_text(made, keys.secret).encode()
    if signtype == "SM2":
        made["cainfo"] = base64.b64encode(gm.sm2_sign(keys.private, text)).decode()
    elif signtype == "SM3":
        made["cainfo"] = gm.sm3(text).hex().upper()
    elif signtype:
        raise ValueError("signtype is SM2, SM3 or empty")
    if enc_type == "SM4":
        made[body] = gm.sm4_encrypt(keys.sm4, _json(_clean(made[body]) or {}).encode()).hex().upper()
    elif enc_type:
        raise ValueError("enc_type is SM4 or empty")
    return made


def plain(raw: bytes) -> bytes:
    """A message as UTF-8 without a mark in front: older platforms and programs write GB18030, or the mark."""
    data = raw.removeprefix(codecs.BOM_UTF8)
    try:
        data.decode()
    except UnicodeDecodeError:
        try:
            return data.decode("gb18030").encode()
        except UnicodeDecodeError:
            return data
    return data


def read(raw: bytes) -> dict[str, Any]:
    """The message as it came. Refused (`yibao_message_invalid`): no JSON object, too large, too deep."""
    if len(raw) > MESSAGE_MAX:
        raise YaosuError("yibao_message_invalid")
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise YaosuError("yibao_message_invalid") from None
    if not isinstance(found, dict) or _too_deep(found):
        raise YaosuError("yibao_message_invalid")
    return found


def _too_deep(value: object) -> bool:
    """Whether parsed JSON nests deeper than any transaction does."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def unseal(
    message: Mapping[str, Any],
    keys: Keys,
    signtype: str,
    enc_type: str = "",
    body: str = "input",
    raw: bytes = b"",
) -> dict[str, Any]:
    """The message open and verified under the agreed algorithms, whatever it says of itself.

    `raw` is the message as it came: with it, signatures over other ways of writing the same are known, too (`wording`).
    Refused: `yibao_cipher_wrong`, `yibao_signature_missing`, `yibao_signature_wrong`, `yibao_message_invalid`.
    """
    made = dict(message)
    inner: bytes | None = None
    if enc_type == "SM4":
        inner = _opened(made.get(body), keys)
        made[body] = _loaded(inner, None)
    elif isinstance(made.get(body), str) and made[body]:
        # some platforms carry the node as JSON text
        inner = made[body].encode()
        made[body] = _loaded(inner, made[body])
    if signtype:
        cainfo = made.get("cainfo")
        if str(made.get("signtype", "")).upper() != signtype or not isinstance(cainfo, str) or not cainfo:
            raise YaosuError("yibao_signature_missing", {"signtype": signtype})
        text = signed_text(made, keys.secret)
        if not _holds(text, cainfo, keys, signtype) and not any(
            _holds(other, cainfo, keys, signtype) for other in _otherwise(raw, inner, body, text, keys)
        ):
            raise YaosuError("yibao_signature_wrong")
    return made


def _opened(value: object, keys: Keys) -> bytes:
    if not isinstance(value, str):
        raise YaosuError("yibao_cipher_wrong")
    packed = "".join(value.split())
    try:
        # hexadecimal as published; Base64 is what other libraries write by themselves
        data = bytes.fromhex(packed) if _HEX.fullmatch(packed) else base64.b64decode(packed, validate=True)
        return gm.sm4_decrypt(keys.sm4, data)
    except ValueError:
        raise YaosuError("yibao_cipher_wrong") from None


def _loaded(text: bytes, otherwise: object) -> Any:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        if otherwise is not None:
            return otherwise
        raise YaosuError("yibao_cipher_wrong") from None
    # the edge has looked at the message as it came, and not at what was packed in it
    if _too_deep(found) or b"\\u0000" in text:
        raise YaosuError("yibao_message_invalid")
    return found


def _otherwise(raw: bytes, inner: bytes | None, body: str, text: str, keys: Keys) -> Iterator[str]:
    """Other texts that the sender may have signed."""
    if not raw:
        return
    try:
        message = wording.literal(raw)
        if inner is not None:
            yield from (t for t in wording.others(message, NOT_SIGNED, keys.secret) if t != text)
            message = {**message, body: wording.literal(inner)}
    except ValueError:
        return
    yield from (t for t in wording.others(message, NOT_SIGNED, keys.secret) if t != text)


def _holds(text: str, cainfo: str, keys: Keys, signtype: str) -> bool:
    if signtype == "SM3":
        return hmac.compare_digest(
            gm.sm3(text.encode()).hex().upper().encode(), cainfo.strip().upper().encode()
        )
    signature = signature_of(cainfo)
    return bool(signature) and gm.sm2_verify(keys.peer, text.encode(), signature)


def signature_of(cainfo: str) -> bytes:
    """r||s of a signature in Base64 (also with line breaks or the alphabet of addresses) or hexadecimal, bare or ASN.1;
    empty when it is none."""
    packed = "".join(cainfo.split())
    try:
        if _HEX.fullmatch(packed) and len(packed) >= 128:
            data = bytes.fromhex(packed)
        else:
            plain = packed.translate(_ADDRESS)
            data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        return data if len(data) == 64 else gm.from_der(data)
    except ValueError:
        return b""


def check_head(message: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with a request's head."""
    found = []
    for name, (most, required) in HEAD.items():
        value = message.get(name)
        if value in (None, ""):
            if required:
                found.append(Finding("yibao_head_missing", {"field": name}, name))
        elif (
            not isinstance(value, str)
            or (name != "fixmedins_name" and len(value) > most)
            or (name.endswith(("_admvs", "_admdvs")) and not _AREA.match(value))
            or (name == "opter_type" and value not in OPTER_TYPES)
        ):
            found.append(Finding("yibao_head_form", {"field": name}, name))
    time = message.get("inf_time")
    if isinstance(time, str) and time and not _TIME.match(time):
        found.append(Finding("yibao_head_form", {"field": "inf_time"}, "inf_time"))
    return found


def sent_at(message: Mapping[str, Any]) -> datetime | None:
    """The wall clock of China when the request was made (inf_time); None when it is none."""
    try:
        text = str(message.get("inf_time", ""))
        return datetime.fromisoformat(text) if _TIME.match(text) else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read: gateway's word (infcode), the transaction's (retRslt), and refused rows of an `A` form."""

    infcode: str
    err_msg: str
    warn_msg: str
    refmsgid: str
    output: Mapping[str, Any]
    ok: bool | None
    """retRslt 1; None where the transaction says nothing."""
    message: str
    rows: tuple[Mapping[str, Any], ...]
    """Rows of the …ErrDetail node."""

    @property
    def passed(self) -> bool:
        """Whether the gateway took it."""
        return self.infcode == OK


def answer(message: Mapping[str, Any]) -> Answer:
    """What an opened answer says. Refused (`yibao_message_invalid`) when it has no infcode."""
    infcode = message.get("infcode")
    if not isinstance(infcode, str | int) or isinstance(infcode, bool):
        raise YaosuError("yibao_message_invalid")
    output = message.get("output")
    output = output if isinstance(output, Mapping) else {}
    node = output.get("result")
    node = node if isinstance(node, Mapping) else output
    verdict = node.get("retRslt")
    rows: list[Mapping[str, Any]] = []
    for name, value in output.items():
        if name.endswith("ErrDetail"):
            rows += [r for r in (value if isinstance(value, list) else [value]) if isinstance(r, Mapping)]
    return Answer(
        str(infcode),
        str(message.get("err_msg") or ""),
        str(message.get("warn_msg") or ""),
        str(message.get("inf_refmsgid") or ""),
        output,
        None if verdict is None else str(verdict) == "1",
        str(node.get("msgRslt") or ""),
        tuple(rows),
    )
