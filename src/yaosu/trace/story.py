"""From chains of own events to a whole history (design D3, R-X4). Pure.

A unit's own events are a chain. While it was inside a container, what happened to the container happened to
it; the same holds for the container and what was around that. Bill ids rise along every unit's life, so an
interval of bill ids says exactly which events of a container are inherited: those after the unit went in and
before it came out.
"""

from __future__ import annotations

from collections.abc import Mapping

from yaosu.trace.model import DEPTH_MAX, Happening, Stay, Tale

OPEN = 1 << 62
"""End of an interval that has not ended."""


def stays_of(tale: Tale) -> list[Stay]:
    """When the unit was inside which container, oldest first; and under which code it stood before."""
    found = []
    if tale.was is not None:
        found.append(Stay(tale.code, tale.was[0], 0, tale.was[1], renamed=True))
    found += [
        Stay(tale.code, line.left_parent, line.prev_bill, line.bill_id)
        for line in reversed(tale.lines)
        if line.left_parent
    ]
    if tale.parent is not None:
        found.append(Stay(tale.code, tale.parent, tale.last_bill, None))
    return found


def containers_of(tale: Tale) -> set[str]:
    """Every container the unit was ever inside of, directly."""
    return {stay.container for stay in stays_of(tale)}


def own_events(tale: Tale) -> list[Happening]:
    """What was recorded of the unit itself, oldest first: what brought it into the books, then its lines."""
    found = [Happening(bill, tale.code, "", status) for bill, status in tale.origins.items()]
    found += [Happening(line.bill_id, tale.code, line.pre, line.post) for line in tale.lines]
    return sorted(found, key=lambda event: event.bill_id)


def history(tales: Mapping[str, Tale], code: str) -> tuple[list[Happening], list[Stay]]:
    """All events of `code`, own and inherited, in the order of bills; and all stays that matter to them.

    `tales` holds the unit and every container reached from it. No bill stands twice: what was observed on the
    unit wins over the same bill seen on a container, the nearest container over one further out.
    """
    found: dict[int, Happening] = {}
    stays: list[Stay] = []
    _collect(tales, code, 0, OPEN, (), found, stays)
    events = [found[bill] for bill in sorted(found)]
    return events, stays


def _collect(
    tales: Mapping[str, Tale],
    code: str,
    after: int,
    before: int,
    through: tuple[Stay, ...],
    found: dict[int, Happening],
    stays: list[Stay],
) -> None:
    tale = tales.get(code)
    if tale is None or len(through) > DEPTH_MAX:
        return
    for event in own_events(tale):
        if not through:
            found[event.bill_id] = event
        # the bill that put it in and the one that took it out are the unit's own events
        elif after < event.bill_id < before and event.bill_id not in found:
            found[event.bill_id] = Happening(event.bill_id, code, event.pre, event.post, code, through)
    for stay in stays_of(tale):
        start, end = max(stay.entered, after), min(OPEN if stay.left is None else stay.left, before)
        if start < end:
            stays.append(stay)
            _collect(tales, stay.container, start, end, (*through, stay), found, stays)


def first_oddity(times: list[tuple[int, object]]) -> int:
    """The first bill whose time lies before that of the bill before it; 0 when time runs forward (D14)."""
    latest: object = None
    for bill_id, when in times:
        if latest is not None and when < latest:  # type: ignore[operator]
            return bill_id
        latest = when
    return 0
