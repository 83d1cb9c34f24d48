"""Code requests: ranges instead of rows, codes by computation (R-A1, R-X8)."""

from __future__ import annotations

import asyncio
import io
import zipfile
from xml.etree import ElementTree

import pytest

from access.helpers import make_org
from production.helpers import BOX, CASE, MASTER, MIDDLE, code, make_maker, make_product, maker
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.production import download, requests
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject


def lines(data: bytes) -> list[str]:
    return data.decode().split()


async def test_a_request_of_ten_million_codes_costs_a_row(db: Connection) -> None:
    subject, drug_id, registry = await make_maker(db)
    made = await requests.create(db, subject, registry, drug_id, {1: 10_000_000, 2: 20_000, 3: 4_000})
    assert made.total == 10_024_000
    assert [(r.level, r.prefix, r.start_no, r.count) for r in made.ranges] == [
        (1, BOX, 0, 10_000_000),
        (2, MIDDLE, 0, 20_000),
        (3, CASE, 0, 4_000),
    ]
    assert await db.fetchval("SELECT count(*) FROM unit") == 0
    again = await requests.create(db, subject, registry, drug_id, {1: 5})
    assert again.ranges[0].start_no == 10_000_000


async def test_downloads_give_every_code_once_in_every_format(db: Connection) -> None:
    subject, drug_id, registry = await make_maker(db)
    made = await requests.create(db, subject, registry, drug_id, {1: 1000, 2: 50})
    txt = lines(b"".join(download.stream(made, MASTER)))
    assert len(set(txt)) == 1050 and [c[:7] for c in txt] == [MIDDLE] * 50 + [BOX] * 1000
    assert all(len(c) == 20 and c.isdigit() for c in txt)
    csv = b"".join(download.stream(made, MASTER, "csv")).decode().splitlines()
    assert csv[0] == "code,level" and [c.split(",")[0] for c in csv[1:]] == txt
    root = ElementTree.fromstring(b"".join(download.stream(made, MASTER, "xml")))
    assert [c.get("curCode") for c in root] == txt and root[0].get("packLayer") == "2"
    archive = zipfile.ZipFile(io.BytesIO(b"".join(download.stream(made, MASTER, "txt.zip"))))
    assert archive.testzip() is None
    assert archive.namelist() == [f"codes-{made.id}-level2.txt", f"codes-{made.id}-level1.txt"]
    assert lines(archive.read(archive.namelist()[1])) == txt[50:]
    part = lines(b"".join(download.stream(made, MASTER, "txt", 1, 990, 10)))
    assert part == txt[-10:]
    for bad in ((1, 990, 11), (1, 1000, None), (3, 0, None)):
        with pytest.raises(YaosuError):
            download.stream(made, MASTER, "txt", *bad)
    with pytest.raises(YaosuError) as refused:
        download.stream(made, MASTER, "exe")
    assert refused.value.code == "code_download_format"


async def test_whose_names_request_and_number_to_the_owner_only(db: Connection) -> None:
    subject, drug_id, registry = await make_maker(db)
    await requests.create(db, subject, registry, drug_id, {1: 10})
    made = await requests.create(db, subject, registry, drug_id, {1: 10})
    text = lines(b"".join(download.stream(made, MASTER)))[7]
    found = await requests.whose(db, subject, MASTER, text)
    assert (found.issued, found.request_id, found.number, found.level) == (True, made.id, 7, 1)
    stranger = maker(await make_org(db, 1))
    seen = await requests.whose(db, stranger, MASTER, text)
    assert (seen.issued, seen.request_id, seen.number) == (True, None, None)
    assert not (await requests.whose(db, subject, MASTER, code(BOX, 12345))).issued
    third = await requests.create(db, subject, registry, drug_id, {1: 1})
    unissued = requests.CodeRange(1, "cn20", BOX, 1, third.ranges[0].start_no + 1, 1)
    beyond = lines(b"".join(download._plain(made, [(unissued, 0, 1)], "txt", MASTER)))[0]
    assert not (await requests.whose(db, subject, MASTER, beyond)).issued
    with pytest.raises(YaosuError):
        await requests.whose(db, subject, MASTER, "6921234567894")


async def test_the_same_reference_gets_the_same_request(db: Connection) -> None:
    subject, drug_id, registry = await make_maker(db)
    first = await requests.create(db, subject, registry, drug_id, {1: 10}, client_ref="SQ-1")
    assert (await requests.create(db, subject, registry, drug_id, {1: 10}, client_ref="SQ-1")).id == first.id
    with pytest.raises(YaosuError) as refused:
        await requests.create(db, subject, registry, drug_id, {1: 11}, client_ref="SQ-1")
    assert refused.value.code == "code_request_repeated"


async def test_refusals_say_why(db: Connection) -> None:
    subject, drug_id, registry = await make_maker(db)
    cases = [
        (subject, drug_id, {}, "code_request_empty"),
        (subject, drug_id, {4: 1}, "code_request_level"),
        (subject, drug_id, {1: -5}, "code_request_count"),
        (subject, drug_id, {1: 1_000_000_001}, "code_request_count"),
        (subject, 999_999, {1: 1}, "product_not_found"),
        (maker(await make_org(db, 1)), drug_id, {1: 1}, "code_request_not_yours"),
        (Subject("account", org_id=subject.org_id), drug_id, {1: 1}, "forbidden"),
    ]
    for who, what, counts, expected in cases:
        with pytest.raises(YaosuError) as refused:
            await requests.create(db, who, registry, what, counts)
        assert refused.value.code == expected
    await requests.create(db, subject, registry, drug_id, {1: 1_000_000_000})
    with pytest.raises(YaosuError) as refused:
        await requests.create(db, subject, registry, drug_id, {1: 1})
    assert refused.value.code == "code_range_used_up"


async def test_codes_wait_for_the_filing_of_their_rule(db: Connection) -> None:
    subject, drug_id, registry = await make_maker(db)
    await db.execute("DELETE FROM code_prefix WHERE drug_id = $1", drug_id)
    with pytest.raises(YaosuError) as refused:
        await requests.create(db, subject, registry, drug_id, {1: 1})
    assert refused.value.code == "prefix_not_filed"


async def test_requests_of_others_are_not_found(db: Connection) -> None:
    subject, drug_id, registry = await make_maker(db)
    made = await requests.create(db, subject, registry, drug_id, {1: 1})
    stranger = maker(await make_org(db, 1))
    with pytest.raises(YaosuError) as refused:
        await requests.get(db, stranger, made.id)
    assert refused.value.code == "not_found"
    assert await requests.list_own(db, stranger) == []


async def test_requests_at_once_never_share_a_number(pool: Pool) -> None:
    async with pool.acquire() as conn:
        org = await make_org(conn, 1)
        drug_id = await make_product(conn, org, ("8322221", "8322222", "8322223"))
        registry = await load_registry(conn)

    async def one() -> requests.CodeRequest:
        async with pool.acquire() as conn, conn.transaction():
            return await requests.create(conn, maker(org), registry, drug_id, {1: 7, 2: 3})

    made = await asyncio.gather(*(one() for _ in range(12)))
    for level, count in ((1, 7), (2, 3)):
        starts = sorted(r.start_no for m in made for r in m.ranges if r.level == level)
        assert starts == [n * count for n in range(12)]
