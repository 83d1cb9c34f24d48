"""Event 2008, recall: its content, made from our recall orders and locks and read from those of others (R-E4, R-B9).

Its home tells, the others stop. `act`: stop puts it into force, lift takes it back, end says that a recall is over
(the goods stay stopped).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncpg import Record

from yaosu.exchange.xietong.envelope import Content

KINDS, ACTS = ("recall", "lock"), ("stop", "lift", "end")
BATCHES_MAX, CODES_MAX, REGIONS_MAX = 500, 5_000, 100


@dataclass(frozen=True, slots=True)
class Word:
    """What an event says, well-formed; parties and product as they are named outside."""

    kind: str
    act: str
    number: str
    product: str
    title: str
    reason: str
    hazard: str
    level: int
    measure: str
    ordered: bool
    public: bool
    return_to: str
    regions: Sequence[str]
    batches: Sequence[str]
    codes: Sequence[str]


def _choice(content: Content, name: str, allowed: Sequence[str]) -> str:
    value = content.text(name, True, 20)
    if value not in allowed:
        raise content.wrong(name, f"应为 {'、'.join(allowed)}", f"one of {', '.join(allowed)}")
    return value


def _texts(content: Content, name: str, most: int, longest: int) -> list[str]:
    found = content.many(name, most)
    for number, value in enumerate(found):
        if not isinstance(value, str) or not 0 < len(value.strip()) <= longest or not value.isprintable():
            raise content.wrong(
                f"{name}.{number}", f"应为至多 {longest} 个字符的文本", f"text of at most {longest}"
            )
    return list(dict.fromkeys(str(v).strip() for v in found))


def read(content: Content) -> Word:
    """The event's word. Refused: `xietong_content` with the field."""
    act = _choice(content, "act", ACTS)
    kind = _choice(content, "kind", KINDS)
    if act == "end" and kind == "lock":
        raise content.wrong("act", "锁定应为 stop 或 lift", "a lock has stop and lift")
    content.time("happened_at")
    regions = _texts(content, "regions", REGIONS_MAX, 6)
    for number, region in enumerate(regions):
        if not (region.isascii() and region.isdigit() and len(region) == 6):
            raise content.wrong(f"regions.{number}", "应为 6 位行政区划代码", "six digits of GB/T 2260")
    word = Word(
        kind=kind,
        act=act,
        number=content.text("number", True, 50),
        product=content.text("product", True, 60),
        title=content.text("title", act == "stop", 200),
        reason=content.text("reason", True, 2000, lines=True),
        hazard=content.text("hazard", False, 2000, lines=True),
        level=content.whole("level", 1, 1, 3),
        measure=content.text("measure", False, 20) or "return",
        ordered=content.flag("ordered"),
        public=content.flag("public"),
        return_to=content.text("return_to", False, 40),
        regions=regions,
        batches=_texts(content, "batches", BATCHES_MAX, 64),
        codes=_texts(content, "codes", CODES_MAX, 200),
    )
    if act == "stop" and not word.batches and not word.codes:
        raise content.wrong("batches", "须指明批次或追溯码", "batches or codes must be named")
    return word


def made(row: Record, act: str, product: str, parties: Mapping[str, str]) -> dict[str, Any]:
    """The content of an event about a recall order or lock of ours. `contact` stays here: it may name a person."""
    at = row["at"] if act == "stop" else row["ended_at"]
    full = {
        "owner": parties["owner"],
        "kind": row["kind"],
        "act": act,
        "number": row["number"],
        "product": product,
        "happened_at": at.isoformat(),
        "title": row["title"],
        "reason": row["reason"] if act == "stop" else row["end_reason"] or row["reason"],
        "hazard": row["hazard"],
        "level": row["level"],
        "measure": row["measure"],
        "ordered": row["ordered"],
        "public": row["public"],
        "return_to": parties["return_to"],
        "regions": list(row["regions"]),
        "batches": list(row["batches"]),
        "codes": list(row["codes"]),
    }
    return {k: v for k, v in full.items() if v not in (None, "", [])}
