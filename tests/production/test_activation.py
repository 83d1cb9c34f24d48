"""Activation on real PostgreSQL: all or nothing, once, balanced, kept byte for byte (R-A5, R-A8, design D3, D4, D8)."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path

import pytest

from access.helpers import make_org
from production.helpers import (
    BOX,
    CASE,
    MASTER,
    MIDDLE,
    SAMPLE,
    Row,
    Tree,
    code,
    make_maker,
    make_product,
    maker,
    tree,
)
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.production import activation, files, keeping
from yaosu.production.activation import Activation, Options
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import Subject

LADDER = {"contains": (1, 4, 3)}
TABLES = [
    "unit",
    "batch",
    "bill",
    "bill_line",
    "entry",
    "balance",
    "submission",
    "relation_file",
    "relation_chunk",
]


async def counts(conn: Connection) -> dict[str, int]:
    return {t: await conn.fetchval(f"SELECT count(*) FROM {t}") for t in TABLES}


async def run(
    conn: Connection, subject: Subject, registry: Registry, folder: Path, data: bytes, **options: object
) -> Activation:
    path = folder / "relation.xml"
    path.write_bytes(data)
    chosen = Options(**options)  # type: ignore[arg-type]
    return await activation.activate(conn, subject, path, registry, MASTER, chosen)


async def balances(conn: Connection, drug_id: int) -> dict[str, int]:
    rows = await conn.fetch(
        "SELECT status, sum(qty)::int AS n FROM balance WHERE drug_id = $1 GROUP BY 1", drug_id
    )
    return {r["status"]: r["n"] for r in rows if r["n"]}


async def test_the_public_sample_becomes_one_case_that_carries_the_state(
    db: Connection, tmp_path: Path
) -> None:
    subject, drug_id, registry = await make_maker(db)
    done = await run(db, subject, registry, tmp_path, SAMPLE.read_bytes(), name="1箱3罐.xml")
    assert (done.codes, done.boxes, done.repeated) == (8, 4, False)
    assert done.bill_no == f"JH-20260901-{done.sha256[:8]}"
    units = {r["code"]: r for r in await db.fetch("SELECT * FROM unit WHERE drug_id = $1", drug_id)}
    case = units["80217619000000001003"]
    assert (case["status"], case["holder"], case["qty"], case["parent"], case["level"]) == (
        "A",
        subject.org,
        4,
        None,
        3,
    )
    assert case["since"] is not None
    can, capsule = units["80217629000000001006"], units["82062339000000001003"]
    assert (can["parent"], can["status"], can["holder"], can["since"], can["qty"]) == (
        case["code"],
        None,
        None,
        None,
        2,
    )
    assert (capsule["parent"], capsule["status"], capsule["qty"]) == (can["code"], None, None)
    assert {u["last_bill"] for u in units.values()} == {done.bill_id}
    assert await balances(db, drug_id) == {"P": -4, "A": 4}
    (line,) = await db.fetch("SELECT * FROM bill_line WHERE bill_id = $1", done.bill_id)
    assert (line["code"], line["qty"], line["pre"], line["post"], line["prev_bill"]) == (
        case["code"],
        4,
        "P",
        "A",
        0,
    )
    bill = await db.fetchrow("SELECT * FROM bill WHERE id = $1", done.bill_id)
    assert bill is not None
    assert (bill["type"], bill["owner"], bill["qty"], bill["lines"], bill["mode"]) == (
        1,
        subject.org,
        4,
        1,
        "T",
    )
    assert (
        bill["content_hash"].hex() == done.sha256
        and bill["leaf"].hex() == done.leaf
        and len(bill["leaf"]) == 32
    )
    batch = await db.fetchrow("SELECT * FROM batch WHERE drug_id = $1", drug_id)
    assert batch is not None and (batch["batch_no"], batch["workshop"], batch["maker"]) == (
        "20260901",
        "一号车间",
        subject.org,
    )


async def test_stock_in_posts_the_101_in_the_same_transaction(db: Connection, tmp_path: Path) -> None:
    subject, drug_id, registry = await make_maker(db, **LADDER)
    done = await run(db, subject, registry, tmp_path, tree(2, 3, 4).xml(), stock_in=True)
    assert done.stock_bill is not None and done.stock_bill > done.bill_id
    assert await balances(db, drug_id) == {"P": -24, "I": 24}
    outer = await db.fetch("SELECT * FROM unit WHERE drug_id = $1 AND parent IS NULL", drug_id)
    assert {(u["status"], u["last_bill"]) for u in outer} == {("I", done.stock_bill)}
    inner = await db.fetch(
        "SELECT DISTINCT last_bill FROM unit WHERE drug_id = $1 AND parent IS NOT NULL", drug_id
    )
    assert [r["last_bill"] for r in inner] == [done.bill_id]
    lines = await db.fetch("SELECT pre, post, prev_bill FROM bill_line WHERE bill_id = $1", done.stock_bill)
    assert {tuple(r) for r in lines} == {("A", "I", done.bill_id)}


async def test_the_same_file_again_gets_the_same_answer_and_changes_nothing(
    db: Connection, tmp_path: Path
) -> None:
    subject, _, registry = await make_maker(db, **LADDER)
    data = tree(2, 3, 4).xml()
    first = await run(db, subject, registry, tmp_path, data)
    before = await counts(db)
    again = await run(db, subject, registry, tmp_path, data, name="again.xml")
    assert again.repeated and (again.bill_id, again.leaf, again.boxes) == (
        first.bill_id,
        first.leaf,
        first.boxes,
    )
    assert await counts(db) == before


async def test_a_bill_number_cannot_be_used_for_another_file(db: Connection, tmp_path: Path) -> None:
    subject, _, registry = await make_maker(db, **LADDER)
    await run(db, subject, registry, tmp_path, tree(1, 3, 4).xml(), bill_no="JH-1")
    with pytest.raises(YaosuError) as refused:
        await run(db, subject, registry, tmp_path, tree(1, 3, 4, first=100).xml(), bill_no="JH-1")
    assert refused.value.code == "bill_number_taken"


async def test_one_wrong_line_keeps_the_whole_file_out(db: Connection, tmp_path: Path) -> None:
    subject, _, registry = await make_maker(db, **LADDER)
    given = tree(5, 3, 4)
    given.rows.append(Row(code(BOX, 10**6), 1, code(MIDDLE, 10**6)))
    before = await counts(db)
    with pytest.raises(YaosuError) as refused:
        await run(db, subject, registry, tmp_path, given.xml())
    assert refused.value.code == "relation_refused"
    assert [f.code for f in refused.value.findings] == ["relation_parent_missing"]
    assert await counts(db) == before


async def test_a_code_activated_before_is_refused_with_where_it_was_activated(
    db: Connection, tmp_path: Path
) -> None:
    subject, drug_id, registry = await make_maker(db, **LADDER)
    first = await run(db, subject, registry, tmp_path, tree(2, 3, 4).xml(), name="first.xml")
    given = tree(1, 3, 4, first=1000)
    given.batch = "20260902"
    given.rows[5].code = code(BOX, 7)
    before = await counts(db)
    with pytest.raises(YaosuError) as refused:
        await run(db, subject, registry, tmp_path, given.xml())
    (finding,) = refused.value.findings
    assert finding.code == "relation_already_active" and finding.where == "line 11"
    assert (finding.params["batch"], finding.params["file"], finding.params["bill"]) == (
        "20260901",
        "first.xml",
        first.bill_no,
    )
    assert await counts(db) == before
    path = tmp_path / "relation.xml"
    dry = await activation.check(db, subject, path, registry, MASTER)
    assert dict(dry.errors.counts) == {"relation_already_active": 1}
    # also when the unit has since moved on its own
    await db.execute(
        "UPDATE unit SET last_bill = 999999 WHERE drug_id = $1 AND code = $2", drug_id, code(BOX, 7)
    )
    await db.execute(
        "INSERT INTO bill_line (bill_id, prev_bill, drug_id, batch_id, qty, pre_holder, pre, post, code) "
        "SELECT 999999, $2, $1, batch_id, 1, 1, 'I', 'S', code FROM unit WHERE drug_id = $1 AND code = $3",
        drug_id,
        first.bill_id,
        code(BOX, 7),
    )
    dry = await activation.check(db, subject, path, registry, MASTER)
    assert dry.errors.kept[0].params["file"] == "first.xml"


async def test_a_dry_run_changes_nothing(db: Connection, tmp_path: Path) -> None:
    subject, _, registry = await make_maker(db, **LADDER)
    path = tmp_path / "relation.xml"
    path.write_bytes(tree(2, 3, 4).xml())
    before = await counts(db)
    found = await activation.check(db, subject, path, registry, MASTER, "x.xml")
    assert found.ok
    assert (found.summary()["codes"], found.summary()["boxes"]) == (32, 24)
    assert await counts(db) == before


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_the_file_is_kept_byte_for_byte(
    db: Connection, tmp_path: Path, pack: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PIECE", 1000)
    subject, _, registry = await make_maker(db, **LADDER)
    data: bytes = pack(tree(3, 3, 4).xml())  # type: ignore[operator]
    done = await run(db, subject, registry, tmp_path, data)
    found = await files.get(db, subject, done.bill_id)
    assert b"".join([p async for p in keeping.kept(db, found["submission_id"])]) == data
    body = await db.fetchval("SELECT body FROM submission WHERE id = $1", found["submission_id"])
    assert done.sha256.encode() in zlib.decompress(body)


async def test_two_batches_of_two_products_in_one_file_each_get_their_ledger(
    db: Connection, tmp_path: Path
) -> None:
    org = await make_org(db, 1)
    first = await make_product(db, org, contains=(1, 4, 3))
    second = await make_product(db, org, ("8300001", "8300002", "8300003"), (1, 4, 3))
    registry = await load_registry(db)
    one, two = tree(1, 3, 4), tree(1, 3, 4)
    for row in two.rows:
        swap = {BOX: "8300001", MIDDLE: "8300002", CASE: "8300003"}
        row.code = swap[row.code[:7]] + row.code[7:]
        row.parent = swap[row.parent[:7]] + row.parent[7:] if row.parent else ""
    two.batch = "B2"
    a, b = one.xml().decode(), two.xml().decode()
    both = a.replace("</Event>", b[b.index("<Relation") : b.index("</Event>")] + "</Event>")
    done = await run(db, maker(org), registry, tmp_path, both.encode())
    assert {(x["drug_id"], x["batch_no"], x["boxes"]) for x in done.batches} == {
        (first, "20260901", 12),
        (second, "B2", 12),
    }
    assert await balances(db, first) == await balances(db, second) == {"P": -12, "A": 12}


async def test_gs1_codes_activate_like_others(db: Connection, tmp_path: Path) -> None:
    org = await make_org(db, 1)
    drug_id = await make_product(db, org, ("06901234567892", "16901234567899"), (1, 3), scheme="gs1")
    registry = await load_registry(db)
    rows = [Row(f"(01)06901234567892(21)S{n}", 1, "(01)16901234567899(21)C1") for n in range(3)]
    done = await run(
        db, maker(org), registry, tmp_path, Tree([*rows, Row("(01)16901234567899(17)261023(21)C1", 2)]).xml()
    )
    assert (done.codes, done.boxes) == (4, 3)
    found = await db.fetchrow(
        "SELECT parent, status FROM unit WHERE drug_id = $1 AND code = $2", drug_id, rows[0].code
    )
    assert found is not None and tuple(found) == ("(01)16901234567899(21)C1", None)


async def test_without_the_permission_nothing_is_read(db: Connection, tmp_path: Path) -> None:
    subject, _, registry = await make_maker(db)
    reader = Subject("account", org_id=subject.org_id, scopes=frozenset({"production.read"}))
    with pytest.raises(YaosuError) as refused:
        await run(db, reader, registry, tmp_path, b"")
    assert refused.value.code == "forbidden"


async def test_the_same_codes_sent_twice_at_once_are_activated_once(pool: Pool, tmp_path: Path) -> None:
    async with pool.acquire() as conn:
        subject, drug_id, registry = await make_maker(
            conn, prefixes=("8311111", "8311112", "8311113"), contains=(1, 4, 3)
        )

    def other(data: bytes) -> bytes:
        return (
            data.replace(BOX.encode(), b"8311111")
            .replace(MIDDLE.encode(), b"8311112")
            .replace(CASE.encode(), b"8311113")
        )

    same = [other(tree(5, 3, 4).xml())] * 3
    # the same codes in a file that differs in a blank: not a repetition, so it must be refused
    varied = [other(tree(5, 3, 4).xml("\r\n"))]

    async def one(n: int, data: bytes) -> str:
        folder = tmp_path / str(n)
        folder.mkdir()
        async with pool.acquire() as conn:
            try:
                async with conn.transaction():
                    done = await run(conn, subject, registry, folder, data)
                return "repeated" if done.repeated else "done"
            except YaosuError as error:
                return error.code

    outcomes = await asyncio.gather(*(one(n, d) for n, d in enumerate(same + varied)))
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "repeated", "relation_refused"}
    async with pool.acquire() as conn:
        assert await balances(conn, drug_id) == {"P": -60, "A": 60}
        assert await conn.fetchval("SELECT count(*) FROM unit WHERE drug_id = $1", drug_id) == 80


async def test_a_failure_in_the_middle_of_writing_leaves_nothing(
    db: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, _, registry = await make_maker(db, **LADDER)
    before = await counts(db)

    async def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(keeping, "keep", broken)
    with pytest.raises(OSError, match="disk full"):
        async with db.transaction():
            await run(db, subject, registry, tmp_path, tree(2, 3, 4).xml())
    assert await counts(db) == before
