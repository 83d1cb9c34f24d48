"""Who sees what (D10): the one function, and that every query of trace data passes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from access.helpers import make_org, subject_of
from yaosu.access.visibility import NOBODY, Sight, record_read, region_prefix, traced_read, visible
from yaosu.db.engine import Connection
from yaosu.subject import ANONYMOUS, SYSTEM, Subject

SOURCE = Path(__file__).parents[2] / "src" / "yaosu"
ALLOWED = Path(__file__).parent / "internal_queries.txt"
TRACE_TABLES = (
    "bill|bill_line|bill_note|unit|container_batch|notice|notice_line|receipt_check|balance|entry|quarantine"
    "|batch"
)
READS = re.compile(rf"\b(?:(?<!DELETE )FROM|JOIN)\s+(?:ONLY\s+)?({TRACE_TABLES})\b", re.IGNORECASE)
MARK = "/*visible:"

BILLS = "SELECT b.id FROM bill b WHERE /*visible:bill b*/ AND b.id > $1 ORDER BY b.id"
HELD = "SELECT x.qty FROM balance x WHERE /*visible:holder x.org x.drug_id*/ ORDER BY x.qty"


async def _bill(conn: Connection, owner: int, drugs: list[int] | None = None, **parties: int) -> int:
    columns = ["owner", "submitter", *parties]
    values = [owner, parties.pop("submitter", owner), *parties.values()]
    names = ", ".join(dict.fromkeys(columns))
    marks = ", ".join(f"${i}" for i in range(2, 2 + len(values)))
    number: int = await conn.fetchval(
        f"INSERT INTO bill ({names}, drug_ids, type, lines, qty, happened_at, submission_id, bill_no, "
        f"content_hash, leaf) VALUES ({marks}, $1, 201, 1, 1, now(), 1, gen_random_uuid()::text, '', '') "
        "RETURNING id",
        drugs or [1],
        *values,
    )
    return number


async def _seen(conn: Connection, subject: Subject) -> list[int]:
    sql, args = visible(subject).apply(BILLS, 0)
    return [r["id"] for r in await conn.fetch(sql, *args)]


async def test_an_organisation_sees_its_own_bills_and_those_that_name_it_and_no_others(
    db: Connection,
) -> None:
    us, partner, stranger = [await make_org(db) for _ in range(3)]
    mine = await _bill(db, us)
    to_us = await _bill(db, partner, from_org=partner, to_org=us)
    carried = await _bill(db, partner, carrier=us)
    for_us = await _bill(db, partner, principal=us)
    await _bill(db, partner, from_org=partner, to_org=stranger)
    assert await _seen(db, await subject_of(db, us)) == [mine, to_us, carried, for_us]


async def test_headquarters_see_their_stores_and_stores_do_not_see_each_other(db: Connection) -> None:
    head = await make_org(db, 4)
    stores = [await make_org(db, 4) for _ in range(2)]
    branch = await make_org(db, 2)
    await db.execute("UPDATE org SET parent_id = $1, sub_type = 42 WHERE id = ANY($2)", head, stores)
    # a mere shareholding is not a chain
    await db.execute("UPDATE org SET parent_id = $1 WHERE id = $2", head, branch)
    bills = [await _bill(db, store) for store in stores]
    await _bill(db, branch)
    assert await _seen(db, await subject_of(db, head)) == bills
    assert await _seen(db, await subject_of(db, stores[0])) == bills[:1]


async def test_a_grant_opens_the_grantors_bills_until_it_ends_or_is_withdrawn(db: Connection) -> None:
    maker, seller = await make_org(db, 1), await make_org(db)
    sale = await _bill(db, seller, [7], to_org=await make_org(db))
    mixed = await _bill(db, seller, [7, 8])
    subject = await subject_of(db, maker)
    assert await _seen(db, subject) == []
    number = await db.fetchval(
        "INSERT INTO data_grant (grantor_org, grantee_org, drug_ids, fields) "
        "VALUES ($1, $2, '{7}', '{flow,parties,bills}') RETURNING id",
        seller,
        maker,
    )
    # the bill that also lists another product is not covered
    assert await _seen(db, subject) == [sale]
    await db.execute("UPDATE data_grant SET drug_ids = '{7,8,9}' WHERE id = $1", number)
    assert await _seen(db, subject) == [sale, mixed]
    await db.execute("UPDATE data_grant SET until = now() - interval '1 second' WHERE id = $1", number)
    assert await _seen(db, subject) == []
    await db.execute("UPDATE data_grant SET until = NULL, withdrawn_at = now() WHERE id = $1", number)
    assert await _seen(db, subject) == []


async def test_a_grant_does_not_work_backwards(db: Connection) -> None:
    maker, seller = await make_org(db, 1), await make_org(db)
    await _bill(db, maker)
    await db.execute(
        "INSERT INTO data_grant (grantor_org, grantee_org, fields) VALUES ($1, $2, '{flow,parties,bills}')",
        seller,
        maker,
    )
    assert await _seen(db, await subject_of(db, seller)) == []


async def test_a_regulator_sees_what_touches_its_region(db: Connection) -> None:
    inside, outside = await make_org(db, 2, "650102"), await make_org(db, 2, "370100")
    crossing = await _bill(db, outside, from_org=outside, to_org=inside)
    local = await _bill(db, inside)
    elsewhere = await _bill(db, outside)
    province = await subject_of(db, await make_org(db, 110, "650000"), "regulator")
    other_city = await subject_of(db, await make_org(db, 110, "650200"), "regulator")
    nation = await subject_of(db, await make_org(db, 110, "100000"), "regulator")
    assert await _seen(db, province) == [crossing, local]
    assert await _seen(db, other_city) == []
    assert await _seen(db, nation) == [crossing, local, elsewhere]


async def test_goods_held_follow_the_same_rule(db: Connection) -> None:
    us, other, maker = await make_org(db), await make_org(db), await make_org(db, 1)
    rows = [(us, 1, 10), (other, 1, 20), (other, 2, 30)]
    for org, drug, qty in rows:
        await db.execute(
            "INSERT INTO balance (qty, drug_id, batch_id, org, status) VALUES ($1, $2, 1, $3, 'I')",
            qty,
            drug,
            org,
        )
    await db.execute(
        "INSERT INTO data_grant (grantor_org, grantee_org, drug_ids) VALUES ($1, $2, '{2}')", other, maker
    )

    async def held(org: int) -> list[int]:
        sql, args = visible(await subject_of(db, org)).apply(HELD)
        return [r["qty"] for r in await db.fetch(sql, *args)]

    assert await held(us) == [10]
    assert await held(maker) == [30]


async def test_nobody_sees_nothing_and_the_operator_sees_what_runs_the_platform(db: Connection) -> None:
    bill = await _bill(db, await make_org(db))
    assert await _seen(db, ANONYMOUS) == []
    assert await _seen(db, Subject(kind="account", account_id=1)) == []
    assert await _seen(db, Subject(kind="account", account_id=1, role="operator")) == [bill]
    assert await _seen(db, SYSTEM) == [bill]


def test_a_regulator_without_region_or_permission_sees_only_its_own() -> None:
    base = {"kind": "account", "account_id": 1, "org_id": 5, "org_type": "110"}
    assert visible(Subject(**base, scopes=frozenset({"supervise.read"}))) == Sight("own", 5)
    assert visible(Subject(**base, region="650000")) == Sight("own", 5)
    assert visible(ANONYMOUS) is NOBODY


@pytest.mark.parametrize(
    ("region", "prefix"),
    [("650000", "65"), ("650100", "6501"), ("650102", "650102"), ("100000", ""), ("000000", "")],
)
def test_the_prefix_of_a_region_covers_its_territory(region: str, prefix: str) -> None:
    assert region_prefix(region) == prefix


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1 FROM bill", "SELECT 1 FROM bill b WHERE /*visible:nothing b*/", "/*visible:bill b; DROP*/"],
)
def test_a_query_without_a_readable_mark_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="visibility"):
        Sight("own", 1).apply(sql)


async def test_reading_what_is_not_ones_own_is_written_down_and_stays(db: Connection) -> None:
    us, other = await make_org(db), await make_org(db)
    subject = await subject_of(db, us)
    assert await record_read(db, subject, "bill 1", other)
    assert not await record_read(db, subject, "bill 2", us)
    row = await db.fetchrow("SELECT * FROM read_record ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert (row["org_id"], row["owner_org"], row["what"]) == (us, other, "bill 1")


def test_a_traced_read_must_take_a_sight() -> None:
    with pytest.raises(TypeError, match="sight"):

        @traced_read("test.without_sight")
        async def read(conn: Connection) -> None:
            """Reads without asking."""


# --- every query of trace data passes through the gate ------------------------------------------------------


def _text(node: ast.AST) -> str:
    """All constant text below a node, as one: f-strings and implicit joins too."""
    return " ".join(
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )


def _decorated(function: ast.AST) -> bool:
    decorators = getattr(function, "decorator_list", [])
    return any(
        isinstance(d, ast.Call) and getattr(d.func, "id", getattr(d.func, "attr", "")) == "traced_read"
        for d in decorators
    )


def _docstrings(tree: ast.Module) -> set[int]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(n.body[0])
        for n in ast.walk(tree)
        if isinstance(n, owners) and n.body and isinstance(n.body[0], ast.Expr)
    }


def ungated_queries(source: str) -> Iterator[tuple[str, str]]:
    """Names (of the constant, or of the function with SQL inside it) that read trace tables past the gate."""
    tree = ast.parse(source)
    lines = source.splitlines()
    docs = _docstrings(tree)
    for node in ast.walk(tree):
        if id(node) in docs:
            for child in ast.walk(node):
                if isinstance(child, ast.Constant):
                    child.value = ""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name, text = getattr(target, "id", "?"), _text(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name, text = node.name, _text(node)
        else:
            continue
        found = READS.search(text)
        if found and MARK not in text and not _says_why(lines, node.lineno):
            yield name, found.group(1)


def _says_why(lines: list[str], first: int) -> bool:
    """Whether the comment right above says `ungated: <reason>`."""
    above = []
    for line in reversed(lines[: first - 1]):
        if not line.startswith("#"):
            break
        above.append(line.strip("# "))
    reason = re.search(r"\bungated: (.{15,})", " ".join(reversed(above)))
    return reason is not None


def _allowed() -> dict[str, str]:
    rows = {}
    for line in ALLOWED.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition("|")
            rows[name.strip()] = reason.strip()
    return rows


def _is_allowed(query: str, allowed: dict[str, str]) -> bool:
    return query in allowed or query.rpartition(":")[0] + ":*" in allowed


def _all_ungated() -> dict[str, str]:
    found = {}
    for path in sorted(SOURCE.glob("*/**/store*.py")):
        room = path.relative_to(SOURCE).as_posix()
        for name, table in ungated_queries(path.read_text("utf-8")):
            found[f"{room}:{name}"] = table
    return found


def test_every_query_of_trace_data_passes_through_the_gate_or_says_why_not() -> None:
    allowed = _allowed()
    passed_by = {k: table for k, table in _all_ungated().items() if not _is_allowed(k, allowed)}
    assert not passed_by, (
        "these queries read trace tables without a /*visible:…*/ mark; give them one "
        "(access/visibility.py), or say why not in a comment above (`# ungated: reason`) or in "
        f"{ALLOWED.name}: {passed_by}"
    )


def test_every_exception_has_a_reason_and_still_exists() -> None:
    allowed, ungated = _allowed(), _all_ungated()
    assert [k for k, reason in allowed.items() if len(reason) < 15] == []
    covered = set(ungated) | {k.rpartition(":")[0] + ":*" for k in ungated}
    assert [k for k in allowed if k not in covered] == []
    # a whole file only where its name says that it is the write path
    assert [k for k in allowed if k.endswith(":*") and "/store_write" not in k] == []


def test_every_traced_read_asks_its_sight() -> None:
    silent = []
    for path in sorted(SOURCE.glob("*/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if _decorated(node):
                asked = {getattr(n.value, "id", "") for n in ast.walk(node) if isinstance(n, ast.Attribute)}
                passed_on = {
                    getattr(n, "id", "") for c in ast.walk(node) if isinstance(c, ast.Call) for n in c.args
                }
                if "sight" not in asked | passed_on:
                    silent.append(f"{path.relative_to(SOURCE)}:{getattr(node, 'name', '?')}")
    assert silent == []


@pytest.mark.parametrize(
    "source",
    [
        "Q = 'SELECT code FROM unit WHERE code = $1'",
        "Q = ('SELECT code '\n 'FROM bill_line')",
        "async def read(conn):\n    return await conn.fetch('SELECT 1 FROM org o JOIN  balance b ON true')",
        "# ungated: because\nQ = 'SELECT 1 FROM bill'",
        "# ungated: of another query, with a long reason\n\nQ = 'SELECT 1 FROM bill'",
        "TABLE = 'x'\nQ = f'SELECT {TABLE} FROM notice'",
    ],
)
def test_the_scan_finds_a_query_that_slips_past(source: str) -> None:
    assert list(ungated_queries(source))


@pytest.mark.parametrize(
    "source",
    [
        "Q = 'SELECT 1 FROM bill b WHERE /*visible:bill b*/'",
        "Q = 'INSERT INTO bill (id) VALUES ($1)'",
        "Q = 'DELETE FROM unit WHERE code = $1'",
        "'''Reads FROM unit in prose.'''\ndef f():\n    '''FROM bill'''",
        "Q = 'SELECT 1 FROM billing'",
        "# The answer again.\n# ungated: write path, the same owner's own number\nQ = 'SELECT 1 FROM bill'",
    ],
)
def test_the_scan_lets_gated_queries_and_prose_pass(source: str) -> None:
    assert not list(ungated_queries(source))
