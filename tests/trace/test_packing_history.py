"""What packing does to histories: logistics containers that are gone, labels used again, codes replaced (D3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circulation.helpers import Market
from production.helpers import BOX, CASE, MASTER, MIDDLE, code, make_maker, tree
from production.test_packing import SSCC, Shop
from registry.helpers import make_org
from yaosu.circulation.cache import BatchCache
from yaosu.db.engine import Connection
from yaosu.production import packing
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.trace import service


async def _shop(db: Connection, folder: Path) -> Shop:
    subject, drug_id, registry = await make_maker(db, contains=(1, 4, 3))
    shop = Shop(db, subject, drug_id, registry, folder)
    await shop.activate(tree(2, 3, 4).xml())
    return shop


async def _told(shop: Shop, text: str) -> list[tuple[int, str | None]]:
    body: Any = await service.history(shop.db, shop.registry, shop.subject, text)
    return [(e["bill_type"], e["via"]) for e in body["events"]]


async def test_a_container_that_is_gone_is_still_in_its_contents_history(
    db: Connection, tmp_path: Path
) -> None:
    shop = await _shop(db, tmp_path)
    begun = await _told(shop, code(BOX, 1))
    await shop.pack(SSCC, code(CASE, 1))
    inside = await _told(shop, code(BOX, 1))
    assert inside == [*begun, (2, code(CASE, 1))]
    await shop.unpack(SSCC, whole=True)
    gone = await db.fetchval("SELECT count(*) FROM unit WHERE code = $1", SSCC)
    assert gone == 0
    assert await _told(shop, code(BOX, 1)) == [*inside, (3, code(CASE, 1))]
    # the label's second life is not the first content's
    await shop.pack(SSCC, code(CASE, 2))
    assert await _told(shop, code(BOX, 1)) == [*inside, (3, code(CASE, 1))]
    assert (await _told(shop, code(BOX, 13)))[-1] == (2, code(CASE, 2))


async def test_what_a_container_went_through_stays_when_it_is_gone(db: Connection, tmp_path: Path) -> None:
    shop = await _shop(db, tmp_path)
    buyer = await make_org(db, OrgType.WHOLESALER)
    registry = await load_registry(db)
    market = Market(db, registry, BatchCache(), shop.subject.org, buyer, 0, 0, 0, 0, shop.drug_id)
    await db.execute("UPDATE batch SET expires_on = '2039-12-31'")
    await shop.pack(SSCC, code(CASE, 1))
    await market.pass_on(shop.subject.org, buyer, [SSCC])
    theirs = market.subject(buyer)
    await packing.unpack(db, theirs, registry, [SSCC], whole=True)
    assert await db.fetchval("SELECT count(*) FROM unit WHERE code = $1", SSCC) == 0
    body: Any = await service.history(db, registry, theirs, code(BOX, 1))
    told = [(e["bill_type"], e["via"]) for e in body["events"]]
    assert told[-4:] == [(2, code(CASE, 1)), (201, SSCC), (102, SSCC), (3, code(CASE, 1))]


async def test_a_new_code_continues_the_old_ones_history_and_so_does_its_content(
    db: Connection, tmp_path: Path
) -> None:
    shop = await _shop(db, tmp_path)
    await shop.unpack(code(MIDDLE, 1))
    old, new = code(MIDDLE, 1), code(MIDDLE, 900)
    before, content = await _told(shop, old), await _told(shop, code(BOX, 1))
    await packing.replace(db, shop.subject, shop.registry, MASTER, old, new, "标签破损")
    continued = await _told(shop, new)
    assert [kind for kind, _ in continued] == [*(kind for kind, _ in before), 4]
    assert {via for _, via in continued[:-1]} <= {old, code(CASE, 1)}
    assert (await _told(shop, old))[-1] == (4, None)
    kept = await _told(shop, code(BOX, 1))
    assert [kind for kind, _ in kept] == [*(kind for kind, _ in content), 4]
    body: Any = await service.history(db, shop.registry, shop.subject, new)
    assert body["events"][-1]["replacement"] == {"old": old, "new": new}
