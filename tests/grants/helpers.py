"""Grants made by their two sides, and the view of a maker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from circulation.helpers import Market
from yaosu.grants import service
from yaosu.grants.model import Terms
from yaosu.trace import flow
from yaosu.trace.flow_api import flow_json


def terms(*fields: str, drugs: Sequence[int] | None = None, until: datetime | None = None) -> Terms:
    """What a grant opens; all products unless named."""
    return Terms(tuple(drugs) if drugs is not None else None, frozenset(fields), until)


async def agreed(market: Market, grantor: int, grantee: int, what: Terms) -> int:
    """A grant that the grantee asked for and the grantor accepted; its number."""
    asked = await service.offer(market.conn, market.registry, market.subject(grantee), grantor, grantee, what)
    await service.accept(market.conn, market.registry, market.subject(grantor), asked)
    return asked


async def seen(market: Market, org: int, **more: Any) -> dict[str, Any]:
    """The flow of the market's product as `org` sees it over the API."""
    now = datetime.now(UTC)
    period = more.pop("period", (now - timedelta(days=30), now + timedelta(hours=1)))
    found = await flow.flow(market.conn, market.registry, market.subject(org), market.drug_id, period, **more)
    return flow_json(market.registry, market.drug_id, found, "zh")


def lines(view: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(shipper, receiver or None, quantity) of a view, sorted."""
    found = [
        (i["shipper"]["org_id"], (i.get("receiver") or {}).get("org_id"), i["qty"]) for i in view["items"]
    ]
    return sorted(found, key=lambda line: (line[0], line[1] or 0))


def hidden(view: dict[str, Any]) -> dict[int, tuple[str, int]]:
    """By organisation, why it is hidden and what it was sent."""
    return {h["org"]["org_id"]: (h["why"], h["received"]) for h in view["hidden"]}
