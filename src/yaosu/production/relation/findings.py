"""Everything wrong at once, within bounds: a hostile file must not make a list of ten million complaints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from yaosu.errors import Finding

FINDINGS_MAX = 10_000
"""Findings kept in all; further ones are only counted."""
PER_CODE_MAX = 1_000
"""Findings kept of one kind, so that a fault of every line does not hide the others."""


def _shown(value: object) -> object:
    """Findings are stored as JSON, and PostgreSQL's holds no NUL: it is shown by its picture."""
    return value.replace("\x00", "␀") if isinstance(value, str) else value


class Findings:
    """A bounded list of findings with exact counts per code of the message registry."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def add(self, code: str, where: str = "", /, **params: object) -> None:
        """Count one finding and keep it while there is room."""
        self.counts[code] += 1
        if len(self.kept) < FINDINGS_MAX and self.counts[code] <= PER_CODE_MAX:
            self.kept.append(Finding(code, {k: _shown(v) for k, v in params.items()}, where))

    def room(self, code: str) -> int:
        """How many more findings of this code would be kept."""
        return max(0, min(FINDINGS_MAX - len(self.kept), PER_CODE_MAX - self.counts[code]))

    def count_only(self, code: str, more: int) -> None:
        """Count findings that nobody will read one by one."""
        if more > 0:
            self.counts[code] += more

    def extend(self, other: Findings) -> None:
        """Take over another list."""
        for one in other.kept:
            if len(self.kept) < FINDINGS_MAX:
                self.kept.append(one)
        self.counts.update(other.counts)

    @property
    def total(self) -> int:
        """How many there are, kept or not."""
        return self.counts.total()

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.kept)

    def __bool__(self) -> bool:
        return self.total > 0
