"""The public's query of one code (R-G1; standards §7, NMPAB/T 1009 and 1012): page and API say the same.

Codes nobody issued, codes issued but not activated and codes that do not exist get one and the same answer, so
that asking teaches nothing about which codes are worth forging.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from yaosu.access.limits import RateLimit
from yaosu.db.engine import Connection, Pool
from yaosu.errors import Finding, YaosuError
from yaosu.registry.model import OrgType, Product
from yaosu.registry.resolver import Registry
from yaosu.stops.model import Stop
from yaosu.stops.service import Memory as StopMemory
from yaosu.trace import store as trace_store
from yaosu.trace import store_public as store
from yaosu.trace import verify
from yaosu.trace.display import Group, groups
from yaosu.trace.model import Key
from yaosu.trace.store_public import PublicUnit, Tally

PER_MINUTE = 30.0
BURST = 30
"""Queries of one address: a family at a medicine chest, not somebody walking through serial numbers."""
REPEATED_FROM = 2
"""From this query on the page says how often and since when the code was asked about."""
FLUSH_S = 2.0
PENDING_MAX = 50_000

log = structlog.get_logger("yaosu.trace")

_WORDING = {
    "S": ("public_sold", "warn"),
    "C": ("public_cancelled", "refused"),
    "X": ("public_destroyed", "refused"),
    "N": ("public_disabled", "refused"),
    "Q": ("public_quarantine", "warn"),
}


@dataclass(frozen=True, slots=True)
class PublicAnswer:
    """What the page and the public API show. `unit` None: see `finding` for why there is nothing to show."""

    code: str
    finding: Finding
    tone: str
    """ok, warn or refused."""
    product: Product | None = None
    unit: PublicUnit | None = None
    notices: tuple[Finding, ...] = ()
    home: tuple[str, str] | None = None
    """(name, address) of the trace system the code belongs to, when it is not ours."""
    queries: int = 0
    first_at: datetime | None = None
    groups: tuple[Group, ...] = field(default=())
    recall: str = ""
    """Number of the public recall it is under."""


class QueryCounter:
    """Counts public queries in memory and writes them every few seconds; a crash loses at most `FLUSH_S`."""

    def __init__(self) -> None:
        self._pending: dict[Key, Tally] = {}

    def note(self, key: Key, now: datetime) -> Tally:
        """Count one query of an existing code; the tally of what is not yet written, this one included."""
        tally = self._pending.get(key)
        if tally is None:
            tally = Tally(now, now)
            if len(self._pending) < PENDING_MAX:
                self._pending[key] = tally
        else:
            tally.count += 1
            tally.last_at = now
        return tally

    async def flush(self, pool: Pool) -> None:
        """Write what was counted."""
        if not self._pending:
            return
        rows, self._pending = sorted(self._pending.items(), key=lambda r: r[0]), {}
        try:
            async with pool.acquire() as conn, conn.transaction():
                await store.count_queries(conn, rows)
        except Exception:
            for key, tally in rows:
                again = self._pending.setdefault(key, tally)
                if again is not tally:
                    again.count += tally.count
                    again.first_at = min(again.first_at, tally.first_at)
            raise

    async def run(self, pool: Pool) -> None:
        """Write every few seconds until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush(pool)
            except Exception as error:
                # the counts stay in memory; requests themselves report a database that is away
                log.warning("query_counts_not_written", error=type(error).__name__)


def limiter() -> RateLimit:
    """A fresh limit of queries per address."""
    return RateLimit(PER_MINUTE, BURST)


async def query(
    conn: Connection,
    registry: Registry,
    counter: QueryCounter,
    raw: str,
    lang: str,
    now: datetime | None = None,
    *,
    stops: StopMemory | None = None,
) -> PublicAnswer:
    """The answer to somebody who has a box in hand and no account. Never fails for strange input.

    With `stops` a recall that is open to consumers is named, every other stop is told without its reason (R-E4).
    """
    when = now or datetime.now(UTC)
    asked = verify.ask(registry, raw)
    if asked.refusal is not None:
        refusal = asked.refusal
        return PublicAnswer(refusal.raw[:200], Finding(refusal.code, refusal.params), "warn")
    assert asked.code is not None
    text = asked.code.text
    found = asked.resolution
    if found is not None and found.kind == "elsewhere":
        name = found.system.name if found.system is not None else "—"
        home = (name, found.query_url)
        return PublicAnswer(text, Finding("public_elsewhere", {"system": name}), "warn", home=home)
    unit = await store.public_unit(conn, *asked.keys[0]) if asked.keys else None
    product = registry.product(asked.keys[0][0]) if asked.keys else None
    if unit is None or product is None:
        return PublicAnswer(text, Finding("public_unknown"), "refused")
    tally = counter.note(asked.keys[0], when)
    queries = unit.queries + tally.count
    first_at = min(filter(None, (unit.first_at, tally.first_at)))
    finding, tone = _wording(unit, when)
    notices = []
    recall = ""
    stop = await _stop(conn, stops, asked.keys[0]) if stops is not None else None
    if stop is not None:
        if finding.code != "public_ok":
            notices.append(finding)
        finding, tone, recall = await _stopped(conn, stop)
    if queries >= REPEATED_FROM:
        params = {"count": queries, "time": verify.minute(first_at)}
        notices.append(Finding("public_repeated", params))
    return PublicAnswer(
        text,
        finding,
        tone,
        product,
        unit,
        tuple(notices),
        None,
        queries,
        first_at,
        groups(registry, product, unit, _seller(registry, unit), lang),
        recall,
    )


async def _stop(conn: Connection, stops: StopMemory, key: Key) -> Stop | None:
    """The stop that binds everybody on a unit; nothing is asked of the database where its product has none."""
    memory = await stops.fresh(conn)
    if key[0] not in memory.products and all(drug_id != key[0] for drug_id, _ in memory.batches):
        return None
    units = await trace_store.climb(conn, [key])
    mixed = [k for k, found in units.items() if not found.unit.batch_id]
    held = await trace_store.container_batches(conn, mixed) if mixed else {}
    on = (await verify.stops_on(memory, conn, units, held)).get(key, ())
    return next((s for s in on if s.org is None), None)


async def _stopped(conn: Connection, stop: Stop) -> tuple[Finding, str, str]:
    """A public recall by its number and reason; what is not for consumers only as a stop of sale and use."""
    if stop.kind == "recall" and await store.recall_is_public(conn, stop.ref):
        return Finding("public_recalled", stop.params), "refused", stop.number
    return Finding("public_stopped"), "refused", ""


def _wording(unit: PublicUnit, now: datetime) -> tuple[Finding, str]:
    """The fixed wording; what forbids use wins over what merely warns."""
    code, tone = _WORDING.get(unit.status, ("public_ok", "ok"))
    today = now.astimezone(verify.CHINA).date()
    if tone != "refused" and unit.expires_on is not None and unit.expires_on < today:
        return Finding("public_expired"), "refused"
    return Finding(code), tone


def _seller(registry: Registry, unit: PublicUnit) -> int | None:
    """The pharmacy or hospital that sold it; a firm of the trade in between is never named."""
    org = registry.org(unit.sold_by) if unit.sold_by is not None else None
    return org.id if org is not None and org.type in (OrgType.RETAIL, OrgType.MEDICAL) else None


def refuse_unknown(answer: PublicAnswer) -> None:
    """For the API: raise what the page shows instead of a result."""
    if answer.unit is None:
        raise YaosuError(answer.finding.code, answer.finding.params)
