"""Cartons on pallets as makers tell them: items aggregated to a case SSCC, case SSCCs to a pallet SSCC (issue 4 §4)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from exchange.epcis.helpers import World, ago, code, document, event, packing, shipping, sscc
from yaosu.production.containers import DEPTH_MAX

_numbers = itertools.count(700)


def label() -> str:
    """A fresh SSCC as a Digital Link."""
    return f"https://id.gs1.org/00/{sscc(next(_numbers))}"


def own(uri: str) -> str:
    """Our code of an SSCC."""
    return "(00)" + uri.rsplit("/", 1)[1]


def unpacking(parent: str, children: list[str], minutes: float = 20, **more: Any) -> dict[str, Any]:
    """Packages come out of another; all of them when none is named."""
    return event(
        "AggregationEvent",
        minutes,
        action="DELETE",
        bizStep="unpacking",
        parentID=parent,
        childEPCs=children,
        **more,
    )


async def pallet(world: World, *, top_down: bool = False) -> tuple[str, list[str], list[str], list[str]]:
    """A pallet of two cartons and a case, told in one document: pallet, cartons, cases, boxes."""
    cases, boxes = await world.goods(3)
    outer, one, two = label(), label(), label()
    packs = [
        packing(one, cases[:1], 50),
        packing(two, boxes[2:4], 50),
        packing(outer, [one, two, cases[2]], 50),
    ]
    ssccs = event(minutes=52, action="ADD", bizStep="commissioning", epcList=[outer, one, two])
    await world.done(document(ssccs, *(reversed(packs) if top_down else packs)))
    return outer, [one, two], cases, boxes


@pytest.mark.parametrize("top_down", [False, True])
async def test_a_pallet_of_cartons_is_shipped_by_its_own_label(world: World, top_down: bool) -> None:
    outer, (one, two), cases, boxes = await pallet(world, top_down=top_down)
    assert (await world.unit(own(one)))[3] == own(outer) == (await world.unit(own(two)))[3]
    assert (await world.unit(code(cases[0])))[3] == own(one)
    before = await world.stock(world.wholesaler)
    await world.done(document(shipping([outer], world.party(world.wholesaler))))
    for box in boxes:
        if box not in cases:
            assert (await world.unit(code(box)))[:3] == ("O", world.maker, world.wholesaler)
    receipt = event(action="OBSERVE", bizStep="receiving", disposition="in_progress", epcList=[outer])
    await world.done(document(receipt), world.wholesaler)
    assert await world.stock(world.wholesaler) == before + 6
    assert (await world.unit(code(boxes[0])))[:2] == ("I", world.wholesaler)


async def test_the_buyer_takes_the_pallet_apart_from_the_outside(world: World) -> None:
    outer, (one, two), cases, boxes = await pallet(world)
    await world.done(document(shipping([outer], world.party(world.wholesaler))))
    receipt = event(
        minutes=25, action="OBSERVE", bizStep="receiving", disposition="in_progress", epcList=[outer]
    )
    # everything off the pallet, then one carton by name, and its emptied label out of use
    await world.done(
        document(
            receipt,
            unpacking(outer, [], 22),
            unpacking(one, [cases[0]], 21),
            event(minutes=20, action="DELETE", bizStep="decommissioning", epcList=[outer, one]),
        ),
        world.wholesaler,
    )
    assert await world.unit(own(outer)) == await world.unit(own(one)) == (None, None, None, None)
    assert await world.unit(code(cases[0])) == ("I", world.wholesaler, None, None)
    assert await world.unit(own(two)) == ("I", world.wholesaler, None, None)
    assert (await world.unit(code(boxes[2])))[3] == own(two)


async def test_a_label_with_goods_behind_it_is_not_taken_out_of_use(world: World) -> None:
    outer, _, cases, _ = await pallet(world)
    job = await world.capture(
        document(event(minutes=5, action="DELETE", bizStep="decommissioning", epcList=[outer]))
    )
    assert [e["code"] for e in job["errors"]] == ["void_logistics"]
    assert (await world.unit(code(cases[2])))[3] == own(outer)


async def test_an_observed_pallet_is_kept_and_changes_nothing(world: World) -> None:
    outer, (one, two), cases, _ = await pallet(world)
    seen = event("AggregationEvent", 5, action="OBSERVE", bizStep="storing", parentID=outer, childEPCs=[one])
    await world.done(document(seen))
    assert (await world.unit(own(two)))[3] == own(outer)
    found = await world.events(MATCH_parentID=outer, EQ_action="OBSERVE")
    assert [e["childEPCs"] for e in found] == [[one]]
    assert (await world.unit(code(cases[2])))[3] == own(outer)


async def test_what_cannot_stand_so_is_refused_with_its_place(world: World) -> None:
    outer, (one, two), _, _ = await pallet(world)

    async def errors(*events: dict[str, Any], org: int | None = None) -> list[tuple[str, str]]:
        job = await world.capture(document(*events), org)
        assert job["success"] is False
        return [(e["code"], e["instance"]) for e in job["errors"]]

    place = "/epcisBody/eventList/0/childEPCs/0"
    # a circle against what is on record, and one within the document
    assert await errors(packing(one, [outer], 5)) == [("pack_into_itself", place)]
    fresh, other = label(), label()
    circle = await errors(packing(fresh, [other], 5), packing(other, [fresh], 4))
    assert ("epcis_parent_inside", "/epcisBody/eventList/1/childEPCs/0") in circle
    # a carton on two pallets, a carton with nothing in it, somebody else's carton
    assert await errors(packing(fresh, [two], 5)) == [("pack_in_other", place)]
    assert await errors(packing(fresh, [other], 5)) == [("pack_logistics_empty", place)]
    assert await errors(packing(label(), [outer], 5), org=world.wholesaler) == [("pack_not_held", place)]
    # layer upon layer
    inner = outer
    for _ in range(DEPTH_MAX - 2):
        around = label()
        await world.done(document(packing(around, [inner], 5)))
        inner = around
    assert await errors(packing(label(), [inner], 5)) == [("pack_too_deep", place)]


async def test_a_declared_error_takes_an_aggregation_back(world: World) -> None:
    cases, _ = await world.goods(2)
    outer, carton = label(), label()
    fill, stand = packing(carton, cases[:1], 50), packing(outer, [carton, cases[1]], 49)
    fill["eventID"], stand["eventID"] = (
        f"urn:uuid:aaaa0000-0000-4000-8000-{next(_numbers):012d}" for _ in range(2)
    )
    await world.done(document(fill, stand))
    wrong = {"declarationTime": ago(3), "reason": "did_not_occur"}
    await world.done(document({**stand, "errorDeclaration": wrong}))
    assert await world.unit(own(outer)) == (None, None, None, None)
    assert await world.unit(own(carton)) == ("I", world.maker, None, None)
    # off again, and the taking out was wrong: the carton, emptied by it, is filled and stands on the pallet again
    await world.done(document(packing(outer, [carton, cases[1]], 40)))
    out = unpacking(carton, cases[:1], 30)
    out["eventID"] = f"urn:uuid:aaaa0000-0000-4000-8000-{next(_numbers):012d}"
    await world.done(document(out))
    assert await world.unit(own(carton)) == (None, None, None, None)
    await world.done(document({**out, "errorDeclaration": {**wrong, "declarationTime": ago(2)}}))
    assert (await world.unit(code(cases[0])))[3] == own(carton)
    assert (await world.unit(own(carton)))[3] == own(outer)


async def test_aggregations_of_our_own_bills_come_back_as_they_are(world: World) -> None:
    cases, _boxes = await world.goods(3)
    outer, carton = label(), label()

    async def native(path: str, **body: Any) -> None:
        got = await world.client.post(f"/api/v1/packing/{path}", json=body, headers=world.keys[world.maker])
        assert got.status_code == 200, got.text

    await native("pack", container=own(carton), codes=[code(cases[0]), code(cases[1])])
    await native("pack", container=own(outer), codes=[own(carton), code(cases[2])])
    (stand,) = await world.events(MATCH_parentID=outer, EQ_action="ADD")
    assert (stand["type"], stand["parentID"]) == ("AggregationEvent", outer)
    assert sorted(stand["childEPCs"]) == sorted([carton, cases[2]])
    (fill,) = await world.events(MATCH_parentID=carton, EQ_action="ADD")
    assert sorted(fill["childEPCs"]) == sorted(cases[:2])
    assert {e["parentID"] for e in await world.events(MATCH_epc=carton, eventType="AggregationEvent")} == {
        outer
    }
    # the carton is emptied where it stands: only what was handled is told
    await native("unpack", codes=[own(carton)], whole=True)
    (out,) = await world.events(MATCH_parentID=carton, EQ_action="DELETE")
    assert sorted(out["childEPCs"]) == sorted(cases[:2])
    assert await world.events(MATCH_parentID=outer, EQ_action="DELETE") == []
    # whole pallets apart
    await native("unpack", codes=[own(outer)], whole=True)
    (apart,) = await world.events(MATCH_parentID=outer, EQ_action="DELETE")
    assert apart["childEPCs"] == [cases[2]]
