"""定期核查: the plan of an organisation, its checks, and findings as tasks until they are settled (R-E2).

A finding is one rule that does not hold. The next check brings it up to date: what holds again closes by itself,
what was answered and still does not hold is opened again with a new deadline. Every step stays in its history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify.service import tell
from yaosu.people import free_text
from yaosu.quality import store_checks as store
from yaosu.quality.measures import RULES, Measured, Question
from yaosu.quality.measures import number as number_of
from yaosu.quality.refusals import missing
from yaosu.registry.model import Item
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

CHINA = ZoneInfo("Asia/Shanghai")
EVERY = ("day", "week", "month")
AREAS = ("coding", "activation", "timeliness", "matching", "balance")
STATES = ("open", "answered", "closed")
AT = time(2)
"""When planned checks run, China time: nobody is waiting then."""
ANSWER_MAX = 2_000


def next_after(every: str, now: datetime) -> datetime:
    """The next planned time: tomorrow, next Monday, or the first of next month, at `AT` in China."""
    today = now.astimezone(CHINA).date()
    if every == "day":
        day = today + timedelta(days=1)
    elif every == "week":
        day = today + timedelta(days=7 - today.weekday())
    else:
        day = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime.combine(day, AT, CHINA)


async def plan(conn: Connection, subject: Subject) -> Record | None:
    """The own organisation's plan, or None."""
    subject.require("quality.read")
    return await store.row(conn, store.PLAN, subject.org)


async def accounts(conn: Connection, subject: Subject) -> list[Record]:
    """Accounts of the own organisation that can be given a task."""
    subject.require("quality.read")
    return await store.rows(conn, store.ACCOUNTS, subject.org)


async def _colleague(conn: Connection, org: int, account_id: int) -> None:
    if account_id not in {r["id"] for r in await store.rows(conn, store.ACCOUNTS, org)}:
        raise YaosuError("quality_no_account", {"account": account_id})


async def set_plan(
    conn: Connection, subject: Subject, every: str, account_id: int, active: bool = True
) -> None:
    """How often to check, and who answers for it. Refused: `quality_every_unknown`, `quality_no_account`."""
    subject.require("quality.manage")
    if every not in EVERY:
        raise YaosuError("quality_every_unknown", {"every": every[:20]})
    await _colleague(conn, subject.org, account_id)
    when = next_after(every, datetime.now(UTC))
    await store.run(conn, store.SET_PLAN, subject.org, every, account_id, active, when)
    details = {"every": every, "account": account_id, "active": active}
    await audit.record(conn, subject, "quality.plan", ("quality_plan", subject.org), details)


def rules_for(registry: Registry, org: int) -> list[Item]:
    """Entries of the list `quality_rule` that apply to an organisation of that type and region."""
    card = registry.org(org)
    if card is None:
        return []
    items = registry.lists.get("quality_rule", region=card.region)
    return [item for item in items if _applies(item, card.type)]


def _applies(item: Item, org_type: int) -> bool:
    actors = item.attrs.get("actors")
    return not actors or (isinstance(actors, list) and str(org_type) in actors)


async def run(
    conn: Connection,
    registry: Registry,
    org: int,
    *,
    origin: str,
    account_id: int | None,
    owner: int | None,
    now: datetime | None = None,
) -> int:
    """Measure every rule of `org`, bring its findings up to date; the check's number.

    `owner` is the account that new findings are given to. Runs in the caller's transaction.
    """
    moment = now or datetime.now(UTC)
    taken: list[tuple[Item, Measured]] = []
    for item in rules_for(registry, org):
        taken.append((item, await RULES[item.code](Question(conn, registry, org, item, moment))))
    figures = [_figure(item, measured) for item, measured in taken]
    failed = [(i, m) for i, m in taken if m.value > number_of(i, "limit")]
    since = moment - timedelta(days=30)
    number = await store.value(conn, store.ADD_CHECK, org, origin, account_id, since, figures, len(failed))
    known = {r["rule"]: r for r in await store.rows(conn, store.OPEN, org)}
    for item, measured in failed:
        due = moment + timedelta(days=number_of(item, "due_days"))
        old = known.pop(item.code, None)
        params = _params(item, measured)
        if old is None:
            values = (org, item.code, item.attrs["area"], params, measured.links, number, owner, due)
            finding = await store.value(conn, store.ADD_FINDING, *values)
            await store.run(conn, store.EVENT, finding, account_id, "found", str(measured.value))
            await _tell(conn, org, "notice_quality_found", item, finding, due)
        else:
            await store.run(conn, store.AGAIN, old["id"], params, measured.links, number, due)
            kind = "reopened" if old["state"] == "answered" else "again"
            await store.run(conn, store.EVENT, old["id"], account_id, kind, str(measured.value))
    for old in known.values():
        await store.run(conn, store.GONE, old["id"], number)
        await store.run(conn, store.EVENT, old["id"], account_id, "gone", "")
    return number


async def _tell(conn: Connection, org: int, kind: str, item: Item, finding: int, due: datetime) -> None:
    params = {"rule": item.zh, "rule_en": item.en, "due": due.astimezone(CHINA).date().isoformat()}
    await tell(conn, org, kind, params, f"/quality/findings/{finding}", f"{finding}:{due.date()}")


def _params(item: Item, measured: Measured) -> dict[str, Any]:
    return {
        "value": measured.value,
        "of": measured.of,
        "qty": measured.qty,
        "limit": item.attrs["limit"],
        "unit": item.attrs.get("unit", "count"),
        "days": item.attrs.get("days") or item.attrs.get("period_days") or 0,
    }


def _figure(item: Item, measured: Measured) -> dict[str, Any]:
    return {
        "rule": item.code,
        "area": item.attrs["area"],
        "zh": item.zh,
        "en": item.en,
        "source": item.source,
        "held": measured.value <= number_of(item, "limit"),
        "links": measured.links,
        **_params(item, measured),
    }


async def run_now(conn: Connection, registry: Registry, subject: Subject, org: int | None = None) -> int:
    """Check on demand; new findings belong to the plan's responsible person, else to whoever asked."""
    subject.require("quality.manage")
    whose = org if org is not None and subject.kind == "system" else subject.org
    if registry.org(whose) is None:
        raise YaosuError("not_found", {"what": str(whose)})
    set_up = await store.row(conn, store.PLAN, whose)
    owner = set_up["account_id"] if set_up is not None else subject.account_id
    return await run(conn, registry, whose, origin="hand", account_id=subject.account_id, owner=owner)


async def listed(
    conn: Connection, subject: Subject, org: int | None = None, before: int | None = None, limit: int = 30
) -> list[Record]:
    """Periodic checks, newest first."""
    subject.require("quality.read")
    sight = visible(subject)
    if sight.records_reads:
        await record_read(conn, subject, "quality checks", org)
    return await store.checks(conn, sight, org or _own(subject), before or 2**62, limit)


def _own(subject: Subject) -> int | None:
    """One's own records first; offices see what they are responsible for."""
    return subject.org_id if visible(subject).kind == "own" else None


async def get(conn: Connection, subject: Subject, number: int) -> Record:
    """One check; refused (`not_found`) when it is not the reader's to see."""
    subject.require("quality.read")
    found = await store.check(conn, visible(subject), number)
    if found is None:
        raise missing(subject, "检查", "Check")
    await record_read(conn, subject, f"quality check {number}", found["org"])
    return found


async def findings(
    conn: Connection,
    subject: Subject,
    states: Sequence[str] = ("open", "answered"),
    org: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Findings in these states, newest first. Refused: `quality_state_unknown`."""
    subject.require("quality.read")
    for state in states:
        if state not in STATES:
            raise YaosuError("quality_state_unknown", {"state": state[:20]})
    sight = visible(subject)
    if sight.records_reads:
        await record_read(conn, subject, "quality findings", org)
    return await store.findings(conn, sight, org or _own(subject), states, before or 2**62, limit)


async def finding(conn: Connection, subject: Subject, number: int) -> tuple[Record, list[Record]]:
    """One finding and its history; refused (`not_found`) when it is not the reader's to see."""
    subject.require("quality.read")
    found = await store.finding(conn, visible(subject), number)
    if found is None:
        raise missing(subject, "问题", "Finding")
    await record_read(conn, subject, f"quality finding {number}", found["org"])
    return found, await store.rows(conn, store.EVENTS, number)


async def _locked(conn: Connection, subject: Subject, number: int) -> Record:
    """The own organisation's finding under lock; its owner may work on it, and who manages quality."""
    subject.require("quality.read")
    found = await store.row(conn, store.LOCK_FINDING, number, subject.org)
    if found is None:
        raise missing(subject, "问题", "Finding")
    if found["owner"] is None or found["owner"] != subject.account_id:
        subject.require("quality.manage")
    if found["state"] == "closed":
        raise YaosuError("quality_finding_closed")
    return found


async def answer(conn: Connection, subject: Subject, number: int, text: str) -> None:
    """Say what was found and done. Refused: `quality_answer_empty`, `quality_finding_closed`, `not_found`."""
    await _locked(conn, subject, number)
    said = text.strip()
    if not said:
        raise YaosuError("quality_answer_empty")
    free_text.refuse(text=said)
    await store.run(conn, store.ANSWER, number, said[:ANSWER_MAX], subject.account_id)
    await store.run(conn, store.EVENT, number, subject.account_id, "answered", said[:ANSWER_MAX])


async def close(conn: Connection, subject: Subject, number: int, reason: str) -> None:
    """Close an answered finding with a reason, without waiting for the next check. Refused: `quality_not_answered`."""
    subject.require("quality.manage")
    found = await _locked(conn, subject, number)
    if found["state"] != "answered":
        raise YaosuError("quality_not_answered")
    if not reason.strip():
        raise YaosuError("quality_answer_empty")
    free_text.refuse(reason=reason)
    await store.run(conn, store.CLOSE, number)
    await store.run(conn, store.EVENT, number, subject.account_id, "closed", reason.strip()[:ANSWER_MAX])


async def assign(
    conn: Connection, subject: Subject, number: int, account_id: int, due: datetime | None = None
) -> None:
    """Give a finding to a colleague, with another deadline where one is named."""
    subject.require("quality.manage")
    await _locked(conn, subject, number)
    await _colleague(conn, subject.org, account_id)
    now = datetime.now(UTC)
    if due is not None and not now.year <= due.year <= now.year + 5:
        raise YaosuError("field_invalid", {"field": "due_at", "reason": f"{now.year} … {now.year + 5}"})
    await store.run(conn, store.ASSIGN, number, account_id, due)
    await store.run(conn, store.EVENT, number, subject.account_id, "assigned", str(account_id))


async def tell_overdue(conn: Connection, registry: Registry, now: datetime) -> int:
    """Tell organisations of open findings past their deadline, once per deadline; how many."""
    late = await store.rows(conn, store.OVERDUE, now)
    for one in late:
        item = registry.lists.item("quality_rule", one["rule"])
        if item is not None:
            await _tell(conn, one["org"], "notice_quality_overdue", item, one["id"], one["due_at"])
        await store.run(conn, store.EVENT, one["id"], None, "overdue", "")
    return len(late)


async def run_due(conn: Connection, registry: Registry, now: datetime, limit: int) -> list[int]:
    """Planned checks that are due, the oldest first, at most `limit`; the organisations checked.

    The next time is set whatever comes of it, and a check that fails takes back nothing of another's.
    """
    done: list[int] = []
    for _ in range(limit):
        due = await store.due(conn, now)
        if due is None:
            break
        await store.run(conn, store.ADVANCE, due["org"], next_after(due["every"], now))
        async with conn.transaction():
            await run(
                conn, registry, due["org"], origin="clock", account_id=None, owner=due["account_id"], now=now
            )
        done.append(due["org"])
    return done
