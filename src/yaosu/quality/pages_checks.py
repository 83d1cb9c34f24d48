"""Pages of periodic checks, findings, the balance sheet and stock counts."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.quality import balance, checks, counts, views
from yaosu.quality.answers import Before, RecordId
from yaosu.quality.checks import CHINA
from yaosu.quality.counts import Quantity
from yaosu.quality.pages_common import PAGE, Asked, Day, Short, Text, Whole, Word, day_of, own, show
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()


async def _people(conn: Connection, subject: Subject) -> list[tuple[int, str]]:
    return [(row["id"], row["name"]) for row in await checks.accounts(conn, subject)]


async def _index(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    closed: bool = False,
) -> Response:
    registry, lang = registry_of(request), language(request)
    states = ("closed",) if closed else ("open", "answered")
    rows = await checks.findings(conn, subject, states)
    made = await checks.listed(conn, subject, limit=12)
    mine = own(subject) and subject.org_id is not None
    now = datetime.now(UTC)
    context = {
        "findings": [views.finding(registry, row, lang) for row in rows],
        "closed": closed,
        "now": now,
        "late": sum(row["state"] == "open" and row["due_at"] < now for row in rows),
        "checks": [views.check(row, lang) for row in made],
        "plan": await checks.plan(conn, subject) if mine else None,
        "people": await _people(conn, subject) if mine else [],
    }
    return show(request, subject, "index.html", context, error)


@router.get("/quality")
async def index(request: Request, conn: Conn, subject: CurrentSubject, state: Asked = "") -> Response:
    """Open findings, the plan, and the latest checks."""
    return await _index(request, conn, subject, closed=state == "closed")


@router.post("/quality/run")
async def run(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Check now."""
    number = await checks.run_now(conn, registry_of(request), subject)
    return see_other(f"/quality/checks/{number}")


@router.post("/quality/plan")
async def plan(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    every: Word = "",
    account: Whole = "",
    active: Word = "",
) -> Response:
    """Set the plan."""
    try:
        await checks.set_plan(conn, subject, every, int(account or 0), active == "1")
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _index(request, conn, subject, error)
    return see_other("/quality")


@router.get("/quality/checks/{check_id}")
async def check(request: Request, check_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """What one check measured."""
    row = await checks.get(conn, subject, check_id)
    return show(request, subject, "check.html", {"check": views.check(row, language(request))})


async def _finding(
    request: Request, conn: Connection, subject: Subject, number: int, error: YaosuError | None = None
) -> Response:
    row, events = await checks.finding(conn, subject, number)
    mine = row["org"] == subject.org_id
    item = registry_of(request).lists.item("quality_rule", row["rule"])
    context = {
        "finding": views.finding(registry_of(request), row, language(request)),
        "source": item.source if item is not None else "",
        "events": [views.event(one) for one in events],
        "late": row["state"] == "open" and row["due_at"] < datetime.now(UTC),
        "may_work": mine and (subject.can("quality.manage") or row["owner"] == subject.account_id),
        "mine": mine,
        "people": await _people(conn, subject) if mine else [],
    }
    return show(request, subject, "finding.html", context, error)


@router.get("/quality/findings/{finding_id}")
async def finding(request: Request, finding_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One finding with its evidence and history."""
    return await _finding(request, conn, subject, finding_id)


@router.post("/quality/findings/{finding_id}")
async def work(
    request: Request,
    finding_id: RecordId,
    conn: Conn,
    subject: CurrentSubject,
    act: Word = "",
    text: Text = "",
    account: Whole = "",
    due: Day = "",
) -> Response:
    """Answer, close or assign."""
    try:
        if act == "assign":
            day = day_of(due, "due")
            until = datetime.combine(day + timedelta(days=1), time(), CHINA) if day else None
            await checks.assign(conn, subject, finding_id, int(account or 0), until)
        elif act == "close":
            await checks.close(conn, subject, finding_id, text)
        else:
            await checks.answer(conn, subject, finding_id, text)
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _finding(request, conn, subject, finding_id, error)
    return see_other(f"/quality/findings/{finding_id}")


@router.get("/quality/balance")
async def sheet(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    start: Annotated[str, Query(alias="from", max_length=10)] = "",
    end: Annotated[str, Query(alias="to", max_length=10)] = "",
    org: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    drug: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    batch: Asked = "",
) -> Response:
    """Books, entries and packages side by side, thirty days unless asked otherwise."""
    subject.require("quality.read")
    today = datetime.now(CHINA).date()
    first = day_of(start, "from") or today - timedelta(days=30)
    last = day_of(end, "to") or today
    whose = int(org) if org else subject.org_id
    lines: list[balance.Line] = []
    if whose is not None:
        since = datetime.combine(first, time(), CHINA)
        until = datetime.combine(last + timedelta(days=1), time(), CHINA)
        lines = await balance.sheet(conn, subject, whose, since, until, int(drug) if drug else None, batch)
    shown = [views.balance_line(registry_of(request), line, language(request)) for line in lines]
    context = {
        "lines": sorted(shown, key=lambda one: one["ties"]),
        "totals": balance.totals(lines),
        "first": first,
        "last": last,
        "org": org,
        "drug": drug,
        "batch": batch,
        "whose": whose,
    }
    return show(request, subject, "balance.html", context)


async def _counts(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    before: int | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    rows = await counts.listed(conn, subject, before, limit=PAGE)
    context = {
        "counts": [views.count_head(row) for row in rows],
        "next": rows[-1]["id"] if len(rows) == PAGE else None,
        "may_count": own(subject) and (subject.can("quality.manage") or subject.can("bill.write")),
        "given": given or {"codes": "", "quantities": "", "drug": "", "batch": ""},
    }
    return show(request, subject, "counts.html", context, error)


@router.get("/quality/counts")
async def list_counts(
    request: Request, conn: Conn, subject: CurrentSubject, before: Before = None
) -> Response:
    """Stock counts, and a form for a new one."""
    return await _counts(request, conn, subject, before=before)


@router.post("/quality/counts")
async def add_count(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    codes: Annotated[str, Form(max_length=600_000, pattern=r"^[^\x00]*$")] = "",
    quantities: Annotated[str, Form(max_length=100_000, pattern=r"^[^\x00]*$")] = "",
    drug: Whole = "",
    batch: Short = "",
) -> Response:
    """Compare what was scanned, one code a line, or what was counted: product number, batch, quantity a line."""
    registry = registry_of(request)
    drug_id = int(drug) if drug else None
    try:
        if quantities.strip():
            number = await counts.by_quantities(conn, registry, subject, read_quantities(quantities))
        else:
            number = await counts.by_codes(conn, registry, subject, codes.split("\n"), drug_id, batch.strip())
    except YaosuError as error:
        if error.http == 403:
            raise
        given = {"codes": codes, "quantities": quantities, "drug": drug, "batch": batch}
        return await _counts(request, conn, subject, error, given=given)
    return see_other(f"/quality/counts/{number}")


def read_quantities(text: str) -> list[Quantity]:
    """Lines of product number, batch and quantity, apart by blanks, tabs or commas. Refused: `field_invalid`."""
    found = []
    for n, line in enumerate(text.replace("，", ",").replace(",", " ").split("\n"), 1):
        parts = line.split()
        if not parts:
            continue
        digits = len(parts) == 3 and parts[0].isdecimal() and parts[2].isdecimal()
        if not digits or len(parts[0]) > 9 or len(parts[2]) > 9:
            raise YaosuError(
                "field_invalid", {"field": f"{n}: {line.strip()[:60]}", "reason": "7, 20260101, 118"}
            )
        found.append(Quantity(int(parts[0]), parts[1][:64], int(parts[2])))
    return found


@router.get("/quality/counts/{count_id}")
async def count(request: Request, count_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One stock count with every difference."""
    row = await counts.get(conn, subject, count_id)
    return show(request, subject, "count.html", {"stock": views.count(row, language(request))})
