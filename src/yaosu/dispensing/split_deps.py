"""What the API and the pages of split dispensing share: the desk, cursors, box keys, patients."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request

from yaosu.circulation.parts import committer_of
from yaosu.circulation.prepare import scans_of
from yaosu.db.engine import Connection
from yaosu.dispensing import split_views
from yaosu.dispensing.split_orders import Desk, Recorded
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.people import service as people
from yaosu.people.parts import keeper_of
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


def desk_of(request: Request, subject: Subject) -> Desk:
    """Who acts, through this server's doors."""
    return Desk(state(request).pool, committer_of(request), registry_of(request), subject)


async def people_of(
    request: Request, subject: Subject, person_ids: Iterable[int | None], conn: Connection | None = None
) -> split_views.People:
    """Patients masked, as far as the reader's organisation knows them."""
    wanted = {p for p in person_ids if p is not None}
    if not wanted:
        return {}
    if conn is not None:
        return await people.shown(conn, keeper_of(request), subject, wanted)
    async with state(request).pool.acquire() as own, own.transaction():
        return await people.shown(own, keeper_of(request), subject, wanted)


async def order_answer(request: Request, subject: Subject, done: Recorded) -> dict[str, Any]:
    """The answer to an order, its patients masked."""
    found = await people_of(request, subject, [s["person_id"] for s in done.shares])
    return split_views.order_view(registry_of(request), done, language(request), found)


def org_name(request: Request, subject: Subject) -> str:
    """The name of the organisation whose ledger it is."""
    card = registry_of(request).org(subject.org_id) if subject.org_id is not None else None
    return card.name if card is not None else subject.name


def box_key(registry: Registry, raw: str) -> tuple[int, str] | None:
    """Product and canonical code of a scanned text; None when it names no product of ours."""
    (scan,), _, _ = scans_of(registry, [raw])
    return (scan.drug_id, scan.code) if scan.drug_id and not scan.problem else None


def soon_of(within: timedelta) -> datetime:
    """The moment up to which a box is expiring."""
    return datetime.now(UTC) + within


def cursor_text(when: datetime, code: str) -> str:
    """The cursor after a box of the ledger."""
    return f"{when.isoformat()}|{code}"


def cursor_of(text: str) -> tuple[datetime, str] | None:
    """Time and code of a cursor; None for the first page. Refused (`field_invalid`) when it is none of ours."""
    if not text:
        return None
    when, _, code = text.partition("|")
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not code or "\x00" in code:
        raise YaosuError("field_invalid", {"field": "before", "reason": text[:40]})
    return moment, code
