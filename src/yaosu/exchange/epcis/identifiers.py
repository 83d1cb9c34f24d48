"""EPC identifiers in their two standard forms, EPC URN and GS1 Digital Link URI, and our own (CBV 2.0 §8; TDS 2.0).

Inside, an identifier with a GS1 key is its canonical Digital Link URI (`https://id.gs1.org/01/…/21/…`), a code of
another scheme is `urn:yaosu:code:…`, and anything else is the text as it came. Ours, for what GS1 keys cannot
name: `urn:yaosu:code:<20 digits or issuer:TEXT>`, `urn:yaosu:product:<药品标识码>`, `urn:yaosu:lot:<药品标识码>:<lot>`,
`urn:yaosu:org:<统一社会信用代码>`; codes also as `https://<any host>/id/<20 digits>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from yaosu.codes.identifiers.checksums import mod10_digit, mod10_ok

GS1 = "https://id.gs1.org"
CODE, PRODUCT, LOT, ORG = "urn:yaosu:code:", "urn:yaosu:product:", "urn:yaosu:lot:", "urn:yaosu:org:"
CHARSET_82 = r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]"
URN_SAFE = "!'()*+,-.:;=_"
"""Characters of AI 82 that stand unescaped in an EPC URN (TDS 2.0 table A-1)."""
LINK_SAFE = "-._~'=;"
"""… in a canonical Digital Link: unreserved ones and those that the event hash keeps (CBV 2.0 §8.9)."""


class NotAnIdentifierError(ValueError):
    """A text that claims to be an EPC and is none; the argument is a message code."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One GS1 key: how it is split in a URN, and how it stands in a Digital Link."""

    urn: str
    ai: str
    digits: int
    """Digits of company prefix and reference together in the URN; 0 where the reference is text."""
    indicator: bool = False
    """The reference opens with an indicator or extension digit that stands first in the key (SGTIN, SSCC)."""
    check: bool = True
    qualifier: str = ""
    """AI of the serial in the Digital Link; "+" where it follows the key directly."""
    chars: str = ""
    """Pattern of the last part; empty where the key has none."""
    lead: str = ""
    """A digit that stands before the key (GRAI: 0)."""


_ANY = CHARSET_82
KINDS = (
    Kind("urn:epc:id:sgtin:", "01", 13, True, True, "21", rf"{_ANY}{{1,20}}"),
    Kind("urn:epc:id:sscc:", "00", 17, True),
    Kind("urn:epc:id:sgln:", "414", 12, False, True, "254", rf"{_ANY}{{1,20}}"),
    Kind("urn:epc:id:pgln:", "417", 12),
    Kind("urn:epc:id:grai:", "8003", 12, False, True, "+", rf"{_ANY}{{1,16}}", "0"),
    Kind("urn:epc:id:giai:", "8004", 0, False, False, "", rf"{_ANY}{{1,24}}"),
    Kind("urn:epc:id:gsrn:", "8018", 17),
    Kind("urn:epc:id:gsrnp:", "8017", 17),
    Kind("urn:epc:id:gdti:", "253", 12, False, True, "+", rf"{_ANY}{{1,17}}"),
    Kind("urn:epc:id:sgcn:", "255", 12, False, True, "+", r"\d{1,12}"),
    Kind("urn:epc:id:ginc:", "401", 0, False, False, "", rf"{_ANY}{{1,24}}"),
    Kind("urn:epc:id:gsin:", "402", 16),
    Kind("urn:epc:id:upui:", "01", 13, True, True, "235", rf"{_ANY}{{1,28}}"),
    Kind("urn:epc:class:lgtin:", "01", 13, True, True, "10", rf"{_ANY}{{1,20}}"),
)
_BY_URN = {k.urn: k for k in KINDS}
_SERIAL_AI = {"21": "urn:epc:id:sgtin:", "235": "urn:epc:id:upui:", "10": "urn:epc:class:lgtin:"}
_PATTERN = "urn:epc:idpat:"
_WORDS = {
    "gtin": "01",
    "sscc": "00",
    "gln": "414",
    "party": "417",
    "grai": "8003",
    "giai": "8004",
    "gsrn": "8018",
    "gsrnp": "8017",
    "gdti": "253",
    "gcn": "255",
    "ginc": "401",
    "gsin": "402",
    "itip": "8006",
    "cpid": "8010",
    "ser": "21",
    "lot": "10",
    "cpv": "22",
    "glnx": "254",
}
_KEYS = {
    "00": 18,
    "01": 14,
    "414": 13,
    "417": 13,
    "8003": 0,
    "8004": 0,
    "8018": 18,
    "8017": 18,
    "253": 0,
    "255": 0,
    "401": 0,
    "402": 17,
    "8006": 18,
    "8010": 0,
}
_MODES = {"00", "01", "414", "417", "8018", "8017", "402"}
"""Keys that end with a check digit over all of their digits."""


def is_epc_urn(text: str) -> bool:
    """Whether a text claims to be one of GS1's EPC URNs."""
    return text.startswith("urn:epc:")


def _escape(text: str) -> str:
    """A serial for the path of a Digital Link."""
    return quote(text, safe=LINK_SAFE)


def _urn_escape(text: str) -> str:
    return quote(text, safe=URN_SAFE)


@lru_cache(maxsize=131_072)
def canonical(text: str) -> str:
    """The inner form of an identifier. Raises NotAnIdentifierError for a broken EPC URN or Digital Link."""
    if text.startswith("urn:epc:"):
        return _from_urn(text)
    if text.startswith(("https://", "http://")):
        return _from_link(text)
    if text.startswith(CODE):
        return CODE + _code_text(unquote(text[len(CODE) :]))
    return text


def _code_text(code: str) -> str:
    if not code or len(code) > 100 or not code.isprintable():
        raise NotAnIdentifierError("epcis_epc_invalid")
    return quote(code, safe=":-._~")


def _from_urn(text: str) -> str:
    if text.startswith(_PATTERN):
        return _from_pattern(text)
    for start, kind in _BY_URN.items():
        if text.startswith(start):
            return _key(kind, text[len(start) :])
    if text.startswith("urn:epc:id:itip:"):
        return _itip(text[16:])
    if text.startswith("urn:epc:id:cpi:"):
        return _cpi(text[15:])
    return text  # header-less schemes (gid, usdod, adi, bic, imovn): no GS1 key stands behind them


def _key(kind: Kind, body: str) -> str:
    company, _, rest = body.partition(".")
    if not (company.isdigit() and company.isascii() and 6 <= len(company) <= 12):
        raise NotAnIdentifierError("epcis_epc_invalid")
    if not kind.digits:
        serial = unquote(rest)
        if re.fullmatch(kind.chars, serial) is None or len(company + serial) > 30:
            raise NotAnIdentifierError("epcis_epc_invalid")
        return f"{GS1}/{kind.ai}/{_escape(company + serial)}"
    reference, dot, serial = rest.partition(".")
    if len(company) + len(reference) != kind.digits or (
        reference and not (reference.isascii() and reference.isdigit())
    ):
        raise NotAnIdentifierError("epcis_epc_invalid")
    digits = reference[:1] + company + reference[1:] if kind.indicator else company + reference
    key = kind.lead + digits
    key += str(mod10_digit(key))
    if not kind.chars:
        if dot:
            raise NotAnIdentifierError("epcis_epc_invalid")
        return f"{GS1}/{kind.ai}/{key}"
    serial = unquote(serial)
    if re.fullmatch(kind.chars, serial) is None:
        raise NotAnIdentifierError("epcis_epc_invalid")
    if kind.urn == "urn:epc:id:sgln:" and serial == "0":
        return f"{GS1}/414/{key}"
    if kind.qualifier == "+":
        return f"{GS1}/{kind.ai}/{key}{_escape(serial)}"
    return f"{GS1}/{kind.ai}/{key}/{kind.qualifier}/{_escape(serial)}"


def _itip(body: str) -> str:
    parts = body.split(".", 4)
    if len(parts) != 5:
        raise NotAnIdentifierError("epcis_epc_invalid")
    company, reference, piece, total, serial = parts
    gtin = _gtin(company, reference)
    if not (re.fullmatch(r"\d\d", piece) and re.fullmatch(r"\d\d", total)):
        raise NotAnIdentifierError("epcis_epc_invalid")
    return f"{GS1}/8006/{gtin}{piece}{total}/21/{_escape(unquote(serial))}"


def _cpi(body: str) -> str:
    company, _, rest = body.partition(".")
    part, _, serial = rest.rpartition(".")
    if not company.isdigit() or not part or not re.fullmatch(r"\d{1,12}", serial):
        raise NotAnIdentifierError("epcis_epc_invalid")
    return f"{GS1}/8010/{_escape(company + unquote(part))}/8011/{serial}"


def _gtin(company: str, reference: str) -> str:
    if not re.fullmatch(r"\d{6,12}", company) or not re.fullmatch(r"\d{1,7}", reference):
        raise NotAnIdentifierError("epcis_epc_invalid")
    if len(company) + len(reference) != 13:
        raise NotAnIdentifierError("epcis_epc_invalid")
    body = reference[:1] + company + reference[1:]
    return body + str(mod10_digit(body))


def _from_pattern(text: str) -> str:
    """`urn:epc:idpat:sgtin:…*` names a class: all instances of a GTIN. Other patterns keep their text."""
    body = text[len(_PATTERN) :]
    scheme, _, rest = body.partition(":")
    parts = rest.split(".")
    if scheme == "sgtin" and len(parts) >= 3 and parts[2] == "*" and "*" not in parts[0] + parts[1]:
        return f"{GS1}/01/{_gtin(parts[0], parts[1])}"
    return text


def class_link(text: str) -> str:
    """The Digital Link of the class that a pattern names whose serial alone is open (`urn:epc:idpat:grai:….….*`), as
    the event hash has it; other texts as they are."""
    scheme, _, body = text.removeprefix(_PATTERN).partition(":")
    if not text.startswith(_PATTERN) or not body.endswith(".*") or "*" in body[:-2]:
        return text
    kind, whole = _BY_URN.get(f"urn:epc:id:{scheme}:"), body[:-2]
    try:
        if scheme == "itip":
            return _itip(whole + ".0").partition("/21/")[0]
        if scheme == "cpi":
            return _cpi(whole + ".0").partition("/8011/")[0]
        if kind is None or not kind.chars or not kind.digits:
            return text
        found = _key(kind, whole + ".0")
    except NotAnIdentifierError:
        return text
    return found.removesuffix("0") if kind.qualifier == "+" else found.partition(f"/{kind.qualifier}/")[0]


def _from_link(text: str) -> str:
    """A Digital Link URI of any domain, its query left aside; another address as it is."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise NotAnIdentifierError("epcis_uri_invalid") from None
    segments = parts.path.split("/")[1:]
    if segments and segments[-1] == "":
        segments.pop()
    if len(segments) >= 2 and segments[-2] == "id" and re.fullmatch(r"\d{20}", segments[-1]):
        return CODE + segments[-1]
    for at in range(len(segments) - 1):
        ai = _WORDS.get(segments[at], segments[at])
        if ai in _KEYS and re.match(r"\d{4}", segments[at + 1]) is not None:
            return _link(ai, segments[at + 1], segments[at + 2 :])
    if parts.netloc == "id.gs1.org" and segments:
        raise NotAnIdentifierError("epcis_epc_invalid")
    return text


def _link(ai: str, value: str, more: Sequence[str]) -> str:
    value = unquote(value)
    if ai == "01" and len(value) in (8, 12, 13):
        value = value.zfill(14)
    digits = _KEYS[ai]
    if (digits and not (len(value) == digits and value.isascii() and value.isdigit())) or (
        ai in _MODES and not mod10_ok(value)
    ):
        raise NotAnIdentifierError("epcis_epc_invalid")
    if ai in ("8003", "253", "255") and not (value[:13].isdigit() and len(value) >= 13):
        raise NotAnIdentifierError("epcis_epc_invalid")
    if len(more) % 2:
        raise NotAnIdentifierError("epcis_epc_invalid")
    inner = {_WORDS.get(n, n): unquote(v) for n, v in zip(more[::2], more[1::2], strict=True)}
    allowed = {"01": ("21", "235", "10"), "8006": ("21", "10"), "414": ("254",), "8010": ("8011",)}.get(
        ai, ()
    )
    if set(inner) - {*allowed, "22"}:
        raise NotAnIdentifierError("epcis_epc_invalid")
    key = f"{GS1}/{ai}/{_escape(value)}"
    for name in allowed:
        serial = inner.get(name)
        if serial is None or (ai == "414" and serial == "0"):
            continue
        if re.fullmatch(rf"{_ANY}{{1,28}}", serial) is None or (
            name in ("21", "10", "254") and len(serial) > 20
        ):
            raise NotAnIdentifierError("epcis_epc_invalid")
        return f"{key}/{name}/{_escape(serial)}"
    return key


PrefixLength = Callable[[str], int | None]
"""How many digits of a key are the company prefix, or None when nobody knows: key digits without indicator."""


def as_urn(inner: str, length: PrefixLength) -> str:
    """The EPC URN of a canonical identifier, where it has one and its company prefix is known; else as it is."""
    if not inner.startswith(GS1 + "/"):
        return inner
    ai, _, rest = inner[len(GS1) + 1 :].partition("/")
    key, _, tail = rest.partition("/")
    key, serial_ai = unquote(key), ""
    serial = ""
    if tail:
        serial_ai, _, serial = tail.partition("/")
        serial = unquote(serial)
    if ai == "01" and not serial_ai:
        split = _split_gtin(key, length)
        return f"{_PATTERN}sgtin:{split}.*" if split else inner
    start = _SERIAL_AI[serial_ai] if ai == "01" and serial_ai in _SERIAL_AI else None
    kind = _BY_URN[start] if start else next((k for k in KINDS if k.ai == ai and ai != "01"), None)
    if kind is None:
        return inner
    if ai == "01":
        split = _split_gtin(key, length)
        return f"{kind.urn}{split}.{_urn_escape(serial)}" if split else inner
    return _other_urn(kind, key, serial, length) or inner


def _split_gtin(gtin: str, length: PrefixLength) -> str:
    size = length(gtin[1:13])
    return f"{gtin[1 : 1 + size]}.{gtin[0]}{gtin[1 + size : 13]}" if size else ""


def _other_urn(kind: Kind, key: str, serial: str, length: PrefixLength) -> str:
    body = key[1:] if kind.indicator or kind.lead else key
    size = length(body)
    if not size:
        return ""
    if not kind.digits:
        return f"{kind.urn}{key[:size]}.{_urn_escape(key[size:])}"
    if kind.indicator:
        return f"{kind.urn}{key[1 : 1 + size]}.{key[0]}{key[1 + size : kind.digits]}"
    inside = body[: kind.digits]
    head = f"{kind.urn}{inside[:size]}.{inside[size:]}"
    if kind.qualifier == "+":
        return f"{head}.{_urn_escape(body[kind.digits + 1 :])}"
    if kind.chars:
        return f"{head}.{_urn_escape(serial or '0')}"
    return head


def company_prefix(text: str) -> str:
    """The company prefix that an EPC URN states; empty for other forms."""
    if not text.startswith("urn:epc:"):
        return ""
    found = re.match(r"urn:epc:(?:id|class|idpat):[a-z]+:(\d{6,12})\.", text)
    return found[1] if found else ""


def to_code(inner: str) -> str | None:
    """Our canonical trace code (`codes.TraceCode.text`) that an identifier names, or None."""
    if inner.startswith(GS1):
        parts = inner[len(GS1) + 1 :].split("/")
        if parts[0] == "01" and len(parts) == 4 and parts[2] == "21":
            return f"(01){parts[1]}(21){unquote(parts[3])}"
        return f"(00){parts[1]}" if parts[0] == "00" and len(parts) == 2 else None
    return unquote(inner[len(CODE) :]) if inner.startswith(CODE) else None


def of_code(code: str) -> str:
    """The canonical identifier of one of our codes."""
    if code.startswith("(01)"):
        return f"{GS1}/01/{code[4:18]}/21/{_escape(code[22:])}"
    if code.startswith("(00)"):
        return f"{GS1}/00/{code[4:]}"
    return CODE + quote(code, safe=":-._~")


@dataclass(frozen=True, slots=True)
class Goods:
    """What a class identifier names: a product by its identifying prefix, and a batch when stated."""

    prefix: str
    batch_no: str = ""


def to_goods(inner: str) -> Goods | None:
    """Product (and batch) of a class identifier, or None."""
    if inner.startswith(PRODUCT):
        return Goods(unquote(inner[len(PRODUCT) :]))
    if inner.startswith(LOT):
        prefix, _, batch = inner[len(LOT) :].partition(":")
        return Goods(unquote(prefix), unquote(batch))
    if inner.startswith(f"{GS1}/01/"):
        parts = inner[len(GS1) + 1 :].split("/")
        if len(parts) == 2:
            return Goods(parts[1])
        if len(parts) == 4 and parts[2] == "10":
            return Goods(parts[1], unquote(parts[3]))
    return None


def of_goods(prefix: str, scheme: str, batch_no: str = "") -> str:
    """The class identifier of a product, or of a batch of it."""
    if scheme == "gs1":
        return f"{GS1}/01/{prefix}" + (f"/10/{_escape(batch_no)}" if batch_no else "")
    name = quote(prefix, safe="-._~")
    return f"{LOT}{name}:{quote(batch_no, safe='-._~')}" if batch_no else PRODUCT + name


def gln(inner: str) -> str:
    """The GLN of a location or party identifier; empty when it has none."""
    found = re.match(rf"{GS1}/41[47]/(\d{{13}})", inner)
    return found[1] if found else ""
