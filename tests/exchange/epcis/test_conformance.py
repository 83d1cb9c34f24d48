"""The REST binding as its published OpenAPI and query schema have it, walked through as a stranger's suite would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exchange.epcis.helpers import World, ago, document, event
from yaosu.errors import YaosuError
from yaosu.exchange.epcis.query import Parser

EX = {"ex": "https://example.org/ns/"}
TIME, PLACE = "2026-01-01T00:00:00Z", "urn:epc:id:sgln:6901234.00001.0"
THING, LOT = "urn:epc:id:sgtin:6901234.001001.A1", "urn:epc:class:lgtin:6901234.001001.L1"
SIGNS = ("EQ", "GT", "GE", "LT", "LE")


def published() -> list[tuple[str, object]]:
    """Every parameter of the query schema, with a value of its type."""
    found: list[tuple[str, object]] = [("eventType", ["ObjectEvent"]), ("EQ_action", ["ADD"])]
    found += [(f"{s}_{t}", TIME) for s in ("GE", "LT") for t in ("eventTime", "recordTime", "time")]
    found += [(f"{s}_{t}", TIME) for s in ("GE", "LT") for t in ("startTime", "endTime")]
    found += [(f"{s}_errorDeclaration{t}", TIME) for s in ("GE", "LT") for t in ("Time", "_Time")]
    found += [
        ("EQ_bizStep", ["shipping"]),
        ("EQ_disposition", ["active"]),
        ("EQ_errorReason", ["did_not_occur"]),
    ]
    found += [(f"EQ_persistentDisposition_{s}", ["completeness_verified"]) for s in ("set", "unset")]
    found += [(f"{s}_{p}", [PLACE]) for s in ("EQ", "WD") for p in ("readPoint", "bizLocation")]
    found += [(f"MATCH_{k}", [THING]) for k in ("epc", "parentID", "inputEPC", "outputEPC", "anyEPC")]
    found += [(f"MATCH_{k}Class", [LOT]) for k in ("epc", "inputEPC", "outputEPC", "anyEPC")]
    found += [(f"EQ_{k}", ["urn:uuid:1"]) for k in ("eventID", "transformationID", "correctiveEventID")]
    found += [("EQ_bizTransaction_po", ["urn:x:1"]), ("EQ_bizTransaction_ex:kind", ["urn:x:1"])]
    found += [(f"EQ_{k}_owning_party", [PLACE]) for k in ("source", "destination")]
    numbers = ("value", "minValue", "maxValue", "meanValue", "sDev", "percValue", "quantity")
    found += [
        (f"{s}_{n}_{u}", [1.5] if s == "EQ" else 1.5) for s in SIGNS for n in numbers for u in ("CEL", "ABCD")
    ]
    found += [(f"{s}_{n}", [1] if s == "EQ" else 1) for s in SIGNS for n in ("quantity", "percRank")]
    found += [("EQ_type", ["Temperature"]), ("EQ_booleanValue", True), ("EQ_hexBinaryValue", ["f0"])]
    found += [
        (f"EQ_{k}", ["https://id.gs1.org/8004/4000001111"]) for k in ("deviceID", "uriValue", "bizRules")
    ]
    found += [(f"EQ_{k}", ["https://x.example/1"]) for k in ("dataProcessingMethod", "microorganism")]
    found += [("EQ_chemicalSubstance", ["https://x.example/1"]), ("EQ_stringValue", ["x"])]
    places = ("", "ILMD_", "ERROR_DECLARATION_", "SENSORELEMENT_", "SENSORMETADATA_", "SENSORREPORT_")
    for place in (*places, "readPoint_", "bizLocation_"):
        for inner in ("", "INNER_"):
            found += [(f"EQ_{inner}{place}ex:f", v) for v in (["a", "b"], 3, TIME)]
            found += [(f"{s}_{inner}{place}ex:f", v) for s in SIGNS[1:] for v in (3, TIME)]
            found += [(f"EXISTS_{inner}{place}ex:f", v) for v in (None, "", 1, True)]
    found += [
        (f"EXISTS_{k}", v) for k in ("errorDeclaration", "sensorElementList") for v in (None, 1, True, "")
    ]
    found += [
        ("HASATTR_ex:f", ["ex:a"]),
        ("HASATTR_bizLocation", ["ex:a"]),
        ("EQATTR_bizLocation_ex:a", ["x"]),
    ]
    found += [("EQ_ATTR_bizLocation_ex:a", ["x"]), ("EQATTR_ex:f_ex:a", ["x"])]
    found += [("orderBy", "eventTime"), ("orderBy", "recordTime"), ("orderBy", "https://example.org/ns/f")]
    return [*found, ("maxEventCount", 5)]


def test_every_published_parameter_is_understood() -> None:
    refused = []
    for name, value in published():
        try:
            Parser(EX).read({name: value})
        except YaosuError as error:
            refused.append((name, value, error.code))
    assert refused == []
    Parser(EX).read({"eventCountLimit": 5, "orderBy": "eventTime", "orderDirection": "ASC"})


@pytest.fixture
def key(world: World) -> dict[str, str]:
    """The maker's."""
    return world.keys[world.maker]


async def test_what_is_not_there_has_no_options_either(world: World, key: dict[str, str]) -> None:
    await world.client.post("/epcis/queries", json={"name": "there", "query": {}}, headers=key)
    for path in (
        "",
        "/events",
        "/capture",
        "/queries",
        "/epcs",
        "/bizSteps/shipping",
        "/bizSteps/shipping/events",
    ):
        got = await world.client.options(f"/epcis{path}", headers=key)
        assert got.status_code == 204 and got.headers["GS1-EPCIS-Min"] == "2.0.0", path
    for path in ("/queries/there", "/queries/there/events", "/queries/there/subscriptions"):
        assert (await world.client.options(f"/epcis{path}", headers=key)).status_code == 204, path
        # another organisation's query is not there
        other = await world.client.options(f"/epcis{path}", headers=world.keys[world.stranger])
        assert other.status_code == 404, path
    nowhere = "00000000-0000-0000-0000-000000000000"
    for path in (f"/capture/{nowhere}", "/events/urn:uuid:none", f"/queries/there/subscriptions/{nowhere}"):
        assert (await world.client.options(f"/epcis{path}", headers=key)).status_code == 404, path
    for path in ("/colours", "/bizSteps/flying", "/bizSteps/flying/events"):
        got = await world.client.options(f"/epcis{path}", headers=key)
        assert (got.status_code, got.json()["type"]) == (404, "epcisException:NoSuchResourceException"), path


async def test_a_member_is_there_once_an_event_names_it(world: World, key: dict[str, str]) -> None:
    place = "https://id.gs1.org/414/6901234000108"
    thing = "https://id.gs1.org/8004/0614141MEMBER"
    step = "https://example.org/steps/flying"
    paths = [
        f"/epcis/{r}/{m.replace('/', '%2F')}"
        for r, m in (("readPoints", place), ("epcs", thing), ("bizSteps", step))
    ]
    for path in paths:
        assert (await world.client.get(path, headers=key)).status_code == 404
    await world.done(
        document(event(action="OBSERVE", bizStep=step, epcList=[thing], readPoint={"id": place}))
    )
    for path in paths:
        got = await world.client.get(path, headers=key)
        assert (got.status_code, got.json()["member"]) == (200, ["events"])
        # what others captured is not there for a stranger
        assert (await world.client.get(path, headers=world.keys[world.stranger])).status_code == 404


async def test_lists_are_json_and_say_so(world: World, key: dict[str, str]) -> None:
    for path in ("eventTypes", "epcs", "bizSteps", "queries", "capture", "bizSteps/shipping"):
        got = await world.client.get(f"/epcis/{path}", headers={**key, "Accept": "application/xml"})
        assert (got.status_code, got.headers["content-type"]) == (406, "application/problem+xml"), path
    wrong = {**key, "Content-Type": "text/plain"}
    got = await world.client.post("/epcis/queries", content=b'{"name": "t", "query": {}}', headers=wrong)
    assert (got.status_code, got.json()["type"]) == (415, "epcisException:UnsupportedMediaTypeException")


async def test_a_query_may_be_called_anything_that_fits_an_address(world: World, key: dict[str, str]) -> None:
    for name in ("出库 shipments", "a:b@c+d", "50% off"):
        made = await world.client.post("/epcis/queries", json={"name": name, "query": {}}, headers=key)
        assert made.status_code == 201, name
        path = made.headers["location"][made.headers["location"].index("/epcis/") :]
        assert path.isascii()
        assert (await world.client.get(path, headers=key)).json()["name"] == name
        assert (await world.client.get(f"{path}/events", headers=key)).status_code == 200
        assert (await world.client.delete(path, headers=key)).status_code == 204
    for bad in ("", " x", "a/b", "..", "a\nb", "x" * 101, "\ud800", 5):
        body = {"name": bad, "query": {}}
        content = json.dumps(body).encode()
        got = await world.client.post(
            "/epcis/queries", content=content, headers={**key, "Content-Type": "application/json"}
        )
        assert got.status_code == 400, bad
    taken = await world.client.post(
        "/epcis/queries", json={"name": "SimpleEventQuery", "query": {}}, headers=key
    )
    assert (taken.status_code, taken.json()["type"]) == (409, "epcisException:ResourceAlreadyExistsException")


async def test_subscriptions_come_in_pages(world: World, key: dict[str, str]) -> None:
    await world.client.post("/epcis/queries", json={"name": "paged", "query": {}}, headers=key)
    base = "/epcis/queries/paged/subscriptions"
    made = set()
    for hour in range(5):
        body = {"dest": "https://example.com/x", "schedule": {"hour": str(hour)}, "initialRecordTime": ago(1)}
        got = await world.client.post(base, json=body, headers=key)
        made.add(got.json()["subscriptionID"])
    found: list[str] = []
    path = f"{base}?perPage=2"
    sizes = []
    while path:
        page: Any = await world.client.get(path, headers=key)
        sizes.append(len(page.json()))
        found += [s["subscriptionID"] for s in page.json()]
        link = page.headers.get("link", "")
        path = link[link.index("/epcis/") : link.index(">")] if link else ""
    assert sizes == [2, 2, 1] and set(found) == made and len(found) == 5
    await world.client.delete("/epcis/queries/paged", headers=key)
