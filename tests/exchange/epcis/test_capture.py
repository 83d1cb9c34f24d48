"""Documents become activations, packings, shipments and receipts, as one outcome or event by event."""

from __future__ import annotations

import orjson

from exchange.epcis.helpers import (
    World,
    ago,
    code,
    commissioning,
    document,
    event,
    gtin,
    link,
    packing,
    shipping,
    sscc,
)
from registry.helpers import make_product


async def test_commissioned_and_packed_goods_stand_in_the_makers_stock(world: World) -> None:
    before = await world.stock(world.maker)
    cases, boxes = await world.goods(2)
    assert await world.stock(world.maker) == before + 4
    status, holder, _, parent = await world.unit(code(boxes[0]))
    assert (status, holder, parent) == ("I", world.maker, code(cases[0]))


async def test_a_shipment_by_epcis_is_received_by_scanning(world: World) -> None:
    cases, boxes = await world.goods()
    await world.done(
        document(
            shipping(
                cases,
                world.party(world.wholesaler),
                bizTransactionList=[
                    {"type": "desadv", "bizTransaction": "urn:epcglobal:cbv:bt:6901234000009:ASN-77"}
                ],
            )
        )
    )
    assert (await world.unit(code(boxes[0])))[:3] == ("O", world.maker, world.wholesaler)
    answer = await world.client.post(
        "/api/v1/movements",
        json={
            "type": 102,
            "bill_no": "RK-EP-1",
            "happened_at": ago(1),
            "notice": "ASN-77",
            "codes": [code(cases[0])],
        },
        headers=world.keys[world.wholesaler],
    )
    assert answer.json()["status"] == "accepted", answer.text
    assert (await world.unit(code(boxes[0])))[:2] == ("I", world.wholesaler)


async def test_receiving_by_epcis_finds_the_sender_by_the_goods(world: World) -> None:
    cases, boxes = await world.goods()
    await world.done(document(shipping(cases, world.party(world.wholesaler))))
    job = await world.done(
        document(event(action="OBSERVE", bizStep="receiving", disposition="in_progress", epcList=cases)),
        world.wholesaler,
    )
    assert job["capturedEvents"] == 1
    assert (await world.unit(code(boxes[1])))[:2] == ("I", world.wholesaler)


async def test_rollback_is_all_or_nothing_and_names_the_place(world: World) -> None:
    cases, _ = await world.goods()
    fresh = world.boxes(2)
    job = await world.capture(
        document(
            commissioning(fresh, "RB1"),
            shipping([*cases, "https://id.gs1.org/01/06901234999996/21/NO"], world.party(world.wholesaler)),
        )
    )
    assert job["success"] is False and job["captureErrorBehaviour"] == "rollback"
    assert job["errors"][0]["instance"] == "/epcisBody/eventList/1/epcList/1"
    assert await world.unit(code(fresh[0])) == (None, None, None, None)
    assert (await world.unit(code(cases[0])))[0] == "I"
    assert await world.events(MATCH_epc=fresh[0]) == []


async def test_proceed_keeps_what_is_right(world: World) -> None:
    fresh = world.boxes(2)
    job = await world.capture(
        document(
            commissioning(fresh, "PR1"),
            shipping(["https://id.gs1.org/01/06901234999996/21/NO"], world.party(world.wholesaler)),
            event(action="OBSERVE", bizStep="inspecting", epcList=fresh),
        ),
        **{"GS1-Capture-Error-Behaviour": "proceed"},
    )
    assert job["success"] is False and job["capturedEvents"] == 2
    assert {e["instance"].split("/")[3] for e in job["errors"]} == {"1"}
    assert (await world.unit(code(fresh[0])))[0] == "I"


async def test_the_same_document_twice_does_nothing_twice(world: World) -> None:
    cases, _ = await world.goods()
    doc = document(shipping(cases, world.party(world.wholesaler)))
    await world.done(doc)
    again = await world.done(doc)
    assert again["capturedEvents"] == 1
    assert len(await world.events(MATCH_epc=cases[0], EQ_bizStep="shipping")) == 1


async def test_an_event_id_with_other_content_is_refused(world: World) -> None:
    cases, _ = await world.goods()
    one = event(
        action="OBSERVE",
        bizStep="inspecting",
        epcList=cases,
        eventID="urn:uuid:aaaa0000-0000-4000-8000-000000000001",
    )
    await world.done(document(one))
    job = await world.capture(document({**one, "bizStep": "storing", "disposition": "active"}))
    assert [e["code"] for e in job["errors"]] == ["epcis_event_id_taken"]


async def test_logistics_containers_are_packed_and_shipped(world: World) -> None:
    cases, boxes = await world.goods(2)
    pallet = f"https://id.gs1.org/00/{sscc(1)}"
    await world.done(
        document(
            packing(pallet, cases, 50),
            shipping([pallet], world.party(world.wholesaler)),
        )
    )
    assert (await world.unit(code(boxes[0])))[:3] == ("O", world.maker, world.wholesaler)


async def test_unpacking_takes_packages_out(world: World) -> None:
    cases, boxes = await world.goods()
    await world.done(
        document(
            event(
                "AggregationEvent",
                20,
                action="DELETE",
                bizStep="unpacking",
                parentID=cases[0],
                childEPCs=boxes[:1],
            )
        )
    )
    assert (await world.unit(code(boxes[0])))[3] is None
    assert (await world.unit(code(boxes[1])))[3] == code(cases[0])


async def test_what_cannot_be_acted_on_is_kept_and_returned_unchanged(world: World) -> None:
    one = event(
        "TransactionEvent",
        action="ADD",
        bizTransactionList=[{"type": "po", "bizTransaction": "https://erp.example.com/po/9"}],
        epcList=["urn:epc:id:sgtin:6901234.012345.KEEP1"],
    )
    one["example:note"] = {"example:deep": ["a", "b"]}
    await world.done(document(one, example="https://example.com/ns/"))
    (found,) = await world.events(
        MATCH_epc="urn:epc:id:sgtin:6901234.012345.KEEP1", **{"eventType": "TransactionEvent"}
    )
    assert found["eventID"].startswith("ni:///sha-256;") and "recordTime" in found
    assert found["example:note"] == {"example:deep": ["a", "b"]}
    kept = {k: v for k, v in found.items() if k not in ("eventID", "recordTime", "epcList")}
    assert kept == {k: v for k, v in one.items() if k != "epcList"}


async def test_a_body_that_is_no_document_is_refused_at_once(world: World) -> None:
    for body, kind, where in (
        (b"{", "application/json", "line 1"),
        (b"<a/>", "application/xml", "/"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', "application/xml", "line 1"),
        (
            orjson.dumps({**document(), "@context": "https://evil.example/ctx"}),
            "application/json",
            "/@context",
        ),
    ):
        got = await world.client.post(
            "/epcis/capture", content=body, headers={**world.keys[world.maker], "content-type": kind}
        )
        assert got.status_code == 400, got.text
        assert got.json()["type"] == "epcisException:ValidationException"
        assert got.json()["instance"] == where


async def test_problems_are_told_in_the_senders_language(world: World) -> None:
    doc = document(shipping(world.boxes(1), world.party(world.wholesaler)))
    chinese = await world.capture(doc)
    english = await world.capture(doc, **{"accept-language": "en"})
    assert "尚未激活" in chinese["errors"][0]["title"]
    assert "not activated" in english["errors"][0]["title"]


async def test_a_ladder_of_any_depth_is_built_from_one_document_in_any_order(world: World) -> None:
    """Pallets of cases of bundles of boxes, told from the top down, then a logistics label around all of it."""
    gtins = [gtin("888", str(level)) for level in range(4)]
    names = ("盒", "中包", "箱", "托盘")
    levels = tuple((name, 2**n, gtins[n]) for n, name in enumerate(names))
    async with world.pool.acquire() as conn:
        await make_product(conn, world.maker, levels=levels, scheme="gs1", expiry_rule=None)
    units = [[link(gtins[n], f"D{i}") for i in range(8 >> n)] for n in range(4)]
    packs = [
        packing(units[n][i], units[n - 1][2 * i : 2 * i + 2]) for n in (3, 2, 1) for i in range(len(units[n]))
    ]
    label = f"https://id.gs1.org/00/{sscc(8)}"
    job = await world.done(
        document(
            *(commissioning(codes, "DEEP") for codes in reversed(units)),
            *packs,
            packing(label, units[3], 50),
            shipping([label], world.party(world.wholesaler)),
        )
    )
    assert job["capturedEvents"] == 4 + 7 + 2
    for codes in units:
        assert (await world.unit(code(codes[-1])))[:3] == ("O", world.maker, world.wholesaler)
    assert (await world.unit(code(units[0][0])))[3] == code(units[1][0])
    # a logistics label goes into no sales package
    job = await world.capture(document(packing(units[3][0], [label])))
    assert [e["code"] for e in job["errors"]] == ["pack_no_nesting"]
