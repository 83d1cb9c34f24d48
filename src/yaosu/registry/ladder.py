"""The ladder (包装转换): how the package levels of a product nest.

Level 1 is the smallest sales package. `contains` is how many packages of the next lower level a full package
holds; `units_per` how many smallest packages. The text form 包装比例 ("1:10:200") counts from the top: one case
holds 10 middle packages and 200 boxes (standards §5.3, the relation file's `cascade`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from yaosu.codes.custom import check_issuer
from yaosu.codes.identifiers import check_gtin, gtin14
from yaosu.errors import Finding
from yaosu.registry.drafts import LevelDraft
from yaosu.registry.model import CN20, CUSTOM, GS1, Level

LEVELS_MAX = 9
UNITS_MAX = 10_000_000
"""Most smallest packages in one package: far above a pallet, far below what would overflow a sum."""

_NAMES = {1: ("盒",), 2: ("盒", "箱"), 3: ("盒", "中包装", "箱")}


def default_names(count: int) -> tuple[str, ...]:
    """Usual names of a ladder of `count` levels, from level 1 upward."""
    return _NAMES.get(count) or ("盒", *(f"中包装{n}" for n in range(1, count - 1)), "箱")


def parse_ratio(text: str) -> tuple[int, ...] | Finding:
    """`contains` of each level from level 1 upward, from a text like "1:10:200"; full-width colons are fine."""
    parts = text.strip().replace("：", ":").split(":")
    if not 1 <= len(parts) <= LEVELS_MAX or not all(
        p.strip().isascii() and p.strip().isdigit() for p in parts
    ):
        return Finding("ladder_ratio_text", {"ratio": text[:40]}, "ratio")
    if any(len(p.strip()) > 8 for p in parts):
        return Finding("ladder_ratio_text", {"ratio": text[:40]}, "ratio")
    held = [int(p) for p in parts]
    if held[0] != 1:
        return Finding("ladder_ratio_top", {"ratio": text[:40]}, "ratio")
    for upper, lower in pairwise(held):
        if lower < upper or lower % upper:
            return Finding("ladder_ratio_step", {"ratio": text[:40], "upper": upper, "lower": lower}, "ratio")
    steps = [lower // upper for upper, lower in pairwise(held)]
    return (1, *reversed(steps))


def format_ratio(contains: Sequence[int]) -> str:
    """The text form of a ladder given by `contains` from level 1 upward; inverse of `parse_ratio`."""
    held = [1]
    for step in reversed(contains[1:]):
        held.append(held[-1] * step)
    return ":".join(str(h) for h in held)


def identifier(scheme: str, raw: str, where: str) -> str | Finding:
    """The 药品标识码 of a level in its stored form: 7 digits, GTIN-14, or an issuer key."""
    text = raw.strip()
    if scheme == CN20:
        if len(text) == 7 and text.isascii() and text.isdigit():
            return text
        return Finding("identifier_cn20_shape", {"value": text[:40]}, where)
    if scheme == GS1:
        checked = check_gtin(text)
        if checked.value is None:
            assert checked.problem is not None
            return Finding(checked.problem.code, checked.problem.params, where)
        return gtin14(checked.value)
    if scheme == CUSTOM:
        problem = check_issuer(text)
        return Finding(problem.code, problem.params, where) if problem is not None else text
    return Finding("scheme_unknown", {"scheme": scheme[:20]}, where)


def build(drafts: Sequence[LevelDraft]) -> tuple[tuple[Level, ...], list[Finding]]:
    """The ladder of `drafts` with cumulative counts, and everything that is wrong with it.

    The ladder is only usable when there are no findings: levels run 1, 2, 3 … without gap, level 1 contains 1,
    every factor is at least 1, no identifier stands twice, no package holds more than `UNITS_MAX`.
    """
    found: list[Finding] = []
    levels: list[Level] = []
    if not drafts:
        return (), [Finding("ladder_empty", {}, "levels")]
    ordered = sorted(drafts, key=lambda d: d.level)
    if [d.level for d in ordered] != list(range(1, len(ordered) + 1)) or len(ordered) > LEVELS_MAX:
        numbers = ", ".join(str(d.level) for d in ordered[:20])
        return (), [Finding("ladder_gap", {"levels": numbers}, "levels")]
    units = 1
    seen: set[str] = set()
    for draft in ordered:
        where = f"levels.{draft.level}"
        if draft.contains < 1 or (draft.level == 1 and draft.contains != 1):
            found.append(
                Finding("ladder_contains", {"level": draft.level, "contains": draft.contains}, where)
            )
            continue
        units *= draft.contains
        if units > UNITS_MAX:
            found.append(Finding("ladder_too_large", {"level": draft.level, "max": UNITS_MAX}, where))
            break
        key = identifier(draft.scheme, draft.identifier, f"{where}.identifier")
        if isinstance(key, Finding):
            found.append(key)
            continue
        if key in seen:
            found.append(Finding("ladder_identifier_twice", {"value": key}, where))
        seen.add(key)
        name = draft.name.strip() or default_names(len(ordered))[draft.level - 1]
        levels.append(Level(draft.level, name, draft.contains, units, key, draft.scheme))
    return tuple(levels), found
