"""Values with a unit of measure, comparable when they measure the same thing (EPCIS 2.0 §8.2.7.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from yaosu import yamls

CLOSE = 1e-9
"""Relative difference below which two converted values are the same."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: what it measures, and how its values become those of the base unit."""

    kind: str
    factor: float
    offset: float


@cache
def units() -> Mapping[str, Unit]:
    """All units that can be converted, by their UN/CEFACT code; read once from `units.yaml`."""
    content = yamls.read((resources.files("yaosu.exchange.epcis") / "units.yaml").read_text("utf-8"))
    return {
        str(code): Unit(kind, float(factor), float(offset))
        for kind, members in content["kinds"].items()
        for code, (factor, offset) in members.items()
    }


def fits(
    compare: Callable[[Any, Any], bool], equal: bool, value: float, unit: object, limit: float, asked: str
) -> bool:
    """Whether `value unit` compares so with `limit asked`. Other units compare after conversion, unknown ones never.

    `equal`: whether the comparison holds for equal values (EQ, GE, LE).
    """
    if unit == asked:
        return compare(value, limit)
    mine, theirs = units().get(str(unit)), units().get(asked)
    if mine is None or theirs is None or mine.kind != theirs.kind:
        return False
    one, other = value * mine.factor + mine.offset, limit * theirs.factor + theirs.offset
    if math.isclose(one, other, rel_tol=CLOSE):
        return equal
    return compare(one, other)
