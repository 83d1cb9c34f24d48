"""Whatever comes in is answered with a clear error, never a 500 (design §6)."""

from __future__ import annotations

import copy
import random
from typing import Any

import orjson

from exchange.epcis.helpers import World, commissioning, document, event, packing, shipping

JUNK: list[Any] = [
    None,
    7,
    -1,
    1e308,
    True,
    "",
    "x",
    "urn:",
    "https://id.gs1.org/01/1/21/2",
    "𝕏" * 50,
    [],
    {},
    [[]],
    [None],
    {"a": {"b": []}},
    [1, "x"],
    "A" * 5000,
    {"#text": 1},
    "ADD",
    "cbv:",
    "::",
    "%zz",
    "2026-13-40",
]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a value."""
    found = [at] if at else []
    if isinstance(value, dict):
        for k, v in value.items():
            found += places(v, (*at, k))
    elif isinstance(value, list):
        for n, v in enumerate(value):
            found += places(v, (*at, n))
    return found


def spoiled(doc: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The document with one to three places replaced, removed or renamed."""
    made = copy.deepcopy(doc)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice(places(made))
        inside: Any = made
        try:
            for step in at[:-1]:
                inside = inside[step]
            act = chance.random()
            if act < 0.2:
                del inside[at[-1]]
            elif act < 0.3 and isinstance(inside, dict):
                inside[str(chance.choice(JUNK))[:60]] = inside.pop(at[-1])
            else:
                inside[at[-1]] = chance.choice(JUNK)
        except (KeyError, IndexError, TypeError):
            continue
    return made


async def test_spoiled_documents_never_break_the_server(world: World) -> None:
    chance = random.Random(20260930)
    boxes = world.boxes(3)
    good = document(
        commissioning(boxes, "H1"),
        packing(world.cases(1)[0], boxes[:2]),
        shipping(
            boxes[2:],
            world.party(world.wholesaler),
            bizTransactionList=[{"type": "po", "bizTransaction": "urn:x:po:1"}],
            persistentDisposition={"set": ["active"]},
            sensorElementList=[
                {"sensorReport": [{"type": "Temperature", "value": 1, "time": "2024-01-01T00:00:00Z"}]}
            ],
            **{
                "yaosu:header": [{"yaosu:name": "a", "yaosu:value": "b"}],
                "yaosu:billType": 201,
                "yaosu:parts": [{}],
            },
        ),
        event("TransformationEvent", inputEPCList=boxes[:1], outputEPCList=boxes[1:2], bizStep="replacing"),
        header={
            "epcisMasterData": {
                "vocabularyList": [
                    {
                        "type": "urn:epcglobal:epcis:vtype:EPCClass",
                        "vocabularyElementList": [
                            {
                                "id": f"https://id.gs1.org/01/{world.box}",
                                "attributes": [{"id": "urn:yaosu:mda:shelfLife", "attribute": "24"}],
                                "children": ["urn:x:1"],
                            }
                        ],
                    }
                ]
            }
        },
    )
    key = {**world.keys[world.maker], "content-type": "application/json"}
    for n in range(120):
        bad = spoiled(good, chance)
        mode = "proceed" if n % 2 else "rollback"
        got = await world.client.post(
            "/epcis/capture", content=orjson.dumps(bad), headers={**key, "GS1-Capture-Error-Behaviour": mode}
        )
        assert got.status_code in (202, 400, 413), (got.status_code, got.text[:300], bad)
        if got.status_code == 202:
            job = await world.job(got.headers["location"])
            assert "internal_error" not in {e["code"] for e in job["errors"]}, bad
            assert all(e["title"] for e in job["errors"])
        one = bad.get("epcisBody")
        items = one.get("eventList") if isinstance(one, dict) else None
        if isinstance(items, list) and items:
            got = await world.client.post("/epcis/events", content=orjson.dumps(items[-1]), headers=key)
            assert got.status_code < 500, (got.text[:300], items[-1])


async def test_spoiled_queries_never_break_the_server(world: World) -> None:
    chance = random.Random(7)
    names = [
        "EQ_bizStep",
        "MATCH_epc",
        "GE_eventTime",
        "EQ_quantity",
        "orderBy",
        "nextPageToken",
        "perPage",
        "EQ_x:y",
        "EQ_INNER_ILMD_https://a/b",
        "GE_value_CEL",
        "WD_readPoint",
        "EXISTS_errorDeclaration",
        "eventCountLimit",
        "EQ_source_owning_party",
        "EQ_type",
        "maxEventCount",
        "MATCH_anyEPCClass",
        "EQ_eventID",
    ]
    values = [str(j) for j in JUNK] + [
        "WyJiIiwxLDJd",
        "WyJlIiwieCIsMV0",
        "WyJvIiwtNV0",
        "urn:epc:idpat:sgtin:*.*.*",
        "|||",
    ]
    for _ in range(150):
        asked = {chance.choice(names): chance.choice(values)[:300] for _ in range(chance.randint(1, 3))}
        got = await world.client.get("/epcis/events", params=asked, headers=world.keys[world.maker])
        assert got.status_code < 500, (asked, got.text[:300])
    for path in (
        "/epcis/capture/x",
        "/epcis/colours",
        "/epcis/bizSteps/none/events",
        "/epcis/queries/none",
        "/epcis/events/x",
    ):
        got = await world.client.get(path, headers=world.keys[world.maker])
        assert got.status_code == 404, path
