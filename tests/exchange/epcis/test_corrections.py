"""Error declarations and corrective events end in the right net state (issue 4 §4)."""

from __future__ import annotations

from typing import Any

from exchange.epcis.helpers import World, ago, code, commissioning, document, event, packing, shipping


def wrong(
    one: dict[str, Any], event_id: str, reason: str = "did_not_occur", *corrective: str
) -> dict[str, Any]:
    """The declaration that an event was wrong."""
    declaration: dict[str, Any] = {"declarationTime": ago(1), "reason": reason}
    if corrective:
        declaration["correctiveEventIDs"] = list(corrective)
    return {**one, "eventID": event_id, "errorDeclaration": declaration}


async def test_a_shipment_that_did_not_occur_is_taken_back(world: World) -> None:
    cases, boxes = await world.goods()
    one = shipping(
        cases, world.party(world.wholesaler), eventID="urn:uuid:00000000-0000-4000-8000-00000000c001"
    )
    await world.done(document(one))
    assert (await world.unit(code(boxes[0])))[0] == "O"
    await world.done(document(wrong(one, one["eventID"])))
    assert (await world.unit(code(boxes[0])))[:3] == ("I", world.maker, None)
    found = await world.events(EQ_eventID=one["eventID"])
    assert ["errorDeclaration" in e for e in found] == [False, True]


async def test_a_corrective_event_takes_the_place_of_the_wrong_one_though_goods_moved_on(
    world: World,
) -> None:
    cases, boxes = await world.goods(2)
    first = shipping(
        cases, world.party(world.wholesaler), eventID="urn:uuid:00000000-0000-4000-8000-00000000c002"
    )
    await world.done(document(first))
    # the first case arrives, the second never left
    await world.done(
        document(event(action="OBSERVE", bizStep="receiving", epcList=cases[:1], minutes=5)), world.wholesaler
    )
    second = {**first, "epcList": cases[:1], "eventID": "urn:uuid:00000000-0000-4000-8000-00000000c003"}
    await world.done(document(second, wrong(first, first["eventID"], "incorrect_data", second["eventID"])))
    assert (await world.unit(code(boxes[0])))[:2] == ("I", world.wholesaler)
    assert (await world.unit(code(boxes[2])))[:2] == ("I", world.maker)


async def test_a_declaration_that_says_other_things_than_the_event_is_refused(world: World) -> None:
    cases, _ = await world.goods()
    one = shipping(
        cases, world.party(world.wholesaler), eventID="urn:uuid:00000000-0000-4000-8000-00000000c004"
    )
    await world.done(document(one))
    job = await world.capture(document(wrong({**one, "disposition": "returned"}, one["eventID"])))
    assert [e["code"] for e in job["errors"]] == ["epcis_erroneous_differs"]


async def test_goods_that_have_moved_on_forbid_a_bare_declaration(world: World) -> None:
    cases, boxes = await world.goods()
    one = shipping(
        cases, world.party(world.wholesaler), eventID="urn:uuid:00000000-0000-4000-8000-00000000c005"
    )
    await world.done(document(one))
    await world.done(document(event(action="OBSERVE", bizStep="receiving", epcList=cases)), world.wholesaler)
    job = await world.capture(document(wrong(one, one["eventID"])))
    assert job["errors"][0]["instance"] == "/epcisBody/eventList/0/epcList/0"
    assert (await world.unit(code(boxes[0])))[:2] == ("I", world.wholesaler)


async def test_commissioning_and_packing_can_be_declared_wrong(world: World) -> None:
    boxes = world.boxes(2)
    one = commissioning(boxes, "DW1", eventID="urn:uuid:00000000-0000-4000-8000-00000000c006")
    await world.done(document(one))
    await world.done(document(wrong(one, one["eventID"])))
    assert (await world.unit(code(boxes[0])))[0] == "C"
    cases, _ = await world.goods(1)
    from exchange.epcis.helpers import sscc

    pallet = f"https://id.gs1.org/00/{sscc(77)}"
    pack = packing(pallet, cases, 40, eventID="urn:uuid:00000000-0000-4000-8000-00000000c007")
    await world.done(document(pack))
    assert (await world.unit(code(cases[0])))[3] is not None
    await world.done(document(wrong(pack, pack["eventID"])))
    assert (await world.unit(code(cases[0])))[3] is None


async def test_void_shipping_takes_part_of_a_shipment_back(world: World) -> None:
    cases, boxes = await world.goods(2)
    await world.done(document(shipping(cases, world.party(world.wholesaler))))
    await world.done(document(event(action="DELETE", bizStep="void_shipping", epcList=cases[1:], minutes=2)))
    assert (await world.unit(code(boxes[0])))[:3] == ("O", world.maker, world.wholesaler)
    assert (await world.unit(code(boxes[2])))[:2] == ("I", world.maker)
