"""The resolver: product, level and home of a code from its prefix (R-A2, R-A4; sample of standards §2.9)."""

from __future__ import annotations

import asyncio
import timeit

import pytest

from registry.helpers import OPERATOR, make_filing, make_org, make_product
from yaosu.codes import TraceCode, parse
from yaosu.db.engine import Connection, Pool
from yaosu.registry import service, store_cache
from yaosu.registry.resolver import load_registry


def code(text: str) -> TraceCode:
    read = parse(text, [])
    assert isinstance(read, TraceCode)
    return read


BOX = "83857930000879766660"
CASE = "83857940000879766660"


async def sample(db: Connection) -> int:
    """The sample tuple of standards §2.9 with further linked codes."""
    mah = await make_org(db)
    return await make_product(
        db,
        mah,
        links=[
            ("retail_barcode", "6924561884074"),
            ("bwm", "86904879000126"),
            ("yibao", "ZA01BAC0182010100280"),
            ("ypid", "YP-0001"),
            ("cndc", "04879001203"),
        ],
    )


async def test_a_box_and_its_case_resolve_to_one_product_at_their_levels(db: Connection) -> None:
    drug_id = await sample(db)
    registry = await load_registry(db)
    box, case = registry.resolve(code(BOX)), registry.resolve(code(CASE))
    assert (box.kind, box.drug_id, box.level) == ("known", drug_id, 1)
    assert (case.kind, case.drug_id, case.level) == ("known", drug_id, 2)
    product = registry.product(drug_id)
    assert product is not None and product.ratio == "1:200"
    assert [v.units_per for v in registry.levels(drug_id)] == [1, 200]


@pytest.mark.parametrize(
    "value",
    [
        "8385793",
        "8385794",
        "6924561884074",
        "06924561884074",
        "86904879000126",
        "ZA01BAC0182010100280",
        "za01bac0182010100280",
        "YP-0001",
        "04879001203",
        " ８３８５７９３ ",
    ],
)
async def test_every_linked_code_leads_to_the_product(db: Connection, value: str) -> None:
    drug_id = await sample(db)
    assert [p.id for p in await service.find_product(db, OPERATOR, value)] == [drug_id]


async def test_a_code_filed_for_another_system_is_recognised_and_its_home_named(db: Connection) -> None:
    mah = await make_org(db)
    other = await service.put_system(db, OPERATOR, "另一平台", "某运营单位", "https://example.com/q")
    await make_filing(db, mah, ["8111111"], system_id=other.id)
    registry = await load_registry(db)
    found = registry.resolve(code("81111110000000000001"))
    assert found.kind == "elsewhere"
    assert found.system is not None and found.system.name == "另一平台"
    assert found.query_url == "https://example.com/q"


async def test_a_code_nobody_filed_is_unknown(db: Connection) -> None:
    registry = await load_registry(db)
    assert registry.resolve(code("89999990000000000001")).kind == "unknown"


async def test_a_filed_prefix_without_product_becomes_known_when_the_product_comes(db: Connection) -> None:
    mah = await make_org(db)
    await make_filing(db, mah, ["8222222"])
    registry = await load_registry(db)
    found = registry.resolve_prefix("8222222")
    assert found.kind == "unknown" and found.system is not None and found.system.own
    drug_id = await make_product(db, mah, levels=[("盒", 1, "8222222")], file=False)
    assert await registry.refresh(db)
    found = registry.resolve_prefix("8222222")
    assert (found.kind, found.drug_id, found.level) == ("known", drug_id, 1)


async def test_a_gs1_product_resolves_by_gtin(db: Connection) -> None:
    mah = await make_org(db)
    drug_id = await make_product(db, mah, levels=[("盒", 1, "06924561884074")], scheme="gs1")
    registry = await load_registry(db)
    found = registry.resolve(code("(01)06924561884074(21)ABC123"))
    assert (found.kind, found.drug_id, found.level) == ("known", drug_id, 1)


async def test_resolving_takes_about_a_microsecond(db: Connection) -> None:
    await sample(db)
    registry = await load_registry(db)
    one = code(BOX)
    rounds = 20_000
    best = min(timeit.repeat(lambda: registry.resolve(one), number=rounds, repeat=5)) / rounds
    # a microsecond is what some fifty calls of nothing take, on a slow machine too
    nothing = min(timeit.repeat(lambda: None, number=rounds, repeat=5)) / rounds
    assert best < max(2e-6, 120 * nothing)


async def test_a_slow_reload_never_takes_back_what_a_later_refresh_brought(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pool.acquire() as slow, pool.acquire() as quick:
        registry = await load_registry(slow)
        read, go_on, real = asyncio.Event(), asyncio.Event(), store_cache.load

        async def load(conn: Connection, statement: str, ids: list[int] | None) -> object:
            rows = await real(conn, statement, ids)
            if conn is slow and statement == store_cache.ORGS:
                read.set()
                await go_on.wait()
            return rows

        monkeypatch.setattr(store_cache, "load", load)
        reload = asyncio.create_task(registry.refresh(slow, full=True))
        await read.wait()
        made = await make_org(quick)
        later = asyncio.create_task(registry.refresh(quick))
        await asyncio.wait({later}, timeout=0.3)
        go_on.set()
        await asyncio.gather(reload, later)
        assert registry.org(made) is not None
