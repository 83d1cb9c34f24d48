"""Lists answer in time bound by the page, not by the table (design §5): what they read is counted, no clock asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from scale.reading import rows_read
from yaosu.access.reach import asked
from yaosu.access.visibility import Sight
from yaosu.circulation import store_acting, store_read
from yaosu.console import store as console
from yaosu.db.engine import Connection, Pool
from yaosu.exceptions import store as exceptions
from yaosu.exchange.outbox import store_bills
from yaosu.insurance import store_case
from yaosu.ledger import store as ledger

BILLS = 20_000
PAGE = 50
SHOPS = range(101, 301)
BUSY, QUIET, HEAD, CARRIER, LENT, FAR = 1, 2, 3, 4, 5, 6

FILL = (
    # a busy wholesaler, two hundred shops, stores of a chain among them, and one far away that hardly trades
    """INSERT INTO org (id, name, name_norm, type, sub_type, region, other_id_kind, other_id, parent_id)
    SELECT i, 'o' || i, 'o' || i, CASE WHEN i IN (1, 4) THEN 2 ELSE 4 END,
        CASE WHEN i = 3 THEN 41 WHEN i BETWEEN 101 AND 110 THEN 42 ELSE 44 END,
        CASE WHEN i IN (2, 6) THEN '650100' ELSE '370100' END, 9, 's' || i,
        CASE WHEN i BETWEEN 101 AND 110 THEN 3 END
    FROM (SELECT unnest(ARRAY[3, 1, 2, 4, 5, 6]) AS i UNION ALL SELECT generate_series(101, 300)) x""",
    f"""INSERT INTO bill (id, owner, submitter, from_org, to_org, carrier, direct_org, type, lines, qty, refused,
        happened_at, recorded_at, submission_id, bill_no, content_hash, leaf, drug_ids)
    SELECT g, owner, owner, CASE WHEN k = 1 THEN 1 ELSE owner END, CASE WHEN k = 0 THEN shop WHEN k = 1 THEN shop END,
        CASE WHEN g % 4000 = 0 THEN 4 END, CASE WHEN g % 5000 = 0 THEN 4 END, CASE k WHEN 0 THEN 201 WHEN 1 THEN 102
        ELSE 321 END, 1, 1, 0, now() - make_interval(secs => {BILLS} - g), now() - make_interval(secs => {BILLS} - g),
        1, 'N' || g, '', '', '{{7}}'
    FROM (SELECT g, g % 3 AS k, 101 + g % 200 AS shop, CASE WHEN g % 3 = 0 THEN 1 ELSE 101 + g % 200 END AS owner
        FROM generate_series(1, {BILLS}) g) x""",
    # among the oldest: what the quiet shop and the lender have
    "UPDATE bill SET owner = 2, submitter = 2, from_org = 2, to_org = NULL, refused = 1 WHERE id IN (20, 41, 62)",
    "UPDATE bill SET owner = 5, submitter = 5, from_org = 5, to_org = NULL WHERE id IN (23, 44)",
    "UPDATE bill SET to_org = 2 WHERE id IN (30, 90)",
    """INSERT INTO data_grant (grantor_org, grantee_org, drug_ids, fields, accepted_at)
    VALUES (5, 2, '{7}', '{flow,parties,bills}', now())""",
    """INSERT INTO notice (to_org, bill_id, from_org, state, shipped_at, expected)
    SELECT to_org, id, from_org, CASE WHEN id IN (30, 90, 93) THEN 'open' ELSE 'received' END, happened_at, 1
    FROM bill WHERE type = 201 AND to_org IS NOT NULL""",
    """INSERT INTO receipt_check (receipt_bill, buyer, seller, outcome, counts, details, state)
    SELECT id, to_org, from_org, CASE WHEN id < 400 THEN 'mismatch' ELSE 'matched' END, '{}', '{}',
        CASE WHEN id < 400 THEN 'open' ELSE 'closed' END FROM bill WHERE type = 102 ORDER BY id""",
    """INSERT INTO quarantine (org, code, raw, moved, verdict, params, bill_id, closed_at)
    SELECT owner, 'c' || id, '', true, 'expired', '{}', id, CASE WHEN id > 100 THEN now() END FROM bill ORDER BY id""",
    """INSERT INTO exception_case (case_no, kind, buyer, seller, opened_by, check_id, state, answer_due, resolve_due)
    SELECT 'C' || id, 'short', buyer, seller, buyer, id, CASE WHEN id < 100 THEN 'open' ELSE 'closed' END, now(), now()
    FROM receipt_check ORDER BY id""",
    """INSERT INTO exception_party (case_id, org, role) SELECT id, buyer, 'buyer' FROM exception_case
    UNION ALL SELECT id, seller, 'seller' FROM exception_case""",
    """INSERT INTO exception_case (case_no, kind, buyer, seller, opened_by, state, answer_due, resolve_due)
    VALUES ('CQ', 'short', 2, 1, 2, 'open', now(), now())""",
    "INSERT INTO exception_party (case_id, org, role) SELECT max(id), 2, 'buyer' FROM exception_case",
    """INSERT INTO batch (drug_id, batch_no, maker, produced_on, expires_on)
    SELECT 7, 'B' || g, 1, current_date, current_date FROM generate_series(1, 50) g""",
    """INSERT INTO balance (qty, drug_id, batch_id, org, status)
    SELECT 1, 7, t.id, o, s FROM batch t, generate_series(101, 300) o, unnest(ARRAY['I', 'S']) s""",
    "INSERT INTO balance (qty, drug_id, batch_id, org, status) SELECT 1, 7, min(id), 2, 'I' FROM batch",
    "INSERT INTO connection (org, channel, title, url) VALUES (1, 'top', 't', 'u')",
    f"""INSERT INTO delivery (org, target_id, target, kind, state, body, event, settled_at, bill_id)
    SELECT 1, c.id, 'top', 'bill', CASE WHEN g = 5 THEN 'given_up' ELSE 'processed' END, '{{}}', gen_random_uuid(),
        now(), g FROM generate_series(1, {BILLS // 2}) g, connection c""",
    f"""INSERT INTO insurance_case (institution, other, settlement, drug_id, due_at, rule, severity, code, act,
        findings)
    SELECT 10 + g % 50, CASE WHEN g = 7 THEN 1 END, g, 7, now(), 'r', 'refuse', 'c' || g, 'a', '[]'
    FROM generate_series(1, {BILLS // 2}) g""",
    """INSERT INTO insurance_institution (bureau, code, name, region, app, profile, secrets)
    SELECT 1, 'h' || g, 'h', '370100', 'a' || g, 'p', '' FROM generate_series(1, 60) g""",
    "ANALYZE",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(pool: Pool) -> None:
    """A market of mid size: large enough that reading all of it shows."""
    async with pool.acquire() as conn:
        for sql in FILL:
            await conn.execute(sql)


def own(org: int) -> Sight:
    """An organisation's sight."""
    return Sight("own", org)


FAR_OFFICE = Sight("regulator", 9, "65")
OFFICE = Sight("regulator", 9, "37")
NATION = Sight("operator")


@dataclass
class Asked:
    """One list with what is to be found on its first page, if that is to be told."""

    read: Callable[[Connection], Awaitable[Any]]
    most: int
    ids: list[int] | None = None
    key: str = "id"


def bills(sight: Sight, most: int, ids: list[int] | None = None, **filters: Any) -> Asked:
    return Asked(lambda c: store_read.bills(c, sight, limit=PAGE, **filters), most, ids)


async def _held(lists: list[Asked], conn: Connection) -> None:
    over = {}
    for number, one in enumerate(lists):
        rows = await one.read(conn)
        if one.ids is not None:
            assert [r[one.key] for r in rows] == one.ids, number
        else:
            assert rows, number

        async def read(one: Asked = one) -> Any:
            return await one.read(conn)

        if (found := await rows_read(conn, read)) > one.most:
            over[number] = (found, one.most)
    assert over == {}


async def test_who_trades_little_finds_its_bills_without_a_walk_over_everybodys(
    filled: None, db: Connection
) -> None:
    lent_too = [90, 62, 44, 41, 30, 23, 20]
    await _held(
        [
            bills(own(QUIET), 3_000, lent_too),
            bills(own(QUIET), 3_000, [41, 30, 23, 20], before=44),
            bills(own(CARRIER), 3_500, [20000, 16000, 15000, 12000, 10000, 8000, 5000, 4000]),
            bills(own(FAR), 3_000, []),
            bills(FAR_OFFICE, 4_500, [90, 62, 41, 30, 20]),
            bills(own(QUIET), 5_000, [90, 30], partner=BUSY),
        ],
        db,
    )


async def test_who_trades_much_reads_a_page(filled: None, db: Connection) -> None:
    await _held(
        [
            bills(own(BUSY), 1_500),
            bills(own(BUSY), 1_500, before=9_000),
            bills(own(HEAD), 3_500),
            bills(OFFICE, 4_500),
            bills(NATION, 300),
            bills(NATION, 300, before=9_000),
            bills(own(BUSY), 1_500, [90, 30], partner=QUIET),
            bills(NATION, 2_500, [12_345], bill_no="N12345"),
            bills(own(BUSY), 2_500, [12_345], bill_no="N12345"),
            bills(OFFICE, 500, owner=150),
            bills(own(150), 400, owner=150, types=[321], lately=True),
        ],
        db,
    )


async def test_what_waits_is_found_among_what_is_done(filled: None, db: Connection) -> None:
    def notices(sight: Sight, most: int, ids: list[int], **named: int) -> Asked:
        return Asked(
            lambda c: store_read.notices(c, sight, states=["open", "part"], **named), most, ids, "bill_id"
        )

    def checks(**named: int) -> Asked:
        return Asked(
            lambda c: store_read.checks(c, own(BUSY), outcomes=["mismatch"], limit=PAGE, **named), 1_500
        )

    await _held(
        [
            notices(own(BUSY), 300, [93, 90, 30], from_org=BUSY),
            notices(own(QUIET), 300, [90, 30], to_org=QUIET),
            notices(FAR_OFFICE, 5_000, [90, 30]),
            checks(),
            checks(seller=BUSY),
            Asked(lambda c: store_read.quarantine(c, own(BUSY), BUSY, True, None, PAGE), 600),
            Asked(lambda c: store_read.quarantine(c, own(BUSY), BUSY, False, 9_000, PAGE), 600),
            Asked(lambda c: store_read.quarantine(c, FAR_OFFICE, None, None, None, PAGE), 600),
            Asked(lambda c: store_acting.direct_bills(c, own(CARRIER), [201, 102, 321], None, PAGE), 300),
            Asked(lambda c: console.refusals(c, FAR_OFFICE, 8), 5_000, [62, 41, 20]),
        ],
        db,
    )


async def test_cases_of_one_party_and_of_a_region(filled: None, db: Connection) -> None:
    last = await db.fetchval("SELECT max(id) FROM exception_case")

    def cases(sight: Sight, most: int, ids: list[int] | None = None, **filters: Any) -> Asked:
        return Asked(lambda c: exceptions.cases(c, sight, limit=PAGE, **filters), most, ids)

    await _held(
        [
            cases(own(QUIET), 200, [last]),
            cases(own(BUSY), 1_500, before=3_000),
            cases(FAR_OFFICE, 9_000, [last]),
            cases(FAR_OFFICE, 2_500, [last], state="open"),
            cases(OFFICE, 6_000),
            cases(NATION, 800, overdue=True),
            cases(own(BUSY), 200, [17], check_id=17),
        ],
        db,
    )


async def test_stock_reads_the_accounts_on_the_page(filled: None, db: Connection) -> None:
    def stock(sight: Sight, most: int, after: ledger.Cursor = ledger.START, drug: int | None = None) -> Asked:
        return Asked(lambda c: ledger.stock(c, sight, None, drug, None, ["I"], after, PAGE), most)

    async def quiet(conn: Connection) -> list[dict[str, int]]:
        return [{"id": r.org} for r in await stock(own(QUIET), 0).read(conn)]

    first = await db.fetchval("SELECT min(id) FROM batch")

    async def as_rows(conn: Connection) -> Any:
        return await stock(NATION, 0).read(conn)

    assert len(await as_rows(db)) == PAGE
    over = {}
    for name, one in {
        "nation": stock(NATION, 1_600),
        "later": stock(NATION, 1_600, (250, 7, first, "I")),
        "product": stock(NATION, 1_600, drug=7),
        "region": stock(FAR_OFFICE, 800),
        "chain": stock(own(HEAD), 1_600),
        "shop": stock(own(QUIET), 800),
    }.items():

        async def read(one: Asked = one) -> Any:
            return await one.read(db)

        if (found := await rows_read(db, read)) > one.most:
            over[name] = found
    assert over == {}
    assert [r["id"] for r in await quiet(db)] == [QUIET]


async def test_deliveries_and_insurance_cases_of_one_organisation(filled: None, db: Connection) -> None:
    page: tuple[Any, ...] = (None, PAGE)
    given_up = await db.fetchval("SELECT id FROM delivery WHERE state = 'given_up'")
    first_case = await db.fetchval("SELECT id FROM insurance_case WHERE other = 1")

    def fetched(text: str, most: int, ids: list[int] | None, *args: Any) -> Asked:
        return Asked(lambda c: c.fetch(asked(text, args), *args), most, ids)

    open_ones = (BUSY, None, ["given_up"], None, None, False, *page)
    numbered = (BUSY, None, None, None, None, False, "N77", PAGE)
    later = (BUSY, None, None, None, 4_000, False, *page)
    await _held(
        [
            fetched(store_bills.LISTED_OPEN, 100, [given_up], *open_ones),
            fetched(store_bills.LISTED_NUMBERED, 1_500, None, *numbered),
            fetched(store_bills.LISTED, 800, None, *later),
            fetched(store_case.CASES_OF, 150, [first_case], None, [1], None, False, None, None, 2**62, PAGE),
        ],
        db,
    )
