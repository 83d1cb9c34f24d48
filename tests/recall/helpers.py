"""A market with recalls: orders drafted, approved and published, and who answers them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from circulation.helpers import Goods, Market, activate, make_market
from registry.helpers import make_org
from yaosu.access.scopes import grantable
from yaosu.db.engine import Connection
from yaosu.recall import service
from yaosu.recall.model import Draft, Order
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject

__all__ = ["Goods", "Market", "activate", "draft_of", "make_market", "office", "published", "who"]


def who(market: Market, org: int, account: int = 1) -> Subject:
    """Somebody of `org` with all permissions of its type."""
    card = market.registry.org(org)
    assert card is not None
    scopes = grantable(str(card.type))
    return Subject("account", account, org, str(card.type), "admin", scopes, region=card.region)


async def office(
    market: Market, conn: Connection, region: str = "370000", sub_type: int | None = None
) -> int:
    """A supervising office of that region; a drug regulator unless it says otherwise (list `org_sub_type`)."""
    org = await make_org(conn, OrgType.GOVERNMENT, region=region, sub_type=sub_type)
    market.registry = await load_registry(conn)
    return org


def draft_of(goods: Goods, **more: Any) -> Draft:
    """An active class I recall of the whole batch."""
    values: dict[str, Any] = {
        "drug_id": goods.drug_id,
        "level": 1,
        "kind": "active",
        "simulated": False,
        "title": "复方测试胶囊召回",
        "reason": "留样检验含量不合格",
        "hazard": "可能影响疗效",
        "measure": "return",
        "contact": "质量部 0531-12345678",
        "is_public": True,
        "batch_nos": (goods.batch_no,),
    }
    return replace(Draft(**values | {"is_public": not more.get("simulated")}), **more)


async def published(market: Market, conn: Connection, given: Draft) -> Order:
    """Drafted by one account of the maker, approved by a second, published."""
    order_id = await service.draft(conn, market.registry, who(market, market.maker), given)
    await service.approve(conn, market.registry, who(market, market.maker, 2), order_id)
    return await service.publish(conn, market.registry, who(market, market.maker), order_id)
