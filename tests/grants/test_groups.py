"""医联体/医共体: members transfer listed drugs to each other, and nothing else (R-C5)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from access.helpers import key_headers
from circulation.helpers import Market, make_market
from notify.test_messages import signed_in
from registry.helpers import make_org
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.grants import groups as telling
from yaosu.notify import service as notify
from yaosu.registry import groups
from yaosu.registry.groups import may_transfer, transfer_findings
from yaosu.registry.model import OrgType
from yaosu.registry.places import create_place

TODAY = datetime.now(groups.CHINA).date()


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> Market:
    return await make_market(db)


async def _clinic(market: Market) -> int:
    made = await make_org(market.conn, OrgType.MEDICAL)
    await market.registry.refresh(market.conn)
    return made


async def _joined(market: Market, member: int, lead: int | None = None) -> int:
    """A group led by the hospital, with one member."""
    head = market.subject(lead or market.hospital)
    made = await groups.create(market.conn, market.registry, head, "测试县医共体", "county")
    await telling.invite(market.conn, market.registry, head, made, member)
    await telling.accept(market.conn, market.registry, market.subject(member), made)
    return made


async def _verdict(market: Market, giver: int, taker: int, on: datetime | None = None) -> str:
    moment = on or datetime.now(UTC)
    found = await may_transfer(market.conn, market.registry, giver, taker, market.drug_id, moment)
    return found.code if found is not None else ""


async def _code(act: Any) -> str:
    with pytest.raises(YaosuError) as refused:
        await act
    findings = refused.value.findings
    return findings[0].code if findings else refused.value.code


async def test_a_listed_drug_moves_between_members_and_an_unlisted_one_or_a_stranger_does_not(
    market: Market,
) -> None:
    clinic, stranger = await _clinic(market), await _clinic(market)
    assert await _verdict(market, market.hospital, clinic) == "transfer_no_group"
    made = await _joined(market, clinic)
    assert await _verdict(market, market.hospital, clinic) == "transfer_drug_not_listed"
    lead = market.subject(market.hospital)
    await groups.add_drug(market.conn, market.registry, lead, made, market.drug_id, "short", TODAY)
    assert await _verdict(market, market.hospital, clinic) == ""
    assert await _verdict(market, clinic, market.hospital) == ""
    assert await _verdict(market, clinic, stranger) == "transfer_no_group"
    both = await transfer_findings(
        market.conn, market.registry, clinic, market.hospital, [market.drug_id, 999_999], datetime.now(UTC)
    )
    assert {drug: f.code for drug, f in both.items()} == {999_999: "transfer_drug_not_listed"}


async def test_an_invitation_alone_makes_no_member(market: Market) -> None:
    clinic = await _clinic(market)
    lead = market.subject(market.hospital)
    made = await groups.create(market.conn, market.registry, lead, "医联体", "urban")
    await groups.add_drug(market.conn, market.registry, lead, made, market.drug_id, "urgent", TODAY)
    await telling.invite(market.conn, market.registry, lead, made, clinic)
    assert await _verdict(market, market.hospital, clinic) == "transfer_no_group"
    told = (await notify.messages(market.conn, market.subject(clinic)))[0]
    assert (told.kind, told.link) == ("notice_group_invited", f"/groups/{made}")
    await telling.accept(market.conn, market.registry, market.subject(clinic), made)
    assert await _verdict(market, market.hospital, clinic) == ""


async def test_membership_and_list_count_at_the_time_of_the_transfer(market: Market) -> None:
    clinic = await _clinic(market)
    made = await _joined(market, clinic)
    lead = market.subject(market.hospital)
    await groups.add_drug(
        market.conn, market.registry, lead, made, market.drug_id, "short", TODAY, TODAY + timedelta(days=2)
    )
    now = datetime.now(UTC)
    assert await _verdict(market, market.hospital, clinic, now - timedelta(days=1)) == "transfer_no_group"
    assert (
        await _verdict(market, market.hospital, clinic, now + timedelta(days=5)) == "transfer_drug_not_listed"
    )
    # a bill uploaded late is judged by its own time: the clinic was a member then
    await market.conn.execute("UPDATE care_group_member SET accepted_at = now() - interval '3 days'")
    await market.conn.execute("UPDATE care_group_drug SET valid_from = valid_from - 3")
    await telling.leave(market.conn, market.registry, market.subject(clinic), made)
    await market.conn.execute(
        "UPDATE care_group_member SET left_at = now() - interval '1 hour' WHERE org = $1", clinic
    )
    assert await _verdict(market, market.hospital, clinic, now - timedelta(days=1)) == ""
    assert await _verdict(market, market.hospital, clinic, now) == "transfer_no_group"


async def test_a_drug_taken_off_and_a_dissolved_group_end_transfers_at_once(market: Market) -> None:
    clinic = await _clinic(market)
    made = await _joined(market, clinic)
    lead = market.subject(market.hospital)
    entry = await groups.add_drug(market.conn, market.registry, lead, made, market.drug_id, "short", TODAY)
    await groups.end_drug(market.conn, lead, made, entry)
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await _verdict(market, market.hospital, clinic, later) == "transfer_drug_not_listed"
    await telling.end(market.conn, market.registry, lead, made)
    assert await _verdict(market, market.hospital, clinic, later) == "transfer_no_group"
    assert (await notify.messages(market.conn, market.subject(clinic)))[0].kind == "notice_group_ended"
    assert (
        await _code(groups.add_drug(market.conn, market.registry, lead, made, market.drug_id, "short", TODAY))
        == "group_ended"
    )


async def test_inside_one_hospital_and_for_everybody_else_there_is_nothing_to_say(market: Market) -> None:
    ward = (await create_place(market.conn, market.subject(market.hospital), "内科病区", 3904)).id
    await market.registry.refresh(market.conn)
    assert await _verdict(market, market.hospital, ward) == ""
    assert await _verdict(market, ward, market.hospital) == ""
    assert await _verdict(market, market.wholesaler, market.hospital) == ""
    # from a ward to another hospital the hospital itself is judged
    clinic = await _clinic(market)
    assert await _verdict(market, ward, clinic) == "transfer_no_group"


async def test_only_hospitals_join_and_only_the_lead_decides(market: Market) -> None:
    clinic = await _clinic(market)
    made = await _joined(market, clinic)
    conn, registry = market.conn, market.registry
    lead, member = market.subject(market.hospital), market.subject(clinic)
    assert (
        await _code(groups.create(conn, registry, market.subject(market.wholesaler), "x", "county"))
        == "group_hospital_needed"
    )
    assert await _code(telling.invite(conn, registry, lead, made, market.pharmacy)) == "group_hospital_needed"
    assert await _code(telling.invite(conn, registry, lead, made, clinic)) == "group_already_asked"
    assert (
        await _code(telling.invite(conn, registry, member, made, await _clinic(market))) == "group_not_leader"
    )
    assert (
        await _code(groups.add_drug(conn, registry, member, made, market.drug_id, "short", TODAY))
        == "group_not_leader"
    )
    assert await _code(telling.leave(conn, registry, lead, made)) == "group_lead_stays"
    stranger = market.subject(await _clinic(market))
    assert await _code(groups.get(conn, stranger, made)) == "not_found"
    assert await _code(telling.accept(conn, registry, stranger, made)) == "not_found"
    assert (
        await _code(groups.add_drug(conn, registry, lead, made, 999_999, "short", TODAY))
        == "group_product_unknown"
    )
    wrong = groups.add_drug(conn, registry, lead, made, market.drug_id, "whim", TODAY, date(2020, 1, 1))
    assert await _code(wrong) == "field_invalid"
    # taken out by the lead, and back by a new invitation
    await telling.leave(conn, registry, lead, made, clinic)
    await telling.invite(conn, registry, lead, made, clinic)
    await telling.accept(conn, registry, member, made)


async def test_groups_over_api_and_pages(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        market = await make_market(conn)
        clinic = await make_org(conn, OrgType.MEDICAL)
        ours, theirs = await key_headers(conn, market.hospital), await key_headers(conn, clinic)
    registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
    async with pool.acquire() as conn:
        await registry.refresh(conn, full=True)
    made = await client.post("/api/v1/groups", json={"name": "某县医共体", "kind": "county"}, headers=ours)
    assert made.status_code == 200, made.text
    path = f"/api/v1/groups/{made.json()['id']}"
    assert (await client.get(path, headers=theirs)).status_code == 404
    asked = await client.post(f"{path}/members", json={"org": clinic}, headers=ours)
    assert asked.status_code == 200, asked.text
    assert [m["state"] for m in asked.json()["members"]] == ["member", "invited"]
    assert (await client.post(f"{path}/accept", headers=theirs)).status_code == 200
    drug = {"drug_id": market.drug_id, "reason": "urgent", "valid_from": TODAY.isoformat()}
    listed = await client.post(f"{path}/drugs", json=drug, headers=ours)
    assert listed.json()["drugs"][0]["in_force"] is True
    question = {"to_org": market.hospital, "drug_id": market.drug_id}
    answer = (await client.get("/api/v1/groups-transfer", params=question, headers=theirs)).json()
    assert answer == {"allowed": True, "finding": None}
    entry = listed.json()["drugs"][0]["id"]
    assert (await client.delete(f"{path}/drugs/{entry}", headers=theirs)).status_code == 403
    assert (await client.delete(f"{path}/drugs/{entry}", headers=ours)).status_code == 200
    answer = (await client.get("/api/v1/groups-transfer", params=question, headers=theirs)).json()
    assert answer["finding"]["code"] == "transfer_drug_not_listed"
    csrf = await signed_in(client, pool, market.hospital)
    page = (await client.get(path.removeprefix("/api/v1"))).text
    assert "某县医共体" in page and "不在有效期" in page
    added = await client.post(
        f"{path.removeprefix('/api/v1')}/add-drug",
        data={"_csrf": csrf, "drug": market.drug_id, "reason": "short", "valid_from": "", "valid_to": ""},
    )
    assert added.status_code == 303
    wrong = await client.post(
        f"{path.removeprefix('/api/v1')}/invite", data={"_csrf": csrf, "org": market.pharmacy}
    )
    assert wrong.status_code == 422 and "不是在用的医疗机构" in wrong.text
    new = await client.post("/groups", data={"_csrf": csrf, "name": "专科联盟", "kind": "specialty"})
    assert new.status_code == 303 and re.search(r"/groups/\d+", new.headers["location"])
    assert "专科联盟" in (await client.get("/groups")).text
    assert (await client.delete(path, headers=ours)).status_code == 200
    client.cookies.clear()
