"""Uploads that wait for a person and insurance cases stand where it is somebody's duty (R-C7, R-X9)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from access.helpers import PASSWORD, make_account, make_org
from circulation.helpers import make_market
from console.test_waiting import HTML, Firms, tile
from yaosu.db.engine import Pool

BUREAU = 1103


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def firms(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[Firms]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        logins = {}
        for who, role in (("hospital", "admin"), ("pharmacy", "admin"), ("wholesaler", "quality")):
            _, logins[who] = await make_account(conn, getattr(market, who), role)
        office = await make_org(conn, 110, "370100")
        await conn.execute("UPDATE org SET sub_type = $2 WHERE id = $1", office, BUREAU)
        _, logins["insurer"] = await make_account(conn, office, "insurer")
        registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        yield Firms(market, None, client, logins, registry, office)  # type: ignore[arg-type]
    client.cookies.clear()


async def test_an_upload_that_waits_for_a_person_stands_on_the_overview(firms: Firms) -> None:
    conn, own = firms.market.conn, firms.market.hospital
    assert "uploads" not in await firms.of(firms.market.subject(own))
    link = await conn.fetchval(
        "INSERT INTO connection (org, channel, title, url) VALUES ($1, 'yibao', 'T', 'https://t.example') RETURNING id",
        own,
    )
    # at rest; refused for good; to be tried again (not while this runs: a sender is at work); done
    for state, due, settled in (
        ("pending", "infinity", None),
        ("failed", "now", "now"),
        ("pending", "tomorrow", None),
        ("sent", "now", "now"),
    ):
        await conn.execute(
            """INSERT INTO delivery (org, target, target_id, kind, state, event, body, next_at, settled_at)
            VALUES ($1, 'yibao', $2, '3505', $3, gen_random_uuid(), '{}', $4::text::timestamptz,
                $5::text::timestamptz)""",
            own, link, state, due, settled,
        )  # fmt: skip
    assert tile(await firms.page("hospital"), "/exchange/deliveries?todo=true") == "2"
    assert "uploads" not in await firms.of(firms.market.subject(firms.market.pharmacy))


async def test_a_case_waits_for_the_institution_first_and_for_its_bureau_then(firms: Firms) -> None:
    conn, market = firms.market.conn, firms.market
    institution = await conn.fetchval(
        """INSERT INTO insurance_institution (bureau, org, code, name, region, app, profile, secrets)
        VALUES ($1, $2, 'P37010000001', 'T', '370100', 'APP', 'standard', '') RETURNING id""",
        firms.office,
        market.pharmacy,
    )
    case = await conn.fetchval(
        """INSERT INTO insurance_case (institution, settlement, drug_id, due_at, rule, severity, code, act, findings)
        VALUES ($1, 1, 0, now() - interval '1 hour', 'settled_elsewhere', 'refused', 'X', 'A-1', '[]') RETURNING id""",
        institution,
    )
    mine = (await firms.of(market.subject(market.pharmacy)))["insurance_answer"]
    assert (mine.n, mine.late, mine.tone, mine.href) == (1, 1, "refused", "/insurance?tab=overdue")
    assert "insurance_answer" not in await firms.of(market.subject(market.hospital))
    assert tile(await firms.page("insurer"), "/insurance?tab=overdue") == "1"
    await conn.execute("UPDATE insurance_case SET state = 'answered' WHERE id = $1", case)
    page = await firms.page("insurer")
    assert tile(page, "/insurance?tab=answered") == "1"
    assert f'href="/insurance/cases/{case}"' in page


async def test_a_bureau_is_not_asked_to_receive_goods(firms: Firms) -> None:
    page = await firms.page("insurer")
    assert 'href="/receive"' not in page and 'href="/stock"' not in page


async def test_numbers_lead_only_to_pages_that_the_reader_may_open(firms: Firms) -> None:
    await firms.client.post(
        "/login", data={"login": firms.logins["wholesaler"], "password": PASSWORD}, headers=HTML
    )
    page = (await firms.client.get("/", headers=HTML)).text
    assert 'class="kpi" href="/receive"' not in page and 'href="/stock"' in page
