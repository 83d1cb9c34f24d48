"""Steps of the plan: one API call each, with what must have happened before and what is to be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One call. `kind`: activate, movement, void, answer, pack, replace; `who` calls it.

    `after` are the steps whose packages it touches; `about` is the step whose answer names what it is about.
    `expect` are the verdicts, other than plain acceptance, that the answer must hold.
    """

    n: int
    kind: str
    who: str
    at: datetime
    body: Mapping[str, Any]
    after: frozenset[int] = frozenset()
    about: int | None = None
    expect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A code (or bill) in an interesting state: `status` is the letter its unit must have, '' when it has none."""

    key: str
    code: str
    status: str = ""
    raw: str = ""
    """What a scanner sends, where that is not the code itself."""
    bill_no: str = ""
    login: str = ""


@dataclass(slots=True)
class Plan:
    """The whole calendar."""

    anchor: datetime
    steps: list[Step] = field(default_factory=list)
    examples: dict[str, Example] = field(default_factory=dict)
    boxes: int = 0
