"""What of the published methods is done and what is not, and why not: the table of docs/top.md and `yaosu top methods`.

Reasons are data (`left_out.yaml`: patterns of names, first match counts), so that the table cannot drift from the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources

from yaosu import yamls
from yaosu.exchange.top.fields import published
from yaosu.exchange.top.protocol import load_methods


@dataclass(frozen=True, slots=True)
class Entry:
    """One published method."""

    name: str
    generation: str
    done: bool
    why: str
    """Why it is not done; empty for those that are."""


@cache
def _reasons() -> Sequence[tuple[str, str]]:
    text = (resources.files("yaosu.exchange.top") / "left_out.yaml").read_text("utf-8")
    return [(row["match"], row["why"]) for row in yamls.read(text)["reasons"]]


def entries() -> list[Entry]:
    """All published methods by name."""
    done = load_methods()
    found = []
    for name, one in sorted(published().items()):
        why = "" if name in done else next((w for m, w in _reasons() if fnmatchcase(name, m)), "")
        found.append(Entry(name, one.generation, name in done, why))
    return found


def counted() -> tuple[int, int]:
    """(done, all)."""
    return len(load_methods()), len(published())


START, END = "<!-- methods: begin -->", "<!-- methods: end -->"


def table() -> str:
    """The table in Markdown, between its marks."""
    done, total = counted()
    lines = [START, "", f"{done} of {total} published methods are done.", ""]
    lines += ["| method | set | done | why not |", "|---|---|---|---|"]
    for one in entries():
        lines.append(f"| `{one.name}` | {one.generation} | {'yes' if one.done else 'no'} | {one.why} |")
    return "\n".join([*lines, "", END])


def written(text: str) -> str:
    """`text` (docs/top.md) with the table of now. Raises ValueError when the marks are missing."""
    before, found, rest = text.partition(START)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError("the marks of the table are missing")
    return before + table() + after
