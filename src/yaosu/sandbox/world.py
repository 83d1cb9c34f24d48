"""The world of one generation: who is in it, and what they have when it begins. Pure but for random serials."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import orjson

from yaosu.codes.identifiers.uscc import organisation_check_character, uscc_check_character
from yaosu.registry.drafts import LevelDraft

CASES, BOXES = 6, 10
"""Cases of each product, boxes in each."""
TO_WHOLESALER, TO_PHARMACY, TO_HOSPITAL = 5, 2, 1
"""Cases that leave the maker; of these the wholesaler passes on. The last of each way is still under way."""


@dataclass(frozen=True, slots=True)
class Role:
    """One organisation of the sandbox."""

    key: str
    zh: str
    type: int
    sub_type: int | None = None


ROLES = (
    Role("maker", "示例制药", 1),
    Role("wholesaler", "示例批发", 2),
    Role("pharmacy", "示例药店", 4, 44),
    Role("hospital", "示例医院", 3, 34),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A product of the sandbox: `scheme` of its codes, and what its name says about it."""

    scheme: str
    name: str


KINDS = (Kind("cn20", "沙箱示例胶囊"), Kind("gs1", "沙箱示例注射液（GS1）"))


def identifiers(kind: Kind, number: int) -> tuple[str, str]:
    """Identifiers of box and case that no real product has: 7-digit ones begin with 7, GTINs with the GS1 prefix 02
    for restricted circulation."""
    if kind.scheme == "cn20":
        return f"7{3 * number:06d}", f"7{3 * number + 1:06d}"
    return gtin(f"002{number:010d}"), gtin(f"102{number:010d}")


def gtin(first13: str) -> str:
    """A GTIN-14 with its check digit (GS1 General Specifications 7.9)."""
    total = sum(int(d) * (3 if n % 2 == 0 else 1) for n, d in enumerate(first13))
    return f"{first13}{-total % 10}"


def uscc(region: str, number: int) -> str:
    """A well-formed 统一社会信用代码 (GB 32100) that no real firm has: registered by Y 其他, kind 1."""
    organisation = f"{number:08d}"
    body = "Y1" + region + organisation + organisation_check_character(organisation)
    return body + uscc_check_character(body)


def ladder(kind: Kind, number: int) -> tuple[LevelDraft, ...]:
    """Box and case."""
    box, case = identifiers(kind, number)
    return LevelDraft(1, 1, box, kind.scheme, "盒"), LevelDraft(2, BOXES, case, kind.scheme, "箱")


@dataclass(frozen=True, slots=True)
class Case:
    """A case with its boxes, as codes."""

    code: str
    boxes: tuple[str, ...]


def cases(kind: Kind, number: int) -> tuple[Case, ...]:
    """The codes of one product's goods."""
    box, case = identifiers(kind, number)

    def code(prefix: str) -> str:
        if kind.scheme == "cn20":
            return f"{prefix}{secrets.randbelow(10**9):09d}{secrets.randbelow(9999) + 1:04d}"
        return f"(01){prefix}(21){secrets.token_hex(6).upper()}"

    return tuple(Case(code(case), tuple(code(box) for _ in range(BOXES))) for _ in range(CASES))


def relation_file(batch_no: str, made: date, expires: date, goods: Sequence[Case]) -> bytes:
    """The relation file that activates them (docs/formats.md)."""
    codes: list[dict[str, object]] = []
    for one in goods:
        codes.append({"code": one.code, "level": 2})
        codes += [{"code": box, "level": 1, "parent": one.code} for box in one.boxes]
    relation = {"batch_no": batch_no, "made_on": made.isoformat(), "expires_on": expires.isoformat()}
    return orjson.dumps({"relations": [{**relation, "codes": codes}]})
