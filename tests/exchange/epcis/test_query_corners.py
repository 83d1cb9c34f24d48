"""Corners of SimpleEventQuery: patterns, units, lists, master data, places in lists that end (EPCIS 2.0 §8.2.7.1)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.epcis.helpers import World, document, event
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import answering
from yaosu.exchange.epcis.query import Parser

ACME = {"acme": "https://acme.example/ns/"}
BODY: dict[str, Any] = {
    "type": "AggregationEvent",
    "action": "ADD",
    "parentID": "urn:epc:id:sscc:0614141.1234567890",
    "childEPCs": ["urn:epc:id:sgtin:0614141.107346.2017", "urn:epc:id:grai:0614141.12345.400"],
    "childQuantityList": [
        {"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 2.5, "uom": "KGM"}
    ],
    "bizLocation": {"id": "urn:epc:id:sgln:0614141.00888.0"},
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:0614141.00001"}],
    "persistentDisposition": {"set": ["completeness_verified"]},
    "sensorElementList": [
        {
            "sensorMetadata": {
                "time": "2026-01-01T10:00:00+00:00",
                "deviceID": "urn:epc:id:giai:4000001.111",
            },
            "sensorReport": [
                {"type": "Temperature", "value": 25, "uom": "CEL", "exception": "ALARM_CONDITION"},
                {"type": "acme:open", "booleanValue": False, "acme:note": "x"},
            ],
        }
    ],
    "acme:grade": {"acme:step": [{"acme:inner": 7}]},
}


def fits(name: str, value: object) -> bool:
    """Whether the event answers a query of one parameter."""
    return Parser(ACME).read({name: value}).fits(BODY, ACME)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MATCH_epc", "urn:epc:idpat:sgtin:0614141.107346.*", True),
        ("MATCH_epc", "urn:epc:idpat:sgtin:0614141.*.*", True),
        ("MATCH_epc", "urn:epc:idpat:sgtin:*.*.*", True),
        ("MATCH_epc", "urn:epc:idpat:sgtin:4012345.*.*", False),
        ("MATCH_epc", "urn:epc:idpat:grai:0614141.12345.*", True),
        ("MATCH_epc", "urn:epc:idpat:grai:0614141.12346.*", False),
        ("MATCH_epc", "urn:epc:idpat:sscc:0614141.*", False),
        ("MATCH_parentID", "urn:epc:idpat:sscc:0614141.*", True),
        ("MATCH_anyEPC", "urn:epc:idpat:sscc:*.*", True),
        ("MATCH_inputEPC", "urn:epc:idpat:sgtin:0614141.*.*", False),
        ("MATCH_epcClass", "https://id.gs1.org/01/04012345123456/10/998877", True),
        ("MATCH_anyEPCClass", "urn:epc:class:lgtin:4012345.012345.998877", True),
        ("EQ_quantity", "2.5", True),
        ("EQ_quantity_KGM", [1, 2.5], True),
        ("EQ_quantity_GRM", [2500], True),
        ("GT_quantity_LBR", 5, True),
        ("GE_quantity_LTR", 0, False),
        ("EQ_value_CEL", [25, 26], True),
        ("EQ_value_FAH", 77, True),
        ("GE_value_KEL", 298.15, True),
        ("LT_value_KEL", 298.15, False),
        ("GT_value_PAL", 0, False),
        ("EQ_type", "Temperature|Pressure", True),
        ("EQ_type", "acme:open", False),
        ("EQ_exception", "ALARM_CONDITION", True),
        ("EQ_booleanValue", "false", True),
        ("EQ_booleanValue", True, False),
        ("EQ_deviceID", "https://id.gs1.org/8004/4000001111", True),
        ("GE_time", "2026-01-01T11:00:00+01:00", True),
        ("LT_time", "2026-01-01T11:00:00+01:00", False),
        ("EQ_persistentDisposition_set", "urn:epcglobal:cbv:disp:completeness_verified", True),
        ("EQ_persistentDisposition_unset", "completeness_verified", False),
        ("EQ_source_owning_party", "https://id.gs1.org/417/0614141000012", True),
        ("EQ_source_urn:epcglobal:cbv:sdt:owning_party", "urn:epc:id:pgln:0614141.00001", True),
        ("EQ_source_possessing_party", "urn:epc:id:pgln:0614141.00001", False),
        ("EQ_INNER_acme:inner", 7, True),
        ("GE_INNER_acme:inner", 8, False),
        ("EQ_acme:inner", 7, False),
        ("EXISTS_acme:grade", 0, True),
        ("EXISTS_INNER_acme:inner", None, True),
        ("EXISTS_ILMD_acme:grade", None, False),
        ("EQ_SENSORREPORT_acme:note", "x", True),
        ("EXISTS_sensorElementList", "true", True),
    ],
)
def test_one_parameter(name: str, value: object, expected: bool) -> None:
    assert fits(name, value) is expected


def test_classes_among_inputs_name_all_their_instances() -> None:
    body = {"type": "TransformationEvent", "inputEPCList": ["urn:epc:id:sgtin:0614141.107346.2017"]}
    query = Parser({}).read({"MATCH_inputEPC": "urn:epc:idpat:sgtin:0614141.107346.*"})
    assert query.any_of is None, "the index holds instances only"
    assert query.fits(body, {})


@pytest.mark.parametrize(
    "name", ["EQ_nothing", "HASATTR_", "EQATTR_bizLocation", "HASATTR_grade", "EQ_userID"]
)
def test_what_is_no_parameter_is_refused(name: str) -> None:
    with pytest.raises(YaosuError) as refused:
        Parser(ACME).read({name: "x"})
    assert refused.value.code in ("epcis_query_unknown_parameter", "epcis_query_parameter")


def test_a_place_in_a_list_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    token = answering.write_token("v", "x")
    assert answering.read_token(token) == ["v", "x"]
    monkeypatch.setattr(answering, "TOKEN_LIFE", -answering.TOKEN_LIFE)
    with pytest.raises(YaosuError) as refused:
        answering.read_token(answering.write_token("v", "x"))
    assert refused.value.code == "epcis_page_token"


async def test_events_are_found_by_what_master_data_says_of_their_places(world: World) -> None:
    places = [f"urn:epc:id:sgln:0614141.{n:05d}.0" for n in (501, 502)]
    data = {
        "epcisMasterData": {
            "vocabularyList": [
                {
                    "type": "urn:epcglobal:epcis:vtype:BusinessLocation",
                    "vocabularyElementList": [
                        {"id": p, "attributes": [{"id": "cbvmda:city", "attribute": city}]}
                        for p, city in zip(places, ("Linz", "Graz"), strict=True)
                    ],
                }
            ]
        }
    }
    seen = [
        event(
            action="OBSERVE",
            bizStep="storing",
            bizLocation={"id": p},
            epcList=["urn:epc:id:giai:0614141.77"],
            **{"acme:kept_at": p},
        )
        for p in (*places, "urn:epc:id:sgln:0614141.00503.0")
    ]
    await world.done(document(*seen, header=data, **ACME))
    base = {"MATCH_epc": "urn:epc:id:giai:0614141.77"}
    assert len(await world.events(**base)) == 3
    assert len(await world.events(**base, HASATTR_bizLocation="urn:epcglobal:cbv:mda#city")) == 2
    one = await world.events(**base, **{"EQATTR_bizLocation_urn:epcglobal:cbv:mda:city": "Graz"})
    assert [e["acme:kept_at"] for e in one] == [places[1]]
    one = await world.events(**base, **{"EQATTR_https://acme.example/ns/kept_at_cbvmda:city": "Linz|Wien"})
    assert [e["acme:kept_at"] for e in one] == [places[0]]
    assert await world.events(**base, HASATTR_bizLocation="cbvmda:postalCode") == []
    assert await world.events(world.stranger, **base) == []


async def test_pages_say_how_long_their_link_serves_and_are_cut_to_the_largest(world: World) -> None:
    await world.done(
        document(
            *(
                event(action="OBSERVE", bizStep="storing", epcList=[f"urn:epc:id:giai:0614141.8{n}"])
                for n in "12"
            )
        )
    )
    headers = world.keys[world.maker]
    got = await world.client.get("/epcis/events", params={"perPage": 1}, headers=headers)
    assert got.headers["GS1-Next-Page-Token-Expires"].endswith("Z")
    assert 'rel="next"' in got.headers["link"]
    got = await world.client.get("/epcis/events", params={"perPage": 100_000}, headers=headers)
    assert got.status_code == 200
    got = await world.client.delete("/epcis/nextPageToken/abc", headers=headers)
    assert (got.status_code, got.json()["type"]) == (501, "epcisException:ImplementationException")


async def test_methods_names_and_keys_are_refused_in_the_standards_form(world: World) -> None:
    headers = world.keys[world.maker]
    got = await world.client.put("/epcis/events", headers=headers)
    assert (got.status_code, got.headers["allow"]) == (405, "OPTIONS, GET, POST")
    assert got.json()["type"].startswith("epcisException:")
    got = await world.client.get("/epcis/queries/none", headers=headers)
    assert got.json()["type"] == "epcisException:NoSuchNameException"
    got = await world.client.get("/epcis/events", headers={"authorization": "Bearer nonsense"})
    assert (got.status_code, got.json()["type"]) == (401, "epcisException:SecurityException")
    assert got.headers["GS1-EPCIS-Version"] == "2.0.0"
    got = await world.client.get("/epcis/a/b/c/d", headers=headers)
    assert got.json()["type"] == "epcisException:NoSuchResourceException"


async def test_the_link_of_a_query_in_a_body_asks_the_same(world: World) -> None:
    labels = [f"urn:epc:id:giai:0614141.9{n}" for n in "123"]
    await world.done(document(*(event(action="OBSERVE", bizStep="picking", epcList=[x]) for x in labels)))
    await world.done(document(event(action="OBSERVE", bizStep="loading", epcList=labels)))
    headers = world.keys[world.maker]
    body = {"query": {"EQ_bizStep": ["picking"], "MATCH_epc": labels, "perPage": 2}}
    got = await world.client.request("GET", "/epcis/events", json=body, headers=headers)
    assert len(got.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]) == 2
    link = got.headers["link"]
    got = await world.client.get(link[link.index("/epcis/") : link.index(">")], headers=headers)
    events = got.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert [e["bizStep"] for e in events] == ["picking"]


async def test_bodies_may_open_with_a_mark_but_not_be_packed(world: World) -> None:
    doc = b"\xef\xbb\xbf" + orjson.dumps(
        document(event(action="OBSERVE", epcList=["urn:epc:id:giai:0614141.95"]))
    )
    headers = {**world.keys[world.maker], "content-type": "application/json"}
    got = await world.client.post("/epcis/capture", content=doc, headers=headers)
    assert got.status_code == 202
    got = await world.client.post(
        "/epcis/capture", content=doc, headers={**headers, "content-encoding": "gzip"}
    )
    assert (got.status_code, got.json()["type"]) == (415, "epcisException:UnsupportedMediaTypeException")


async def test_a_websocket_whose_upgrade_a_proxy_took_is_told_what_is_missing(world: World) -> None:
    headers = world.keys[world.maker]
    query = {"name": "sock", "query": {"EQ_bizStep": ["picking"]}}
    await world.client.post("/epcis/queries", json=query, headers=headers)
    got = await world.client.get("/epcis/queries/sock/events?stream=true", headers=headers)
    assert (got.status_code, got.json()["type"]) == (400, "epcisException:SubscriptionControlsException")
    assert "Upgrade: websocket" in got.json()["title"]


async def test_a_query_is_told_as_it_was_made(world: World) -> None:
    headers = world.keys[world.maker]
    plain = {"name": "plain", "query": {"EQ_bizStep": ["picking"]}}
    prefixed = {
        "name": "pre",
        "query": {"@context": {"acme": "https://acme.example/ns/"}, "EQ_acme:grade": ["A"]},
    }
    for one in (plain, prefixed):
        assert (await world.client.post("/epcis/queries", json=one, headers=headers)).status_code == 201
        got = await world.client.get(f"/epcis/queries/{one['name']}", headers=headers)
        assert got.json() == one
    made = await world.client.post(
        "/epcis/queries/plain/subscriptions",
        json={"dest": "https://example.com/x", "schedule": {"hour": "3", "minute": "5"}},
        headers=headers,
    )
    path = made.headers["location"]
    got = await world.client.options(path[path.index("/epcis/") :], headers=headers)
    assert got.headers["GS1-Query-Min-Record-Time"] == made.json()["minRecordTime"]
    stranger = world.keys[world.stranger]
    got = await world.client.options(path[path.index("/epcis/") :], headers=stranger)
    assert got.status_code == 404 and "GS1-Query-Min-Record-Time" not in got.headers
    assert (await world.client.get("/epcis/queries/plain", headers=stranger)).status_code == 404
