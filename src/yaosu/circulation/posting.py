"""One bill that will be written: judged, not yet stored."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.circulation.model import Flag, Kept, MovementResult, Prepared
from yaosu.errors import YaosuError
from yaosu.rules.judge import Verdict
from yaosu.rules.lines import Alike, Transfer

Outcome = MovementResult | YaosuError


class Posting:
    """One bill that will be written: its rows, judged but not yet stored."""

    __slots__ = (
        "bill_id",
        "checks",
        "content_hash",
        "flags",
        "kept",
        "kept_notices",
        "leaf",
        "notice_bill",
        "odd",
        "parts",
        "prepared",
        "refused",
        "replaces",
        "result",
        "revision",
        "split_rows",
        "status",
        "taken_back",
        "transfers",
        "verdicts",
    )

    def __init__(
        self, prepared: Prepared, bill_id: int, parts: list[Alike], verdicts: Sequence[Verdict]
    ) -> None:
        self.prepared = prepared
        self.bill_id = bill_id
        self.parts = parts
        """Its lines, alike ones together."""
        self.verdicts = verdicts
        self.odd = [v for v in verdicts if v.severity != "ok"]
        """Refusals and warnings: most bills have none."""
        self.refused = [v for v in self.odd if not v.accepted]
        self.revision = prepared.movement.revision
        self.status = "A"
        self.flags = prepared.flags
        self.replaces: int | None = None
        self.notice_bill: int | None = prepared.order.notice or None
        self.content_hash = prepared.content_hash
        self.leaf = b""
        self.checks: list[dict[str, object]] = []
        self.result: MovementResult | None = None
        self.transfers: dict[Transfer, int] = {}
        """What moves in the ledger beside the lines: goods without codes."""
        self.split_rows: list[tuple[int, int, int, str, str]] = []
        """Entries of opened boxes beside those of the lines."""
        self.kept: list[Kept] = []
        """Lines of the revision before that stay as they are."""
        self.kept_notices: dict[tuple[int, str], int] = {}
        self.taken_back: list[str] = []

    @property
    def codes(self) -> list[str]:
        """The codes it moves."""
        return [code for part in self.parts for code in part.codes]

    @property
    def qty(self) -> int:
        """Smallest packages the bill moves: units, goods without codes, and what a correction leaves alone."""
        moved = sum(part.qty for part in self.parts)
        if self.prepared.kind.by_quantity:
            moved += sum(self.transfers.values())
        return moved + sum(kept.qty for kept in self.kept if not self.is_reversal)

    @property
    def count(self) -> int:
        """Accepted codes, or accepted lines of goods without codes."""
        by_quantity = self.prepared.kind.by_quantity
        own = len(self.transfers) if by_quantity else sum(len(part.codes) for part in self.parts)
        return own + (0 if self.is_reversal else len(self.kept))

    @property
    def is_reversal(self) -> bool:
        """Whether it takes a revision back."""
        return bool(self.flags & Flag.REVERSAL)

    @property
    def drug_ids(self) -> list[int]:
        """Products it touches."""
        found = {part.first.unit.drug_id for part in self.parts} | {key[0] for key in self.transfers}
        return sorted(found | {kept.drug_id for kept in self.kept})
