"""SimpleEventQuery, discovery, named queries and the standard's headers (EPCIS 2.0 §8.2, §12)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from exchange.epcis.helpers import World, ago, document, event, shipping
from yaosu.db.engine import Pool

EX = "https://acme.example/ns/"


@pytest.fixture(scope="module")
def boxes(world: World) -> list[str]:
    """Identifiers that nothing is known of here."""
    return [f"urn:epc:id:sgtin:6901234.0990{n:02d}.Q{n}" for n in range(6)]


async def test_events_with_everything_are_found_by_every_parameter(world: World, boxes: list[str]) -> None:
    one = event(
        "ObjectEvent",
        30,
        eventID="urn:uuid:00000000-0000-4000-8000-00000000f001",
        action="OBSERVE",
        bizStep="inspecting",
        disposition="conformant",
        epcList=boxes[:1],
        quantityList=[
            {"epcClass": "urn:epc:class:lgtin:6901234.099001.LOT9", "quantity": 12.5, "uom": "KGM"}
        ],
        readPoint={"id": "urn:epc:id:sgln:6901234.00100.A"},
        bizLocation={"id": "urn:epc:id:sgln:6901234.00100.0"},
        bizTransactionList=[{"type": "po", "bizTransaction": "https://erp.example.com/po/41"}],
        sourceList=[{"type": "owning_party", "source": "urn:epc:id:pgln:6901234.00100"}],
        destinationList=[{"type": "location", "destination": "urn:epc:id:sgln:6901234.00200.0"}],
        persistentDisposition={"set": ["completeness_verified"], "unset": ["completeness_inferred"]},
        sensorElementList=[
            {
                "sensorMetadata": {"deviceID": "urn:epc:id:giai:6901234.77", "time": ago(30)},
                "sensorReport": [{"type": "Temperature", "value": 6.5, "uom": "CEL"}],
            }
        ],
        **{"acme:grade": "A", "acme:deep": {"acme:count": 7}},
    )
    two = event(
        "TransformationEvent",
        20,
        inputEPCList=boxes[1:2],
        outputEPCList=boxes[2:3],
        bizStep="assembling",
        transformationID="urn:uuid:00000000-0000-4000-8000-00000000f0aa",
    )
    three = event(
        "AssociationEvent",
        10,
        action="ADD",
        parentID=boxes[3],
        childEPCs=boxes[4:5],
        bizStep="installing",
        ilmd=None,
    )
    three.pop("ilmd")
    await world.done(document(one, two, three, acme=EX))
    link = "https://id.gs1.org/01/"
    for name, value, types in (
        ("eventType", "ObjectEvent", {"ObjectEvent"}),
        ("EQ_bizStep", "inspecting|assembling", {"ObjectEvent", "TransformationEvent"}),
        ("EQ_bizStep", "urn:epcglobal:cbv:bizstep:installing", {"AssociationEvent"}),
        ("EQ_disposition", "conformant", {"ObjectEvent"}),
        ("EQ_action", "ADD", {"AssociationEvent"}),
        ("EQ_eventID", one["eventID"], {"ObjectEvent"}),
        ("EQ_transformationID", two["transformationID"], {"TransformationEvent"}),
        ("EQ_readPoint", "https://id.gs1.org/414/6901234001006/254/A", {"ObjectEvent"}),
        ("EQ_bizLocation", "urn:epc:id:sgln:6901234.00100.0", {"ObjectEvent"}),
        ("MATCH_epc", boxes[0], {"ObjectEvent"}),
        ("MATCH_epc", "urn:epc:idpat:sgtin:6901234.099000.*", {"ObjectEvent"}),
        ("MATCH_parentID", boxes[3], {"AssociationEvent"}),
        ("MATCH_inputEPC", boxes[1], {"TransformationEvent"}),
        ("MATCH_outputEPC", boxes[2], {"TransformationEvent"}),
        ("MATCH_anyEPC", "|".join(boxes), {"ObjectEvent", "TransformationEvent", "AssociationEvent"}),
        ("MATCH_epcClass", "urn:epc:class:lgtin:6901234.099001.LOT9", {"ObjectEvent"}),
        ("MATCH_anyEPCClass", "urn:epc:class:lgtin:6901234.099001.*".replace("class:", "idpat:", 1), set()),
        ("EQ_quantity", "12.5", {"ObjectEvent"}),
        ("GT_quantity_KGM", "12", {"ObjectEvent"}),
        ("GT_quantity_LTR", "12", set()),
        ("EQ_bizTransaction_po", "https://erp.example.com/po/41", {"ObjectEvent"}),
        ("EQ_source_owning_party", "https://id.gs1.org/417/6901234001006", {"ObjectEvent"}),
        ("EQ_destination_location", "urn:epc:id:sgln:6901234.00200.0", {"ObjectEvent"}),
        ("EQ_persistentDisposition_set", "completeness_verified", {"ObjectEvent"}),
        ("EQ_persistentDisposition_unset", "completeness_verified", set()),
        ("EQ_type", "Temperature", {"ObjectEvent"}),
        ("GE_value_CEL", "6.5", {"ObjectEvent"}),
        ("EQ_deviceID", "https://id.gs1.org/8004/690123477", {"ObjectEvent"}),
        ("EXISTS_sensorElementList", "", {"ObjectEvent"}),
        (f"EQ_{EX}grade", "A", {"ObjectEvent"}),
        (f"EXISTS_{EX}grade", "", {"ObjectEvent"}),
        (f"EQ_{EX}count", "7", set()),
        (f"EQ_INNER_{EX}count", "7", {"ObjectEvent"}),
        (f"GE_INNER_{EX}count", "7.5", set()),
        ("GE_eventTime", ago(25), {"TransformationEvent", "AssociationEvent"}),
        ("LT_eventTime", ago(25), {"ObjectEvent"}),
        ("GE_recordTime", ago(-5), set()),
        ("EXISTS_errorDeclaration", "true", set()),
    ):
        found = await world.events(**{name: value})
        assert {e["type"] for e in found} == types, name
    assert link


async def test_a_place_includes_what_lies_below_it_by_captured_master_data(
    world: World, boxes: list[str]
) -> None:
    site, hall = "urn:epc:id:sgln:6901234.00100.0", "urn:epc:id:sgln:6901234.00100.A"
    header = {
        "epcisMasterData": {
            "vocabularyList": [
                {
                    "type": "urn:epcglobal:epcis:vtype:ReadPoint",
                    "vocabularyElementList": [{"id": site, "children": [hall]}],
                }
            ]
        }
    }
    assert await world.events(WD_readPoint=site) == []
    await world.done(document(header=header))
    (found,) = await world.events(WD_readPoint=site)
    assert found["bizStep"] == "inspecting" and boxes


async def test_pages_follow_each_other_until_all_is_told(world: World) -> None:
    everything = {e["eventID"] for e in await world.events(perPage=1000)}
    seen: list[str] = []
    url = "/epcis/events?perPage=1"
    while url:
        got = await world.client.get(url, headers=world.keys[world.maker])
        seen += [e["eventID"] for e in got.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]]
        link = got.headers.get("link", "")
        assert not link or link.endswith('; rel="next"')
        url = link[1 : link.index(">")].replace("http://test", "") if link else ""
    assert len(seen) == len(set(seen)) and set(seen) == everything


async def test_order_limits_and_sizes(world: World) -> None:
    up = await world.events(orderBy="eventTime", orderDirection="ASC")
    assert [e["eventTime"] for e in up] == sorted(e["eventTime"] for e in up)
    (newest,) = await world.events(orderBy="eventTime", eventCountLimit=1)
    assert newest["eventTime"] == up[-1]["eventTime"]
    got = await world.client.get("/epcis/events?maxEventCount=1", headers=world.keys[world.maker])
    assert got.status_code == 413 and got.json()["type"] == "epcisException:QueryTooLargeException"


@pytest.mark.parametrize(
    ("query", "kind", "status"),
    [
        ("EQ_color=red", "QueryParameterException", 400),
        ("GE_eventTime=yesterday", "QueryParameterException", 400),
        ("EQ_action=MOVE", "QueryParameterException", 400),
        ("eventCountLimit=3", "QueryParameterException", 400),
        ("orderBy=eventTime&eventCountLimit=3&maxEventCount=3", "QueryParameterException", 400),
        ("perPage=0", "QueryParameterException", 400),
        ("nextPageToken=zzz", "QueryParameterException", 400),
        ("GT_quantity=many", "QueryParameterException", 400),
        ("EQ_acme:grade=A", "QueryParameterException", 400),
    ],
)
async def test_a_wrong_parameter_is_refused_in_the_standards_words(
    world: World, query: str, kind: str, status: int
) -> None:
    got = await world.client.get(f"/epcis/events?{query}", headers=world.keys[world.maker])
    assert got.status_code == status, got.text
    assert got.headers["content-type"] == "application/problem+json"
    assert got.json()["type"] == f"epcisException:{kind}"


async def test_named_queries_are_made_asked_and_removed(world: World) -> None:
    key = world.keys[world.maker]
    made = await world.client.post(
        "/epcis/queries", json={"name": "inspections", "query": {"EQ_bizStep": ["inspecting"]}}, headers=key
    )
    assert made.status_code == 201 and made.headers["location"].endswith("/epcis/queries/inspections")
    twice = await world.client.post(
        "/epcis/queries", json={"name": "inspections", "query": {"EQ_bizStep": ["inspecting"]}}, headers=key
    )
    assert twice.status_code == 409
    assert [q["name"] for q in (await world.client.get("/epcis/queries", headers=key)).json()] == [
        "inspections"
    ]
    found = (await world.client.get("/epcis/queries/inspections/events", headers=key)).json()
    assert found["epcisBody"]["queryResults"]["queryName"] == "inspections"
    assert {e["bizStep"] for e in found["epcisBody"]["queryResults"]["resultsBody"]["eventList"]} == {
        "inspecting"
    }
    other = await world.client.get("/epcis/queries/inspections", headers=world.keys[world.wholesaler])
    assert other.status_code == 404
    assert (await world.client.delete("/epcis/queries/inspections", headers=key)).status_code == 204


async def test_resources_lead_to_events(world: World, boxes: list[str]) -> None:
    key = world.keys[world.maker]
    top = (await world.client.get("/epcis", headers=key)).json()
    assert set(top["member"]) >= {"events", "capture", "queries"}
    for resource, member in (
        ("eventTypes", "TransformationEvent"),
        ("bizSteps", "inspecting"),
        ("dispositions", "conformant"),
        ("readPoints", "https://id.gs1.org/414/6901234001006/254/A"),
        ("bizLocations", "https://id.gs1.org/414/6901234001006"),
        ("epcs", "https://id.gs1.org/01/06901234990003/21/Q0"),
    ):
        members = (await world.client.get(f"/epcis/{resource}?perPage=1000", headers=key)).json()["member"]
        assert member in members, resource
        inside = await world.client.get(f"/epcis/{resource}/{quote(member, safe='')}", headers=key)
        assert inside.json()["member"] == ["events"]
        got = await world.client.get(f"/epcis/{resource}/{quote(member, safe='')}/events", headers=key)
        assert got.status_code == 200 and got.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]


async def test_one_event_is_created_and_read_by_its_id(world: World, boxes: list[str]) -> None:
    key = world.keys[world.maker]
    one = event(action="OBSERVE", bizStep="storing", epcList=boxes[5:])
    made = await world.client.post("/epcis/events", json=one, headers=key)
    assert made.status_code == 201, made.text
    got = await world.client.get(made.headers["location"].replace("http://test", ""), headers=key)
    (found,) = got.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert found["eventID"] == made.json()["eventID"]
    bad = await world.client.post("/epcis/events", json={**one, "bizStep": "x"}, headers=key)
    assert bad.status_code == 400 and bad.json()["errors"][0]["instance"] == "/bizStep"


async def test_headers_of_the_standard(world: World, boxes: list[str]) -> None:
    key = world.keys[world.maker]
    found = await world.client.options("/epcis/capture", headers=key)
    assert found.status_code == 204 and "POST" in found.headers["allow"]
    assert found.headers["gs1-epcis-capture-limit"] == "20000"
    assert found.headers["gs1-epcis-version"] == "2.0.0"
    urn = await world.client.get(
        "/epcis/events", params={"MATCH_epc": boxes[0]}, headers={**key, "GS1-EPC-Format": "Always_EPC_URN"}
    )
    assert boxes[0] in urn.text
    link = await world.client.get("/epcis/events", params={"MATCH_epc": boxes[0]}, headers=key)
    assert "https://id.gs1.org/01/06901234990003/21/Q0" in link.text
    for headers, status in (
        ({"accept": "text/csv"}, 406),
        ({"GS1-EPCIS-Min": "3.0"}, 406),
        ({"GS1-EPC-Format": "Sometimes"}, 400),
    ):
        assert (await world.client.get("/epcis/events", headers={**key, **headers})).status_code == status
    media = await world.client.post(
        "/epcis/capture", content=b"x", headers={**key, "content-type": "text/plain"}
    )
    assert media.status_code == 415
    nobody = await world.client.get("/epcis/events")
    assert nobody.status_code == 401 and nobody.json()["type"] == "epcisException:SecurityException"
    mode = await world.client.post(
        "/epcis/capture", json=document(), headers={**key, "GS1-Capture-Error-Behaviour": "maybe"}
    )
    assert mode.status_code == 400


async def test_a_stranger_sees_none_of_it(world: World) -> None:
    assert await world.events(world.stranger) == []
    cases, _ = await world.goods()
    await world.done(document(shipping(cases, world.party(world.wholesaler))))
    seen = await world.events(world.wholesaler, EQ_bizStep="shipping")
    assert [e["epcList"] for e in seen] == [cases]
    jobs = (await world.client.get("/epcis/capture", headers=world.keys[world.maker])).json()
    other = await world.client.get(
        f"/epcis/capture/{jobs[0]['captureID']}", headers=world.keys[world.stranger]
    )
    assert other.status_code == 404


async def test_the_page_shows_captures_and_takes_a_gln(world: World, pool: Pool) -> None:
    from access.helpers import PASSWORD, make_account

    async with pool.acquire() as conn:
        _, login = await make_account(conn, world.maker, "admin")
    signed = await world.client.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
    assert signed.status_code in (200, 201), signed.text
    page = await world.client.get("/epcis/help", headers={"accept": "text/html"})
    assert page.status_code == 200 and "http://test/epcis" in page.text
    token = page.text.partition('name="_csrf" value="')[2].partition('"')[0]
    sent = await world.client.post(
        "/epcis/help", data={"_csrf": token, "gln": "6901234009996", "uscc": world.uscc[world.maker]}
    )
    assert sent.status_code == 303, sent.text
    again = await world.client.get("/epcis/help", headers={"accept": "text/html"})
    assert "6901234009996" in again.text
    # subscriptions go on when their key is withdrawn: people see them here and end them
    key = world.keys[world.maker]
    await world.client.post("/epcis/queries", json={"name": "shelf", "query": {}}, headers=key)
    made = await world.client.post(
        "/epcis/queries/shelf/subscriptions",
        json={"dest": "https://told.example.com/shelf", "stream": True},
        headers=key,
    )
    assert made.status_code == 201, made.text
    shown = await world.client.get("/epcis/help", headers={"accept": "text/html"})
    assert "https://told.example.com/shelf" in shown.text and "有事件即推送" in shown.text
    number = {"_csrf": token, "subscription": made.json()["subscriptionID"]}
    ended = await world.client.post("/epcis/help/unsubscribe", data=number)
    assert ended.status_code == 303, ended.text
    assert "told.example.com" not in (await world.client.get("/epcis/help")).text
    left = await world.client.get("/epcis/queries/shelf/subscriptions", headers=key)
    assert left.json() == []
    gone = await world.client.post("/epcis/help/unsubscribe", data=number, headers={"accept": "text/html"})
    assert gone.status_code == 404
    wrong = await world.client.post(
        "/epcis/help",
        data={"_csrf": token, "gln": "123", "uscc": world.uscc[world.maker]},
        headers={"accept": "text/html"},
    )
    assert wrong.status_code == 422
    world.client.cookies.clear()
