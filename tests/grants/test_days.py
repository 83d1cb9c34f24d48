"""The API takes a plain day where a grant or a delegation begins or ends, as the pages do (R-B8, R-B10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio

from access.helpers import key_headers
from circulation.helpers import Market, make_market
from yaosu.db.engine import Pool


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def agreed_on(client: httpx.AsyncClient, pool: Pool) -> tuple[Market, dict[str, str]]:
    """A maker and its key; the directory of the server knows the market."""
    async with pool.acquire() as conn, conn.transaction():
        market = await make_market(conn)
        headers = await key_headers(conn, market.maker)
    async with pool.acquire() as conn:
        await client._transport.app.state.yaosu.parts["registry"].refresh(conn, full=True)  # type: ignore[attr-defined]
    return market, headers


async def _grant(client: httpx.AsyncClient, agreed_on: tuple[Market, dict[str, str]], until: Any) -> Any:
    market, headers = agreed_on
    body = {"grantor": market.wholesaler, "grantee": market.maker, "fields": ["flow"], "until": until}
    return await client.post("/api/v1/grants", json=body, headers=headers)


async def test_a_grant_given_with_a_last_day_ends_with_that_day_in_china(
    client: httpx.AsyncClient, agreed_on: tuple[Market, dict[str, str]]
) -> None:
    made = await _grant(client, agreed_on, "2099-12-31")
    assert made.status_code == 200, made.text
    held = (await client.get("/api/v1/grants", headers=agreed_on[1])).json()["items"][0]
    assert datetime.fromisoformat(held["until"]) == datetime.fromisoformat("2100-01-01T00:00:00+08:00")


async def test_a_delegation_begins_and_ends_with_its_days_in_china(
    client: httpx.AsyncClient, agreed_on: tuple[Market, dict[str, str]]
) -> None:
    market, headers = agreed_on
    body = {"agent": market.wholesaler, "valid_from": "2098-02-28", "valid_until": "2098-02-28"}
    made = await client.post("/api/v1/delegations", json=body, headers=headers)
    assert made.status_code == 200, made.text
    (one,) = (await client.get("/api/v1/delegations", headers=headers)).json()["items"]
    assert datetime.fromisoformat(one["valid_from"]) == datetime.fromisoformat("2098-02-28T00:00:00+08:00")
    assert datetime.fromisoformat(one["valid_until"]) == datetime.fromisoformat("2098-03-01T00:00:00+08:00")


async def test_a_moment_with_its_zone_is_taken_as_it_is(
    client: httpx.AsyncClient, agreed_on: tuple[Market, dict[str, str]]
) -> None:
    market, headers = agreed_on
    body = {"agent": market.hospital, "valid_until": "2099-12-31T10:00:00Z"}
    assert (await client.post("/api/v1/delegations", json=body, headers=headers)).status_code == 200
    newest = (await client.get("/api/v1/delegations", headers=headers)).json()["items"][0]
    assert datetime.fromisoformat(newest["valid_until"]) == datetime.fromisoformat(
        "2099-12-31T10:00:00+00:00"
    )


@pytest.mark.parametrize(
    "until", ["2099-02-30", "2099-12-31T00:00:00", "9999-12-31", "明年", "20991231", "2020-01-01", 20991231.5]
)
async def test_a_day_that_does_not_exist_or_is_over_or_a_moment_without_zone_is_refused_by_field(
    client: httpx.AsyncClient, agreed_on: tuple[Market, dict[str, str]], until: Any
) -> None:
    refused = await _grant(client, agreed_on, until)
    assert refused.status_code == 422, refused.text
    assert "until" in refused.text
