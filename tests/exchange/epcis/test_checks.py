"""What is wrong with events is said with field and index (issue 4 §4), and the event hash is the standard's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.epcis.helpers import document, event
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import reading_json, reading_xml
from yaosu.exchange.epcis.checks import check, cycles
from yaosu.exchange.epcis.hashing import hash_id, pre_hash

BOX = "https://id.gs1.org/01/06901234010015/21/A"


def said(**fields: Any) -> list[tuple[str, str]]:
    """(code, field) of everything wrong with an event that is right otherwise."""
    base = event(action="OBSERVE", bizStep="shipping", epcList=[BOX], disposition="in_transit")
    base.update(fields)
    base = {k: v for k, v in base.items() if v is not None}
    found = reading_json.document(orjson.dumps(document(base))).events[0]
    return [(f.code, f.where) for f in check(found)]


@pytest.mark.parametrize(
    ("fields", "code", "where"),
    [
        ({"bizStep": "sending"}, "epcis_word_unknown", "bizStep"),
        ({"bizStep": "https://ref.gs1.org/cbv/BizStep-sending"}, "epcis_word_unknown", "bizStep"),
        ({"bizStep": "acme:sending"}, "epcis_prefix_undeclared", "bizStep"),
        ({"disposition": "urn:epcglobal:cbv:disp:gone"}, "epcis_word_unknown", "disposition"),
        ({"note": "x"}, "epcis_field_unknown", "note"),
        ({"acme:note": "x"}, "epcis_prefix_undeclared", "acme:note"),
        ({"eventTime": "2024-01-01T10:00:00"}, "epcis_time_form", "eventTime"),
        ({"eventTime": "2099-01-01T10:00:00Z"}, "epcis_time_future", "eventTime"),
        ({"eventTime": None}, "epcis_field_missing", "eventTime"),
        ({"eventTimeZoneOffset": "8"}, "epcis_offset_form", "eventTimeZoneOffset"),
        ({"eventTimeZoneOffset": "+15:00"}, "epcis_offset_form", "eventTimeZoneOffset"),
        ({"action": None}, "epcis_field_missing", "action"),
        ({"action": "MOVE"}, "epcis_action", "action"),
        ({"epcList": [BOX, BOX.replace("id.gs1.org", "x.example")]}, "epcis_epc_twice", "epcList/1"),
        ({"epcList": [BOX, "urn:epc:id:sgtin:1.2.3"]}, "epcis_epc_invalid", "epcList/1"),
        ({"epcList": [BOX, 7]}, "epcis_field_form", "epcList/1"),
        ({"epcList": []}, "epcis_nothing_named", "epcList"),
        (
            {"quantityList": [{"epcClass": BOX[:41], "quantity": 1.5}]},
            "epcis_quantity_count",
            "quantityList/0/quantity",
        ),
        (
            {"quantityList": [{"epcClass": BOX[:41], "uom": "KGM"}]},
            "epcis_uom_without_quantity",
            "quantityList/0/uom",
        ),
        (
            {"quantityList": [{"epcClass": BOX[:41], "quantity": 2, "uom": "kg"}]},
            "epcis_uom_form",
            "quantityList/0/uom",
        ),
        ({"sourceList": [{"source": "urn:x:1"}]}, "epcis_field_missing", "sourceList/0/type"),
        ({"readPoint": {"name": "x"}}, "epcis_field_missing", "readPoint/id"),
        ({"ilmd": {"cbvmda:lotNumber": "1"}}, "epcis_ilmd_action", "ilmd"),
        (
            {"type": "AggregationEvent", "epcList": None, "action": "ADD", "childEPCs": [BOX]},
            "epcis_parent_missing",
            "parentID",
        ),
        (
            {"type": "AggregationEvent", "epcList": None, "action": "ADD", "parentID": BOX},
            "epcis_children_missing",
            "childEPCs",
        ),
        (
            {
                "type": "AggregationEvent",
                "epcList": None,
                "action": "ADD",
                "parentID": BOX,
                "childEPCs": [BOX],
            },
            "epcis_parent_inside",
            "childEPCs/0",
        ),
        (
            {"type": "TransformationEvent", "epcList": None, "action": None, "inputEPCList": [BOX]},
            "epcis_transformation_side",
            "outputEPCList",
        ),
        ({"type": "TransactionEvent"}, "epcis_field_missing", "bizTransactionList"),
        ({"type": "MadeUpEvent"}, "epcis_event_type", "type"),
        (
            {"persistentDisposition": {"set": ["active"], "unset": ["active"]}},
            "epcis_persistent_both",
            "persistentDisposition",
        ),
        ({"persistentDisposition": {"unset": 7}}, "epcis_field_form", "persistentDisposition/unset"),
        (
            {"quantityList": [{"epcClass": BOX[:41], "quantity": None}]},
            "epcis_number_form",
            "quantityList/0/quantity",
        ),
        (
            {"quantityList": [{"epcClass": BOX[:41], "quantity": 2, "uom": None}]},
            "epcis_uom_form",
            "quantityList/0/uom",
        ),
        (
            {"sensorElementList": [{"sensorMetadata": None, "sensorReport": [{"type": "Temperature"}]}]},
            "epcis_field_form",
            "sensorElementList/0/sensorMetadata",
        ),
        (
            {"sensorElementList": [{"sensorReport": [{"type": "Temperature", "stringValue": 7}]}]},
            "epcis_field_form",
            "sensorElementList/0/sensorReport/0/stringValue",
        ),
    ],
)
def test_each_mistake_is_named_with_its_field(fields: dict[str, Any], code: str, where: str) -> None:
    assert (code, where) in said(**fields)


def test_an_event_without_anything_in_it_is_told() -> None:
    (one,) = reading_json.document(orjson.dumps(document({}))).events
    assert [(f.code, f.where) for f in check(one)] == [("epcis_field_missing", "type")]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("/note", "x"),
        ("/sender", 7),
        ("/epcisBody/note", "x"),
        ("/schemaVersion", "1.2"),
        ("/creationDate", "today"),
    ],
)
def test_what_is_wrong_with_the_document_itself_is_named(where: str, value: object) -> None:
    doc = document(event(action="OBSERVE", epcList=[BOX]))
    inside: Any = doc
    *path, name = where[1:].split("/")
    for step in path:
        inside = inside[step]
    inside[name] = value
    with pytest.raises(YaosuError) as refused:
        reading_json.document(orjson.dumps(doc))
    assert [f.where for f in refused.value.findings] == [where]


def test_the_answer_to_a_query_may_lack_version_and_time() -> None:
    doc = document(event(action="OBSERVE", epcList=[BOX]))
    events = doc.pop("epcisBody")
    del doc["schemaVersion"], doc["creationDate"]
    answer = {"queryResults": {"queryName": "q", "resultsBody": events}}
    found = reading_json.document(orjson.dumps({**doc, "type": "EPCISQueryDocument", "epcisBody": answer}))
    assert (len(found.events), found.version, found.created_at) == (1, "2.0", None)


def test_words_of_the_example_scheme_and_rules_in_reports_are_taken() -> None:
    report = {"type": "Temperature", "value": 1, "component": "example:x", "bizRules": "https://a.example/r"}
    assert said(sensorElementList=[{"sensorReport": [report]}]) == []


def test_words_of_an_own_declared_namespace_are_taken() -> None:
    doc = document(
        event(action="OBSERVE", bizStep="acme:sending", epcList=[BOX], **{"acme:note": "x"}),
        acme="https://acme.example/voc/",
    )
    (one,) = reading_json.document(orjson.dumps(doc)).events
    assert check(one) == []
    assert one.body["bizStep"] == "https://acme.example/voc/sending"


def test_a_circle_of_packages_in_one_document_is_found() -> None:
    other = BOX[:-1] + "B"
    pack = {"type": "AggregationEvent", "action": "ADD"}
    found = cycles(
        [
            (0, {**pack, "parentID": BOX, "childEPCs": [other]}),
            (1, {**pack, "parentID": other, "childEPCs": [BOX]}),
        ]
    )
    assert list(found) == [1]


XML = """<?xml version="1.0"?>{doctype}
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:{n}" schemaVersion="{version}" xmlns:e="https://e.example/"
  creationDate="2024-01-01T00:00:00Z"><EPCISBody><EventList>{events}</EventList></EPCISBody></epcis:EPCISDocument>"""
OBJECT = """<ObjectEvent><eventTime>2024-01-01T10:00:00.000+08:00</eventTime>
  <eventTimeZoneOffset>+08:00</eventTimeZoneOffset><epcList><epc>urn:epc:id:sgtin:6901234.001001.A</epc></epcList>
  <action>OBSERVE</action><bizStep>urn:epcglobal:cbv:bizstep:shipping</bizStep>{more}<e:note>n</e:note></ObjectEvent>"""
SIDES = """<sourceList>
  <source type="urn:epcglobal:cbv:sdt:owning_party">urn:epc:id:pgln:6901234.00001</source></sourceList>
  <destinationList><destination type="urn:epcglobal:cbv:sdt:owning_party">urn:epc:id:pgln:6901234.00002</destination>
  </destinationList>"""


def test_xml_of_1_2_and_2_0_and_json_are_the_same_event() -> None:
    old = XML.format(
        doctype="", n=1, version="1.2", events=OBJECT.format(more=f"<extension>{SIDES}</extension>")
    )
    new = XML.format(doctype="<!DOCTYPE project>", n=2, version="2.0", events=OBJECT.format(more=SIDES))
    plain = document(
        {
            "type": "ObjectEvent",
            "eventTime": "2024-01-01T02:00:00Z",
            "eventTimeZoneOffset": "+08:00",
            "epcList": ["https://shop.example/01/06901234010015/21/A?17=280131"],
            "action": "OBSERVE",
            "bizStep": "cbv:BizStep-shipping",
            "sourceList": [{"type": "owning_party", "source": "https://id.gs1.org/417/6901234000016"}],
            "destinationList": [
                {"type": "owning_party", "destination": "https://id.gs1.org/417/6901234000023"}
            ],
            "f:note": "n",
        },
        f="https://e.example/",
    )
    ids = set()
    for read in (
        reading_xml.document(old.encode()),
        reading_xml.document(new.encode()),
        reading_json.document(orjson.dumps(plain)),
    ):
        (one,) = read.events
        assert check(one) == []
        ids.add(hash_id(one.body, one.prefixes))
    assert len(ids) == 1


@pytest.mark.parametrize(
    "text",
    [
        XML.format(doctype='<!DOCTYPE a [<!ENTITY x "y">]>', n=2, version="2.0", events=""),
        XML.format(doctype='<!DOCTYPE a SYSTEM "http://evil.example/a.dtd">', n=2, version="2.0", events=""),
        "<a>" * 100,
        XML.format(doctype="", n=3, version="2.0", events=""),
        XML.format(doctype="", n=2, version="1.2", events=""),
    ],
)
def test_hostile_or_foreign_xml_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(YaosuError) as refused:
        reading_xml.document(text.encode())
    assert refused.value.findings[0].where


def test_deep_or_huge_json_is_refused() -> None:
    deep: Any = "x"
    for _ in range(60):
        deep = {"yaosu:a": deep}
    for bad in (document(event(action="OBSERVE", epcList=[BOX], **{"yaosu:d": deep})),):
        with pytest.raises(YaosuError):
            reading_json.document(orjson.dumps(bad))
    with pytest.raises(YaosuError):
        reading_json.document(b"[" * 100_000)


def test_event_hashes_agree_with_the_published_generator() -> None:
    """Vectors made with epcis-event-hash-generator 1.9.3 (PyPI, MIT) from documents of our own."""
    vectors = orjson.loads((Path(__file__).parent / "hash_vectors.json").read_bytes())
    assert len(vectors) >= 5
    for one in vectors:
        read = reading_json.document(orjson.dumps(one["document"]))
        for found, expected in zip(read.events, one["hashes"], strict=True):
            assert check(found) == []
            assert hash_id(found.body, found.prefixes) == expected


@pytest.mark.parametrize(
    ("given", "hashed"),
    [
        ("2026-03-01T10:00:00+08:00", "2026-03-01T02:00:00.000Z"),
        ("2026-03-01T10:00:00.0004999Z", "2026-03-01T10:00:00.000Z"),
        ("2026-03-01T10:00:00.0005Z", "2026-03-01T10:00:00.001Z"),
        ("2026-03-01T10:00:00.0025Z", "2026-03-01T10:00:00.003Z"),
        ("2026-03-01T23:59:59.9995Z", "2026-03-02T00:00:00.000Z"),
    ],
)
def test_the_fourth_decimal_of_a_time_rounds_its_hash(given: str, hashed: str) -> None:
    body = {"type": "ObjectEvent", "eventTime": given, "eventTimeZoneOffset": "+00:00"}
    assert f"eventTime={hashed}eventTimeZoneOffset" in pre_hash(body, {})


def test_patterns_are_hashed_as_the_class_that_they_name() -> None:
    named = {
        "urn:epc:idpat:sgtin:4054739.099914.*": "/01/04054739999148",
        "urn:epc:idpat:grai:4012345.66666.*": "/8003/04012345666663",
        "urn:epc:idpat:gdti:4012345.55555.*": "/253/4012345555554",
        "urn:epc:idpat:sgcn:4012345.99999.*": "/255/4012345999990",
        "urn:epc:idpat:cpi:4012345.ABC.*": "/8010/4012345ABC",
        "urn:epc:idpat:itip:4012345.012345.01.02.*": "/8006/040123451234560102",
        "urn:epc:idpat:upui:4054739.099914.*": "/01/04054739999148",
    }
    for urn, link in named.items():
        body = {"type": "ObjectEvent", "quantityList": [{"epcClass": urn}]}
        assert pre_hash(body, {}).endswith(f"epcClass=https://id.gs1.org{link}"), urn
    for open_wide in (
        "urn:epc:idpat:grai:4012345.*.*",
        "urn:epc:idpat:sscc:4012345.*",
        "urn:epc:idpat:giai:4012345.*",
    ):
        body = {"type": "ObjectEvent", "quantityList": [{"epcClass": open_wide}]}
        assert pre_hash(body, {}).endswith(f"epcClass={open_wide}")


def test_fields_are_hashed_in_the_order_of_the_table() -> None:
    body = {
        "type": "TransactionEvent",
        "eventTime": "2026-03-01T10:00:00Z",
        "parentID": "urn:epc:id:sscc:6901234.0000000001",
        "epcList": ["urn:epc:id:sgtin:6901234.001001.A1"],
        "destinationList": [{"type": "owning_party", "destination": "urn:epc:id:pgln:6901234.00001"}],
        "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:6901234.00002"}],
        "bizTransactionList": [{"type": "po", "bizTransaction": "urn:x:1"}],
    }
    text = pre_hash(body, {})
    places = [
        text.index(k) for k in ("epcList", "parentID", "bizTransactionList", "sourceList", "destinationList")
    ]
    assert places == sorted(places)
