"""Events about goods that nobody here handles are kept; mistakes in our own numbers are told (issue 4 §4)."""

from __future__ import annotations

import orjson
import pytest

from exchange.epcis.helpers import (
    World,
    commissioning,
    document,
    event,
    gtin,
    link,
    packing,
    shipping,
    sscc,
)
from yaosu.exchange.epcis import capture

THEIRS = "urn:epc:id:sgtin:0614141.107346.{}"
THEIR_LABEL = "urn:epc:id:sscc:0614141.1234567890"


async def test_foreign_goods_are_kept_and_the_job_says_that_nothing_was_booked(world: World) -> None:
    doc = document(
        commissioning([THEIRS.format(1), THEIRS.format(2)]),
        packing(THEIR_LABEL, [THEIRS.format(1), THEIRS.format(2)]),
        event(action="OBSERVE", bizStep="shipping", disposition="in_transit", epcList=[THEIR_LABEL]),
        event(action="OBSERVE", bizStep="receiving", epcList=["urn:epc:id:grai:0614141.12345.400"]),
    )
    job = await world.done(doc)
    assert job["capturedEvents"] == 4
    assert [w["code"] for w in job["warnings"]] == ["epcis_kept_foreign"] * 3
    assert job["warnings"][0]["instance"] == "/epcisBody/eventList/0"
    found = await world.events(MATCH_anyEPC=THEIR_LABEL)
    assert [e["bizStep"] for e in found] == ["packing", "shipping"]
    assert await world.events(world.stranger, MATCH_anyEPC=THEIR_LABEL) == []


async def test_one_foreign_event_is_created_at_once(world: World) -> None:
    one = event(action="OBSERVE", bizStep="shipping", epcList=[THEIRS.format(9)])
    key = {**world.keys[world.maker], "content-type": "application/json"}
    got = await world.client.post("/epcis/events", content=orjson.dumps(one), headers=key)
    assert got.status_code == 201, got.text


async def test_an_unknown_number_of_a_company_that_files_here_is_a_mistake(world: World) -> None:
    wrong = link(gtin("99999"), "X1")
    job = await world.capture(document(commissioning([wrong])))
    assert [e["code"] for e in job["errors"]] == ["epcis_level_unknown"]
    job = await world.capture(
        document(shipping([f"https://id.gs1.org/00/{sscc(987654)}"], world.party(world.pharmacy)))
    )
    assert not job["success"]


async def test_foreign_goods_among_our_own_are_refused_with_their_place(world: World) -> None:
    cases, _ = await world.goods()
    job = await world.capture(document(shipping([*cases, THEIRS.format(3)], world.party(world.wholesaler))))
    assert [e["instance"] for e in job["errors"]] == ["/epcisBody/eventList/0/epcList/1"]


async def test_a_carriers_label_that_holds_our_goods_moves_them(world: World) -> None:
    cases, boxes = await world.goods()
    label = "urn:epc:id:sscc:0614141.9876543210"
    job = await world.done(document(packing(label, cases), shipping([label], world.party(world.wholesaler))))
    assert "warnings" not in job
    status, holder, dest, _ = await world.unit(f"(01){boxes[0].split('/')[4]}(21){boxes[0].split('/')[6]}")
    assert (status, holder, dest) == ("O", world.maker, world.wholesaler)


async def test_a_job_tells_when_it_began_and_how_many_problems_it_does_not_list(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "ERRORS_MAX", 2)
    doc = document(
        *(event(action="OBSERVE", bizStep="sending", epcList=[THEIRS.format(n)]) for n in range(5))
    )
    job = await world.capture(doc)
    assert [e["code"] for e in job["errors"]] == ["epcis_word_unknown"] * 2 + ["epcis_more_problems"]
    assert "3" in job["errors"][-1]["title"]
    assert job["createdAt"] <= job["startedAt"] <= job["finishedAt"]
    doc = document(
        *(event(action="OBSERVE", bizStep="shipping", epcList=[THEIRS.format(n)]) for n in range(5))
    )
    job = await world.done(doc)
    assert [w["code"] for w in job["warnings"]] == ["epcis_kept_foreign"] * 2 + ["epcis_more_problems"]
