"""What waits for the reader in each room: a number with its link, one query per room, for those whose duty it is.

Every room counts its own through its own visibility; nothing is shown where nothing waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from yaosu.access.visibility import visible
from yaosu.circulation import delegations
from yaosu.db.engine import Connection
from yaosu.dispensing import split_service, split_store, split_store_pool, store_narcotics
from yaosu.exceptions import store as exceptions
from yaosu.exchange.outbox import deliveries
from yaosu.grants import service as grants
from yaosu.insurance import cases as insurance
from yaosu.insurance import remit
from yaosu.notify import service as notify
from yaosu.quality import store_checks, store_documents
from yaosu.recall import store as recall
from yaosu.recall import store_lock, store_task
from yaosu.registry import groups
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.uncoded import service as uncoded

FILED_DAYS = 30
"""For so long a self-check table that was filed counts as new on an office's overview."""
_TONES = ("refused", "warn", "")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits."""

    what: str
    """Which duty; the page has its words and its sign."""
    n: int
    href: str
    tone: str = ""
    """`refused` where a time limit has passed, `warn` where it is near or somebody else depends on it."""
    late: int = 0
    """How many of them are past their time."""
    days: int = 0
    """Days to the nearest date, where there is one."""


async def of(conn: Connection, registry: Registry, subject: Subject) -> list[Waiting]:
    """What waits for the subject, the most urgent first; empty when nothing does."""
    rooms = _own if subject.org_id is not None and visible(subject).kind == "own" else _office
    found = [one async for one in rooms(conn, registry, subject) if one.n > 0]
    return sorted(found, key=lambda one: _TONES.index(one.tone))


async def _own(conn: Connection, registry: Registry, subject: Subject) -> AsyncIterator[Waiting]:
    """An organisation's duties."""
    sight, own, kind = visible(subject), subject.org, subject.org_type[:1]
    if subject.can("recall.respond"):
        tasks = await store_task.duties(conn, sight, own)
        unread = sum(row["read_at"] is None for row in tasks)
        yield Waiting("recall_read", unread, "/recalls?tab=running", "refused")
        yield Waiting("recall_task", len(tasks) - unread, "/recalls?tab=running", "warn")
    if subject.can("recall.manage"):
        orders = await recall.counts(conn, sight, own, subject.account_id)
        yield Waiting("recall_approve", orders["to_approve"], "/recalls?tab=drafts", "warn")
        yield Waiting("recall_publish", orders["to_publish"], "/recalls?tab=drafts", "warn")
        yield Waiting("recall_running", orders["running"], "/recalls?tab=running", "", orders["unread"])
    if subject.can("recall.read"):
        yield Waiting("locks", await store_lock.count(conn, sight, own), "/locks", "warn")
    if subject.can("exception.handle"):
        cases = await exceptions.counts(conn, sight, own)
        late = cases["overdue"]
        others, href = (
            cases["open"] - cases["to_answer"],
            "/exceptions?tab=overdue" if late else "/exceptions",
        )
        if cases["to_answer"]:
            yield Waiting("exceptions_answer", cases["to_answer"], href, "refused" if late else "warn", late)
            late = 0
        yield Waiting("exceptions", others, "/exceptions", "refused" if late else "", late)
        yield Waiting("suspended", cases["suspended"], "/exceptions", "warn")
    async for one in _insured(conn, registry, subject):
        yield one
    async for one in _dispensing(conn, registry, subject, kind):
        yield one
    if subject.can("stock.read") and kind in "123457":
        left = await uncoded.waiting(conn, registry, subject)
        goods = left.overdue + left.due
        yield Waiting(
            "uncoded", goods, "/uncoded", "refused" if left.overdue else "warn", left.overdue, left.days
        )
        yield Waiting("uncoded_bare", left.bare, "/uncoded?tab=bare", "warn")
        yield Waiting("uncoded_asked", left.asked, "/uncoded/requests", "warn")
    if subject.can("quality.manage"):
        tasks_of = await store_checks.waiting(conn, sight, own, subject.account_id)
        late = tasks_of["overdue"]
        yield Waiting("findings", tasks_of["open"], "/quality", "refused" if late else "", late)
        yield Waiting("to_file", tasks_of["to_file"], "/quality/self-checks")
    if subject.can("grant.manage"):
        yield Waiting("grants", await grants.to_answer(conn, registry, subject), "/grants")
        yield Waiting("delegations", await delegations.to_answer(conn, registry, subject), "/delegations")
        if kind == "3":
            yield Waiting("groups", await groups.invited(conn, subject), "/groups")
    if subject.can("exchange.read"):
        yield Waiting(
            "uploads", await deliveries.to_do(conn, subject), "/exchange/deliveries?todo=true", "warn"
        )
    yield Waiting("messages", await notify.unread(conn, subject), "/messages")


async def _insured(conn: Connection, registry: Registry, subject: Subject) -> AsyncIterator[Waiting]:
    """Insurance cases: an institution explains, a bureau decides (R-C7)."""
    if not subject.can(insurance.SCOPE):
        return
    cases = await insurance.counts(conn, registry, subject)
    late = cases["overdue"]
    href = "/insurance?tab=overdue" if late else "/insurance"
    if remit.is_bureau(registry, subject):
        yield Waiting("insurance_decide", cases["answered"], "/insurance?tab=answered", "warn")
        yield Waiting("insurance_open", cases["open"], href, "refused" if late else "", late)
    else:
        yield Waiting("insurance_answer", cases["open"], href, "refused" if late else "warn", late)


async def _dispensing(
    conn: Connection, registry: Registry, subject: Subject, kind: str
) -> AsyncIterator[Waiting]:
    """Duties of those who dispense: opened boxes, pools, narcotics."""
    sight = visible(subject)
    if kind in "34" and subject.can("bill.write"):
        boxes = await split_store.counts(conn, sight, *split_service.limits(registry))
        late = boxes["expired"]
        href = "/split/boxes?state=expired" if late else "/split/boxes?state=expiring"
        yield Waiting("split", late + boxes["expiring"], href, "refused" if late else "warn", late)
        pools = await split_store_pool.low(conn, sight)
        yield Waiting("pools", pools["low"], "/pools", "warn")
        yield Waiting("pools_blocked", pools["blocked"], "/pools", "warn")
    if kind == "3" and subject.can("narcotics.read"):
        acts = await store_narcotics.waiting(conn, sight, subject.account_id)
        if subject.can("narcotics.write"):
            yield Waiting("narcotics", acts["to_confirm"], "/narcotics/waiting", "warn")
            yield Waiting("narcotics_own", acts["own"], "/narcotics/acts")
        yield Waiting("ampoules", acts["ampoules"], "/narcotics/ampoules")


async def _office(conn: Connection, registry: Registry, subject: Subject) -> AsyncIterator[Waiting]:
    """An authority's duties in its region; the operator sees how the platform stands."""
    sight = visible(subject)
    if subject.can("clue.handle"):
        before = await store_documents.seen_one(conn, sight, store_documents.OFFICE, FILED_DAYS)
        assert before is not None
        yield Waiting("clues", before["sent"], "/quality/clues?state=sent", "refused")
        yield Waiting("clues_noted", before["noted"], "/quality/clues?state=noted", "warn")
        yield Waiting("filed", before["filed"], "/quality/self-checks")
    if subject.can("recall.read"):
        orders = await recall.counts(conn, sight, 0, subject.account_id)
        if subject.can("recall.manage"):
            yield Waiting("recall_approve", orders["to_approve"], "/recalls?tab=drafts", "warn")
        running = orders["running"]
        yield Waiting(
            "recall_running",
            running,
            "/recalls?tab=running",
            "warn" if orders["unread"] else "",
            orders["unread"],
        )
        yield Waiting("locks_live", await store_lock.count(conn, sight, None), "/locks")
    cases = await exceptions.counts(conn, sight, None)
    if subject.can("supervise.read"):
        yield Waiting("exceptions_escalated", cases["escalated"], "/exceptions?tab=overdue", "warn")
    href = "/exceptions?tab=overdue" if cases["overdue"] else "/exceptions"
    yield Waiting("exceptions", cases["open"], href, "warn" if cases["overdue"] else "", cases["overdue"])
    if subject.can("exchange.read"):
        yield Waiting(
            "uploads", await deliveries.to_do(conn, subject), "/exchange/deliveries?todo=true", "warn"
        )
    if subject.org_id is not None:
        yield Waiting("messages", await notify.unread(conn, subject), "/messages")
