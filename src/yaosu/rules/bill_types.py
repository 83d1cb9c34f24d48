"""Bill types (单据类型) as values, read from `bill_types.yaml` (D11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from yaosu import yamls

Kind = Literal[
    "internal",
    "make",
    "ship",
    "receive",
    "use",
    "give_back",
    "end",
    "withdraw",
    "find",
    "rework",
    "hold",
    "release",
    "open",
    "split_loss",
    "uncoded",
]


@dataclass(frozen=True, slots=True)
class BillType:
    """One bill type: who may use it, what it needs, and what it does to a unit (standards §5.5, §5.7)."""

    code: int
    zh: str
    en: str
    kind: Kind
    direction: str
    """in, out, use, or none."""
    actors: frozenset[int]
    """Organisation types that may own such a bill."""
    pre: frozenset[str]
    """Statuses a unit may be in."""
    post: str
    """Status afterwards."""
    by_dest: bool
    """True: the unit must be on its way to the owner; False: in the owner's account."""
    needs: tuple[str, ...]
    """Header fields without which the bill is refused."""
    expired: bool
    """Whether units past their expiry date may be moved so."""
    reasons: str
    """Code list of the reason field, empty when free."""
    categories: frozenset[str]
    """Product categories it is for; empty: all."""
    stopped: bool = False
    """Whether goods under a recall or lock may be moved so: back, aside or out of the world (R-E4)."""
    parts: str = ""
    """What preparation units named for a code mean: dispense, return, loss; empty: none may be named (R-C9)."""
    uncoded: tuple[str, str] | None = None
    """Ledger accounts that quantities without codes go from and to, e.g. W to U (R-C8)."""
    supplement: bool = False
    """Codes arrive for goods that are in the uncoded stock: the same quantity leaves it (R-D1)."""

    @property
    def by_quantity(self) -> bool:
        """Whether it moves quantities instead of codes."""
        return self.kind == "uncoded"

    def label(self, lang: str) -> str:
        """Name in the reader's language."""
        return self.zh if lang.startswith("zh") else self.en


@cache
def bill_types() -> Mapping[int, BillType]:
    """All bill types by code."""
    text = (resources.files("yaosu.rules") / "bill_types.yaml").read_text("utf-8")
    rows = yamls.read(text)["types"]
    found = {}
    for code, row in rows.items():
        found[int(code)] = BillType(
            code=int(code),
            zh=row["zh"],
            en=row["en"],
            kind=row["kind"],
            direction=row["direction"],
            actors=frozenset(row["actors"]),
            pre=frozenset(row["pre"]),
            post=row["post"],
            by_dest=row.get("whose") == "dest",
            needs=tuple(row.get("needs", ())),
            expired=bool(row.get("expired", False)),
            reasons=row.get("reasons", ""),
            categories=frozenset(row.get("categories", ())),
            stopped=bool(row.get("stopped", False)),
            parts=row.get("parts", ""),
            uncoded=tuple(row["uncoded"]) if "uncoded" in row else None,
            supplement=bool(row.get("supplement", False)),
        )
    return found


@cache
def submittable() -> Mapping[int, BillType]:
    """The types a caller may submit as a movement: all but the production room's own."""
    return {code: one for code, one in bill_types().items() if one.kind != "internal"}
