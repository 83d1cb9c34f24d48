"""盘点: what was scanned on the shelf against the books, and the bills that settle the difference (R-B6).

The comparison is made anew whenever it is looked at, until it is posted: what is missing leaves by 214 盘亏出库, what
was written off and turned up again comes back by 111 盘盈入库; everything else that was scanned and is not on the books
is explained, never booked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.circulation import service
from yaosu.circulation import store_count as store
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import CODES_MAX, CodeResult, Movement, MovementResult
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.people import free_text
from yaosu.registry.resolver import Registry
from yaosu.rules.world import Unit, World
from yaosu.subject import Subject

if TYPE_CHECKING:
    from yaosu.circulation.committer import Committer

PACKAGES_MAX = 20_000
"""Outermost packages compared at once; a larger stock is counted product by product."""
SHORT_TYPE, OVER_TYPE = 214, 111

Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Package:
    """A package on the books. `qty` in smallest packages; `batch_id` 0 where it holds several batches."""

    drug_id: int
    code: str
    batch_id: int
    level: int
    qty: int

    @property
    def key(self) -> Key:
        """Product and code."""
        return self.drug_id, self.code


@dataclass(slots=True)
class Comparison:
    """Books against shelf. Quantities in smallest packages."""

    short: list[Package] = field(default_factory=list)
    """On the books and not scanned: the largest packages of which nothing was scanned."""
    found: list[CodeResult] = field(default_factory=list)
    """Written off earlier and here again: can be booked in."""
    elsewhere: list[CodeResult] = field(default_factory=list)
    """Scanned and not in stock, with the reason."""
    doubled: int = 0
    """Scans that were already counted: repeated, or inside a package that was scanned as a whole."""
    matched_packages: int = 0
    matched: int = 0

    @property
    def short_qty(self) -> int:
        """Smallest packages missing."""
        return sum(p.qty for p in self.short)

    @property
    def found_qty(self) -> int:
        """Smallest packages found again."""
        return sum(r.qty for r in self.found)

    def digest(self) -> str:
        """Names the difference, so that what is confirmed is what was shown."""
        parts = [*(f"-{p.drug_id}:{p.code}" for p in self.short), *(f"+{r.code}" for r in self.found)]
        return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:24]


async def begin(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    *,
    count_no: str,
    codes: Sequence[str],
    drug_id: int | None = None,
    batch_no: str = "",
) -> int:
    """Put scans on record as a count of the whole stock, a product or a batch; its number.

    Sending the same number and scans again gives the same count. Refused: `count_number_taken` for other content,
    `batch_unknown`, `too_many_codes`, `not_found` for a product nobody registered.
    """
    subject.require("bill.write")
    if len(codes) > CODES_MAX:
        raise YaosuError("too_many_codes", {"count": len(codes), "limit": CODES_MAX})
    batch_id = None
    if drug_id is not None and registry.product(drug_id) is None:
        raise YaosuError("not_found", {"what": "产品" if subject.lang == "zh" else "Product"})
    if batch_no:
        batch_id = await conn.fetchval(store.BATCH_BY_NO, drug_id, batch_no) if drug_id is not None else None
        if batch_id is None:
            raise YaosuError("count_batch_unknown", {"batch_no": batch_no})
    free_text.refuse(bill_no=count_no)
    # an identity card read into the list of codes is a scan that nothing is known of, and is not kept
    kept = (free_text.NOT_KEPT if free_text.holds_citizen(code) else code for code in codes)
    scans = list(dict.fromkeys(code.replace("\x00", "␀")[:4096] for code in kept))
    made = await conn.fetchval(
        store.INSERT, subject.org, count_no, drug_id, batch_id, scans, subject.account_id
    )
    if made is not None:
        return int(made)
    row = await conn.fetchrow(store.BY_NO, subject.org, count_no)
    assert row is not None
    if (row["drug_id"], row["batch_id"], list(row["codes"])) != (drug_id, batch_id, scans):
        raise YaosuError("count_number_taken", {"count_no": count_no})
    return int(row["id"])


async def seen(conn: Connection, subject: Subject, count_id: int) -> Record:
    """A count that the subject may read; refused (`not_found`) otherwise."""
    subject.require("stock.read")
    row = await store.count(conn, visible(subject), count_id)
    if row is None:
        raise YaosuError("not_found", {"what": "盘点单" if subject.lang == "zh" else "Stock count"})
    return row


async def compare(
    conn: Connection,
    registry: Registry,
    batches: BatchCache,
    subject: Subject,
    codes: Sequence[str],
    drug_id: int | None,
    batch_id: int | None,
    org: int,
) -> Comparison:
    """The books of `org` against scans, as of now. Refused (`count_too_large`) past `PACKAGES_MAX` packages."""
    rows = await conn.fetch(store.IN_STOCK, org, drug_id, batch_id, PACKAGES_MAX + 1)
    if len(rows) > PACKAGES_MAX:
        raise YaosuError("count_too_large", {"limit": PACKAGES_MAX})
    found = Comparison()
    here, around = await _scanned(conn, registry, batches, subject, codes, (drug_id, batch_id, org), found)
    roots = [Package(**dict(r)) for r in rows]
    used: set[Key] = set()
    todo = _sort(found, roots, here, around, used, batch_id)
    while todo:
        inside = await conn.fetch(store.INSIDE, [p.drug_id for p in todo], [p.code for p in todo])
        packages = [
            Package(r["drug_id"], r["code"], r["batch_id"], r["level"], r["qty"])
            for r in inside
            if batch_id is None or r["batch_id"] in (0, batch_id)
        ]
        todo = _sort(found, packages, here, around, used, batch_id)
    found.doubled += len({code for _, code in here} - {code for _, code in used})
    return found


def _sort(
    found: Comparison,
    packages: Iterable[Package],
    here: set[Key],
    around: set[Key],
    used: set[Key],
    batch_id: int | None,
) -> list[Package]:
    """Matched, missing, or to be looked into: what was scanned in part, or holds other batches too."""
    inside = []
    for one in packages:
        if one.key in here:
            used.add(one.key)
            found.matched_packages += 1
            found.matched += one.qty
        elif one.key in around or (batch_id is not None and one.batch_id == 0):
            inside.append(one)
        else:
            found.short.append(one)
    return inside


async def _scanned(
    conn: Connection,
    registry: Registry,
    batches: BatchCache,
    subject: Subject,
    codes: Sequence[str],
    scope: tuple[int | None, int | None, int],
    found: Comparison,
) -> tuple[set[Key], set[Key]]:
    """Scans that stand on the own account, and the packages around them; others are sorted into `found`."""
    drug_id, batch_id, org = scope
    here: set[Key] = set()
    around: set[Key] = set()
    seen: set[str] = set()
    for start in range(0, len(codes), service.CHECK_MAX):
        part = codes[start : start + service.CHECK_MAX]
        movement = Movement(OVER_TYPE, "", org, now(), part)
        results, world = await service.check(conn, registry, batches, subject, movement)
        for one in results:
            if one.code and one.code in seen:
                found.doubled += 1
                continue
            seen.add(one.code)
            units = world.rows_of.get(one.code, ())
            own = in_own_stock(world, units, org)
            if own and any(_outside(u.drug_id, u.batch_id, drug_id, batch_id) for u in units):
                one.verdict, one.severity = "count_out_of_scope", "warn"
                found.elsewhere.append(one)
            elif own:
                for unit in units:
                    here.add(unit.key)
                    around.update(a.key for a in world.ancestors(unit))
            elif one.accepted:
                found.found.append(one)
            else:
                found.elsewhere.append(one)
    return here, around


def in_own_stock(world: World, units: Sequence[Unit], org: int) -> bool:
    """Whether a scanned package stands in `org`'s stock, by itself or inside another."""
    return bool(units) and all(
        (root := world.root(u)).holder == org and root.status == "I" and u.qty > 0 for u in units
    )


def now() -> datetime:
    """The moment a scan is judged at."""
    return datetime.now(UTC)


def _outside(drug_id: int, batch_id: int, wanted: int | None, batch: int | None) -> bool:
    return (wanted is not None and drug_id != wanted) or (batch is not None and batch_id not in (0, batch))


@dataclass(frozen=True, slots=True)
class Posted:
    """What confirming a count booked; None where there was nothing to book."""

    short: MovementResult | None
    over: MovementResult | None


async def confirm(
    pool: Pool,
    committer: Committer,
    registry: Registry,
    batches: BatchCache,
    subject: Subject,
    count_id: int,
    digest: str,
    reason: str,
) -> Posted:
    """Post the difference that was shown: 214 for what is missing, 111 for what turned up again (R-B6).

    `digest` is the comparison's; refused (`count_changed`) when goods have moved since, and nothing is booked.
    Safe to repeat after an interruption: the bills' numbers belong to the count. Refused: `count_done`.
    """
    subject.require("bill.write")
    async with pool.acquire() as conn, conn.transaction():
        row = await seen(conn, subject, count_id)
        if row["org"] != subject.org:
            raise YaosuError("forbidden", {"scope": "bill.write"})
        if row["state"] not in ("open", "posting"):
            raise YaosuError("count_done", {"count_no": row["count_no"]})
        books = await compare(
            conn, registry, batches, subject, row["codes"], row["drug_id"], row["batch_id"], row["org"]
        )
        begun = await conn.fetch(store.BILLS_OF, row["org"], _numbers(row))
        if not begun and books.digest() != digest:
            raise YaosuError("count_changed")
        if len(books.short) > CODES_MAX:
            raise YaosuError("too_many_codes", {"count": len(books.short), "limit": CODES_MAX})
        when = await conn.fetchval(store.CONFIRM, count_id, row["org"], reason)
    short = await _post(
        pool, committer, registry, subject, row, SHORT_TYPE, when, [p.code for p in books.short], reason
    )
    over = await _post(
        pool, committer, registry, subject, row, OVER_TYPE, when, [r.code for r in books.found], reason
    )
    async with pool.acquire() as conn, conn.transaction():
        # by number: an interrupted confirmation may have posted one of them before
        made = {r["bill_no"]: r for r in await conn.fetch(store.BILLS_OF, row["org"], _numbers(row))}
        pair = [made.get(number) for number in _numbers(row)]
        bills = [r["id"] if r is not None else None for r in pair]
        sums = [r["qty"] if r is not None else 0 for r in pair]
        await conn.execute(store.POSTED, count_id, *bills, books.matched, *sums)
    return Posted(short, over)


def _numbers(row: Record) -> list[str]:
    """Numbers of the two bills of a count: shortage, surplus."""
    return [f"{row['count_no']}-K", f"{row['count_no']}-Y"]


async def _post(
    pool: Pool,
    committer: Committer,
    registry: Registry,
    subject: Subject,
    row: Record,
    type_: int,
    when: datetime,
    codes: Sequence[str],
    reason: str,
) -> MovementResult | None:
    """One of the two bills; atomic, so that the books never hold half of a count."""
    if not codes:
        return None
    number = _numbers(row)[0 if type_ == SHORT_TYPE else 1]
    movement = Movement(
        type=type_,
        bill_no=number,
        owner=subject.org,
        happened_at=when,
        codes=sorted(codes),
        mode="atomic",
        header={"count_no": str(row["count_no"]), "reason_text": reason},
        body=f"stock count {row['count_no']}: {number}".encode(),
    )
    result = await service.submit(pool, committer, registry, subject, movement)
    if not result.bill_id:
        async with pool.acquire() as conn:
            await conn.execute(store.REOPEN, row["id"])
        raise YaosuError("count_changed")
    return result


async def drop(conn: Connection, subject: Subject, count_id: int) -> None:
    """Give up a count that was not posted; nothing is booked."""
    subject.require("bill.write")
    row = await seen(conn, subject, count_id)
    if await conn.fetchval(store.DROP, count_id, subject.org) is None:
        raise YaosuError("count_done", {"count_no": row["count_no"]})
