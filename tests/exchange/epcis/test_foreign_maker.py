"""A foreign MAH files, activates and ships with nothing but EPCIS (R-A1, R-A5, R-A7; issue 4 §4)."""

from __future__ import annotations

from typing import Any

from exchange.epcis.helpers import (
    World,
    ago,
    code,
    commissioning,
    document,
    gtin,
    link,
    packing,
    shipping,
    sscc,
)

MDA = "urn:yaosu:mda:"
CBV = "urn:epcglobal:cbv:mda#"
VTYPE = "urn:epcglobal:epcis:vtype:"


def master(box: str, case: str, gln: str, **more: str) -> dict[str, Any]:
    """What its system says of its product and of itself."""
    attributes = {
        f"{CBV}regulatedProductName": "瑞舒伐他汀钙片",
        f"{CBV}dosageFormType": "片剂",
        f"{CBV}strengthDescription": "10mg",
        f"{CBV}netContentDescription": "28片/盒",
        f"{MDA}shelfLife": "24",
        f"{MDA}shelfLifeUnit": "M",
        f"{MDA}registrationClass": "chemical",
        f"{MDA}importCertNo": "国药准字HJ20160001",
        f"{MDA}prepUnitsPer": "28",
        **{f"{MDA}{k}": v for k, v in more.items()},
    }
    classes = [
        {
            "id": f"https://id.gs1.org/01/{box}",
            "attributes": [{"id": k, "attribute": v} for k, v in attributes.items()],
        },
        {
            "id": f"https://id.gs1.org/01/{case}",
            "attributes": [
                {"id": f"{MDA}containedClass", "attribute": f"https://id.gs1.org/01/{box}"},
                {"id": f"{MDA}contains", "attribute": "2"},
                {"id": f"{MDA}levelName", "attribute": "箱"},
            ],
        },
    ]
    places = [
        {"id": f"https://id.gs1.org/417/{gln}", "attributes": [{"id": f"{MDA}self", "attribute": "true"}]}
    ]
    return {
        "epcisMasterData": {
            "vocabularyList": [
                {"type": f"{VTYPE}EPCClass", "vocabularyElementList": classes},
                {"type": f"{VTYPE}Party", "vocabularyElementList": places},
            ]
        }
    }


async def test_master_data_commissioning_and_shipping_in_one_stream(world: World) -> None:
    box, case = gtin("70001"), gtin("70001", "1")
    boxes, cases = [link(box, f"F{n}") for n in range(4)], [link(case, f"K{n}") for n in range(2)]
    pallet = f"https://id.gs1.org/00/{sscc(7001)}"
    await world.done(document(header=master(box, case, "6901234000016")))
    await world.done(
        document(
            commissioning(boxes, "FL1", 60),
            commissioning(cases, "FL1", 59),
            packing(cases[0], boxes[:2], 58),
            packing(cases[1], boxes[2:], 58),
            packing(pallet, cases, 57),
        )
    )
    # the buyer tells its GLN itself; the maker ships to that
    said = await world.client.put(
        "/epcis/parties",
        json={"gln": "6901234000023", "uscc": world.uscc[world.wholesaler]},
        headers=world.keys[world.wholesaler],
    )
    assert said.status_code == 200, said.text
    await world.done(document(shipping([pallet], "urn:epc:id:pgln:6901234.00002")))
    answer = await world.client.post(
        "/api/v1/movements",
        json={
            "type": 102,
            "bill_no": "RK-FM-1",
            "happened_at": ago(1),
            "from_org": world.uscc[world.maker],
            "codes": [f"(00){sscc(7001)}"],
        },
        headers=world.keys[world.wholesaler],
    )
    assert answer.json()["status"] == "accepted", answer.text
    assert (await world.unit(code(boxes[3])))[:2] == ("I", world.wholesaler)
    found = await world.client.get(
        "/api/v1/products", params={"q": "瑞舒伐"}, headers=world.keys[world.maker]
    )
    (product,) = found.json()["items"]
    assert product["import_cert_no"] == "国药准字HJ20160001"


async def test_a_later_document_updates_what_may_be_updated(world: World) -> None:
    box, case = gtin("70001"), gtin("70001", "1")
    await world.done(document(header=master(box, case, "6901234000016", tradeName="可定")))
    found = await world.client.get(
        "/api/v1/products", params={"q": "瑞舒伐"}, headers=world.keys[world.maker]
    )
    assert found.json()["items"][0]["trade_name"] == "可定"


async def test_a_product_that_lacks_something_is_refused_with_the_field(world: World) -> None:
    header = master(gtin("70002"), gtin("70002", "1"), "6901234000016")
    first = header["epcisMasterData"]["vocabularyList"][0]["vocabularyElementList"][0]
    first["attributes"] = [a for a in first["attributes"] if not a["id"].endswith("dosageFormType")]
    job = await world.capture(document(header=header))
    assert job["success"] is False
    assert job["errors"][0]["instance"].endswith("/dosage_form")


async def test_somebody_elses_gln_and_product_stay_theirs(world: World) -> None:
    header = master(gtin("70003"), gtin("70003", "1"), "6901234000016")
    job = await world.capture(document(header=header), world.stranger)
    codes = {e["code"] for e in job["errors"]}
    assert job["success"] is False and "epcis_master_refused" in codes
    taken = await world.client.put(
        "/epcis/parties",
        json={"gln": "6901234000016", "uscc": world.uscc[world.stranger]},
        headers=world.keys[world.stranger],
    )
    assert taken.status_code == 409
    listed = await world.client.get("/epcis/parties", headers=world.keys[world.maker])
    assert {"6901234000016"} <= {p["gln"] for p in listed.json()["items"] if p["own"]}
    key = world.keys[world.stranger]
    mine = {"gln": "6901234009996", "uscc": world.uscc[world.pharmacy]}
    assert (await world.client.put("/epcis/parties", json=mine, headers=key)).status_code == 200
    assert (await world.client.delete("/epcis/parties/6901234009996", headers=key)).status_code == 204
    assert (await world.client.delete("/epcis/parties/6901234009996", headers=key)).status_code == 404


async def test_cases_commissioned_before_their_content_is_known_come_to_be_when_it_is(world: World) -> None:
    cases, boxes = world.cases(1), world.boxes(2)
    await world.done(document(commissioning(boxes, "LATE1", 60), commissioning(cases, "LATE1", 59)))
    assert (await world.unit(code(cases[0])))[0] is None
    await world.done(document(packing(cases[0], boxes, 50)))
    assert (await world.unit(code(boxes[0])))[3] == code(cases[0])
    await world.done(document(shipping(cases, world.party(world.wholesaler))))
    assert (await world.unit(code(boxes[1])))[:3] == ("O", world.maker, world.wholesaler)
