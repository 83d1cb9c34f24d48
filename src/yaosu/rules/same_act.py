"""One act told twice: the counter's scan and the HIS that reports the same sale through another way in (R-C6). Pure.

A repeat under the same number is recognised by its content (D8). This is about other numbers: the till has sold, and
the HIS tells the sale again through the interface of 码上放心, ours, or a 医保 upload, under a number of its own. For
goods sold whole that cannot be a second sale: nothing came back in between. What must be told apart is a mistake or a
crime, a code scanned again for somebody else, from one act told twice. It is the same act when the same owner did the
same kind of act with the same codes, nothing contradicts (person, prescription, receipt, settlement, preparation
units), and either a number agrees, or it was told in two different ways within minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

PAPERS = ("prescription_no", "receipt_no", "settlement_id", "visit_no")
"""Header fields that name the act on paper; those both sides give are compared."""


@dataclass(frozen=True, slots=True)
class Act:
    """A sale, use or consumer return, as one bill tells it.

    `codes` are the canonical codes; `parts` the preparation units of opened boxes among them; `papers` the header
    fields of PAPERS that are given; `person` whom it names.
    """

    owner: int
    kind: str
    """Of the bill type: use, give_back."""
    happened_at: datetime
    codes: frozenset[str]
    parts: Mapping[str, int] = field(default_factory=dict)
    papers: Mapping[str, str] = field(default_factory=dict)
    person: int | None = None
    way: str = ""
    """How it was told: at the desk by a person, by a program, or through which interface (`way_of`)."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far apart two tellings may lie (list `same_act`)."""

    paper: timedelta
    moment: timedelta


def papers_of(header: Mapping[str, object]) -> dict[str, str]:
    """The numbers of a bill's header that name the act."""
    return {name: text for name in PAPERS if (text := str(header.get(name) or "").strip())}


def way_of(header: Mapping[str, object], account_id: int | None) -> str:
    """The way a bill came in: what an interface says of itself (`header.way`), else desk or program."""
    return str(header.get("way") or "") or ("program" if account_id is None else "desk")


def same_act(told: Act, first: Act, window: Window) -> str:
    """Whether `told` is `first` again: `paper` (a number agrees), `moment` (close in time), or '' (it is not).

    `told` may name fewer codes than `first` (the HIS reports line by line), never one that `first` does not have.
    Opened boxes need another way in, a number of the act itself that agrees (not only of the stay), or the same person,
    and the same preparation units: the next patient's tablets, or the next dose, come from the same box.
    """
    if told.owner != first.owner or told.kind != first.kind or not told.codes:
        return ""
    if not told.codes <= first.codes:
        return ""
    if told.person is not None and first.person is not None and told.person != first.person:
        return ""
    both = told.papers.keys() & first.papers.keys()
    if any(told.papers[name] != first.papers[name] for name in both):
        return ""
    if any(told.parts.get(code) != first.parts.get(code) for code in told.codes):
        return ""
    apart = abs(told.happened_at - first.happened_at)
    split = any(code in first.parts for code in told.codes)
    if split:
        # the same tablets out of the same box for the same stay come again at noon: only another way in tells it twice
        if told.way == first.way:
            return ""
        both = both - {"visit_no"}
    if both:
        return "paper" if apart <= window.paper else ""
    if split and (told.person is None or told.person != first.person):
        return ""
    # twice in the same way is a slip of the hand or a second customer, and is refused as such
    return "moment" if told.way != first.way and apart <= window.moment else ""
