"""Scanned transfers between hospitals of a group (医联体/医共体, R-C5) through the write path."""

from __future__ import annotations

from datetime import datetime

import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from registry.helpers import make_org
from yaosu.db.engine import Connection
from yaosu.grants import groups as telling
from yaosu.registry import groups
from yaosu.registry.model import OrgType


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> Market:
    return await make_market(db)


async def test_hospitals_transfer_only_what_their_group_lists_and_both_scan_it(market: Market) -> None:
    clinic = await make_org(market.conn, OrgType.MEDICAL)
    await market.registry.refresh(market.conn)
    goods = await activate(market)
    await market.pass_on(market.maker, market.hospital, goods.cases)
    box = goods.boxes[0]
    refused = await market.move(203, market.hospital, [box], to_org=clinic)
    assert [r.verdict for r in refused.results] == ["transfer_no_group"]
    lead = market.subject(market.hospital)
    made = await groups.create(market.conn, market.registry, lead, "示例县医共体", "county")
    await telling.invite(market.conn, market.registry, lead, made, clinic)
    await telling.accept(market.conn, market.registry, market.subject(clinic), made)
    now = datetime.now(groups.CHINA)
    unlisted = await market.move(203, market.hospital, [box], to_org=clinic, happened_at=now)
    assert [r.verdict for r in unlisted.results] == ["transfer_drug_not_listed"]
    today = datetime.now(groups.CHINA).date()
    await groups.add_drug(market.conn, market.registry, lead, made, market.drug_id, "urgent", today)
    now = datetime.now(groups.CHINA)
    sent = await market.move(203, market.hospital, [box], to_org=clinic, happened_at=now)
    assert sent.status == "accepted", sent.results
    came = await market.move(104, clinic, [box], from_org=market.hospital, happened_at=now)
    assert came.status == "accepted"
    assert await market.status(box) == ("I", clinic, None)
    await market.conserved()
