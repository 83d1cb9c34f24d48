"""The doors outside /api/v1 under garbage: no failure of ours, nothing told of anybody, and nothing crossed.

Generated from a fixed seed: bodies of each protocol, spoiled in a place or made of nothing; half of them come past the
first look because they are signed by a real key (R-X10).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from exchange.top.client import china_now, signature
from hostile.world import SECRET, World, counts
from yaosu.insurance import envelope
from yaosu.insurance.model import CHINA

CARD = "370102199001011234"
PERSON = "张小凡"
ENTITIES = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'
SCRAPS: tuple[Any, ...] = (
    "", " ", "\x00", "0", "-1", "1e999", "9" * 400, "null", "[]", "{}", "[" * 200, '{"a":' * 200, "<a", "%ff%fe",
    "𠮷" * 50,
    "' OR 1=1 --", "../../etc/passwd", ENTITIES, CARD, PERSON, "2026-02-30 25:61:61", "0001-01-01 00:00:00",
    "9999-12-31 23:59:59", "{{7*7}}", "a" * 9000, "\ud7ff\ufffe",
)  # fmt: skip
METHODS = (
    "alibaba.alihealth.drug.kyt.uploadinoutbill",
    "alibaba.alihealth.drug.kyt.uploadcircubill",
    "alibaba.alihealth.drug.kyt.uploadretail",
    "alibaba.alihealth.drugtrace.top.lsyd.uploadretail",
    "alibaba.alihealth.drugtrace.top.lsyd.query.codedetail",
    "alibaba.alihealth.drugtrace.top.lsyd.query.relation",
    "alibaba.alihealth.drugtrace.top.lsyd.query.upbilldetail",
    "alibaba.alihealth.drugtrace.top.lsyd.listupout.detail",
    "alibaba.alihealth.drugtrace.top.lsyd.query.getentinfo",
    "no.such.method",
)
FIELDS = (
    "bill_code", "bill_time", "bill_type", "physic_type", "ref_user_id", "ref_ent_id", "from_user_id", "to_user_id",
    "oper_ic_code", "oper_ic_name", "client_type", "trace_codes", "file_content", "codes", "code", "des_ref_ent_id",
    "ent_name", "begin_date", "end_date", "page", "page_size", "customer_id", "user_name", "user_tel", "drug_list_json",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def nothing_of_ours_failed(world: World) -> Iterator[None]:
    """After all of them: no incident, and no secret, person or code in the log."""
    before = len(world.incidents())
    yield
    assert world.incidents()[before:] == []
    assert [one for one in world.lines() if one.get("event") == "top_failed"] == []
    text = world.log.read_text("utf-8")
    secrets = [
        str(world.secrets["wholesaler"]["secret"]),
        str(world.secrets["yibao"]["secret"]),
        CARD,
        PERSON,
        SECRET,
    ]
    assert [s for s in [*secrets, *world.keys.values(), *world.goods.boxes] if s in text] == []


def _plain(answer: httpx.Response, what: object) -> None:
    """No failure, no stack, nothing private."""
    assert answer.status_code < 500, (what, answer.status_code, answer.text[:400])
    text = answer.text
    for word in ("Traceback", 'File "/', "asyncpg", "site-packages", SECRET, "root:x:"):
        assert word not in text, (what, word, text[:400])


def _value(world: World, chance: random.Random) -> str:
    real = (
        world.goods.boxes[0], world.goods.cases[0], str(world.ids["bill_id"][0]), f"{SECRET}-201-90", "321", "201",
        china_now(), str(world.secrets["wholesaler"]["ref_ent_id"]), str(world.secrets["pharmacy"]["ref_ent_id"]),
        str(world.secrets["wholesaler"]["ent_id"]), ",".join(world.goods.boxes[:3]),
    )  # fmt: skip
    return str(chance.choice(real if chance.random() < 0.6 else SCRAPS))


def test_the_gateway_answers_every_signed_nonsense_in_its_own_form(world: World) -> None:
    chance, program = random.Random(1), world.secrets["pharmacy"]
    with world.client() as client:
        for turn in range(260):
            how = chance.choice(("md5", "hmac", "hmac-sha256"))
            params = {
                "method": chance.choice(METHODS), "app_key": str(program["app_key"]), "timestamp": china_now(),
                "format": chance.choice(("json", "xml")), "v": "2.0", "sign_method": how,
            }  # fmt: skip
            params |= {name: _value(world, chance) for name in chance.sample(FIELDS, chance.randint(0, 14))}
            for name in ("ref_user_id", "ref_ent_id"):
                if name in params and chance.random() < 0.7:
                    params[name] = str(program["ref_ent_id"])
            if chance.random() < 0.15:
                params[chance.choice(list(params))] = str(chance.choice(SCRAPS))
            if how == params["sign_method"]:
                params["sign"] = signature(params, str(program["secret"]), how)
            if turn % 3:
                answer = client.post("/router/rest", data=params)
            else:
                answer = client.post("/router/rest", files={k: (None, v) for k, v in params.items()})
            _plain(answer, params)
            assert answer.status_code == 200
            told = answer.text
            assert "_response" in told[:300], told[:300]


@pytest.mark.parametrize("path", ["/router/rest", "/top/router/rest"])
def test_the_gateway_bears_what_is_no_form_at_all(world: World, path: str) -> None:
    medias = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data",
              "application/x-www-form-urlencoded;charset=nonsense", "application/json", "text/xml", "")  # fmt: skip
    with world.client() as client:
        for media in medias:
            for scrap in SCRAPS:
                body = str(scrap).encode("utf-8", "surrogatepass")
                headers = {"content-type": media} if media else {}
                _plain(client.post(path, content=body, headers=headers), (media, scrap))
        _plain(client.post(path, content=b"a" * 100, headers={"content-encoding": "gzip"}), "gzip")


def test_a_program_reads_nothing_of_a_firm_it_does_not_act_for(world: World) -> None:
    program, other = world.secrets["pharmacy"], world.secrets["wholesaler"]
    before = counts(world.database)
    with world.client() as client:
        for method in METHODS[:-1]:
            business = dict.fromkeys(FIELDS, "1") | {
                "bill_code": f"{SECRET}-201-90", "bill_time": china_now(), "bill_type": "201",
                "begin_date": "2020-01-01", "end_date": "2030-01-01", "trace_codes": world.goods.boxes[6],
                "code": world.goods.boxes[6], "ref_user_id": str(other["ref_ent_id"]),
                "ref_ent_id": str(other["ref_ent_id"]), "from_user_id": str(other["ent_id"]),
            }  # fmt: skip
            params = {
                "method": method, "app_key": str(program["app_key"]), "timestamp": china_now(), "format": "json",
                "v": "2.0", "sign_method": "md5", **business,
            }  # fmt: skip
            params["sign"] = signature(params, str(program["secret"]), "md5")
            _plain(client.post("/router/rest", data=params), method)
    after = counts(world.database)
    kept = ("audit", "top_refusal", "top_once", "top_call", "code_query")
    assert {t: n for t, n in after.items() if n != before.get(t) and not t.startswith(kept)} == {}


def _events(world: World, chance: random.Random) -> dict[str, Any]:
    event: dict[str, Any] = {
        "type": chance.choice(("ObjectEvent", "AggregationEvent", "TransactionEvent", "AssociationEvent", "X")),
        "eventTime": datetime.now(UTC).isoformat(), "eventTimeZoneOffset": "+08:00",
        "action": chance.choice(("ADD", "OBSERVE", "DELETE")),
        "bizStep": chance.choice(("shipping", "receiving", "commissioning", "packing", "destroying", "dispensing")),
        "epcList": [f"urn:yaosu:code:{chance.choice(world.goods.boxes)}"],
        "destinationList": [{"type": "owning_party", "destination": "urn:yaosu:org:91370102000090011M"}],
    }  # fmt: skip
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(
            (*event, "parentID", "childEPCs", "quantityList", "bizTransactionList", "readPoint", "ilmd", "eventID",
             "errorDeclaration", "sensorElementList", "yaosu:billNo", "yaosu:batches", "persistentDisposition")
        )  # fmt: skip
        scrap = chance.choice(SCRAPS)
        event[name] = chance.choice(
            (scrap, [scrap], {"type": scrap}, [{"epcClass": scrap, "quantity": scrap}], None, 7, [[]], True)
        )
    return event


def test_epcis_refuses_spoiled_documents_and_queries_by_name(world: World) -> None:
    chance = random.Random(2)
    with world.client("outsider") as client:
        for _ in range(70):
            document = {
                "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
                "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": datetime.now(UTC).isoformat(),
                "epcisBody": {"eventList": [_events(world, chance)]},
            }  # fmt: skip
            if chance.random() < 0.3:
                document[chance.choice(list(document))] = chance.choice(SCRAPS)
            body = json.dumps(document).encode()
            _plain(
                client.post("/epcis/capture", content=body, headers={"content-type": "application/json"}),
                document,
            )
            one = json.dumps(_events(world, chance)).encode()
            _plain(
                client.post("/epcis/events", content=one, headers={"content-type": "application/json"}), one
            )
        for media in (
            "application/json",
            "application/ld+json",
            "application/xml",
            "text/xml",
            "text/plain",
            "",
        ):
            for scrap in SCRAPS:
                body = str(scrap).encode("utf-8", "surrogatepass")
                for path in ("/epcis/capture", "/epcis/queries", "/epcis/parties"):
                    call = client.put if path.endswith("parties") else client.post
                    _plain(
                        call(path, content=body, headers={"content-type": media} if media else {}),
                        (path, scrap),
                    )
        for name in (
            "EQ_bizStep",
            "MATCH_epc",
            "GE_eventTime",
            "perPage",
            "nextPageToken",
            "orderBy",
            "EQ_x_y",
            "WD_x",
        ):
            for scrap in SCRAPS[:-1]:
                _plain(client.get("/epcis/events", params={name: scrap[:2000]}), (name, scrap))
        for code in world.goods.boxes[:2]:
            found = client.get("/epcis/events", params={"MATCH_epc": f"urn:yaosu:code:{code}"})
            _plain(found, code)
            assert f"code:{code}" not in found.text.partition("resultsBody")[2], "another firm's goods"


def _institution(world: World) -> tuple[envelope.Head, envelope.Keys]:
    issued = world.secrets["yibao"]
    one = issued.get("institution", issued)
    keys = envelope.Keys(
        str(one["app"]), str(issued["secret"]), bytes.fromhex(issued["private_key"]),
        bytes.fromhex(issued["bureau_key"]),
    )  # fmt: skip
    head = envelope.Head(str(one["code"]), "测试药店", "370102", opter="1001", opter_name="经办")
    return head, keys


def test_the_bureaus_address_answers_signed_nonsense_in_its_own_form(world: World) -> None:
    chance, (head, keys) = random.Random(3), _institution(world)
    fields = ("fixmedins_bchno", "med_list_codg", "drugtracinfo", "sel_retn_cnt", "sel_retn_time", "setl_id", "certno",
              "psn_name", "trdn_flag", "manu_lotnum", "feetracedetail", "feedetl_sn")  # fmt: skip
    nodes = ("selinfo", "selinfoDetail", "purcinfo", "invinfo", "data", "input", "feedetail")
    with world.client() as client:
        for turn in range(90):
            infno = chance.choice(
                (
                    "3501",
                    "3502",
                    "3503",
                    "3504",
                    "3505",
                    "3505A",
                    "3506",
                    "3507",
                    "3513",
                    "2204",
                    "2207",
                    "2208",
                )
            )
            at = datetime.now(CHINA)
            row: Any = {
                name: chance.choice((*SCRAPS, 7, None, [], {}, [{"drug_trac_codg": CARD}])) for name in fields
            }
            row = chance.choice((row, [row], [row, row], "x", 5, None, [[row]]))
            body = chance.choice(({chance.choice(nodes): row}, dict.fromkeys(nodes, row), {}, [], "text"))
            message = envelope.request(head, infno, envelope.msgid(head.fixmedins_code, at, turn), at, body)  # type: ignore[arg-type]
            if chance.random() < 0.3:
                message[chance.choice(list(message))] = chance.choice(SCRAPS)
            try:
                sealed = envelope.seal(message, keys, "SM2")
                raw = json.dumps(sealed).encode()
            except (TypeError, ValueError):
                continue
            answer = client.post(
                f"/fsi/api/rsfComIfsService/callService/{infno}",
                content=raw,
                headers={"content-type": "application/json"},
            )
            _plain(answer, message)
            assert answer.status_code == 200 and "infcode" in answer.json(), answer.text[:300]
            assert CARD not in answer.text and PERSON not in answer.text
        for scrap in SCRAPS:
            body = str(scrap).encode("utf-8", "surrogatepass")
            _plain(client.post("/mbs/fmi/fsi/api/callFsiService/callService", content=body), scrap)


@pytest.mark.parametrize(
    "path",
    [
        "/xietong/exchange",
        "/xietong/mailbox",
        "/jianguan/v1/events",
        "/jianguan/v1/reconcile",
        "/jianguan/v1/feed",
    ],
)
def test_machines_that_are_not_registered_get_a_refusal_and_nothing_else(world: World, path: str) -> None:
    chance = random.Random(4)
    names = ("app_id", "process_id", "event_id", "event_type", "sub_type", "data", "sign", "timestamp", "head", "body",
             "version", "source_id", "request_id", "signature", "sign_type", "cursor")  # fmt: skip
    before = counts(world.database)
    with world.client() as client:
        for turn in range(60):
            made: dict[str, Any] = {}
            for name in chance.sample(names, chance.randint(0, len(names))):
                scrap = chance.choice(SCRAPS)
                made[name] = chance.choice(
                    (scrap, {"version": "1.0", "source_id": scrap, "sign": scrap}, [scrap], 7, None)
                )
            if turn % 4:
                answer = client.post(path, json=made)
            else:
                answer = client.post(path, data={k: str(v) for k, v in made.items()})
            _plain(answer, made)
            assert '"success":true' not in answer.text.replace(" ", ""), made
        for scrap in SCRAPS:
            body = str(scrap).encode("utf-8", "surrogatepass")
            _plain(client.post(path, content=body, headers={"content-type": "application/json"}), scrap)
    after = counts(world.database)
    assert {t: n for t, n in after.items() if n != before.get(t) and t != "audit"} == {}


@pytest.mark.parametrize("path", ["/xietong/resolve", "/xietong/code"])
def test_resolving_bears_any_text(world: World, path: str) -> None:
    with world.client() as client:
        for scrap in SCRAPS[:-1]:
            for name in ("code", "prefix", "q"):
                _plain(client.get(path, params={name: scrap[:3000]}), (name, scrap))
