"""Somebody's number and name stand nowhere in the open: not in tables, submissions, logs, refusals or exports (R-C2).

The world sold to a person, wrote a prescription for them and prepared a dispensing before these tests look.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.string import ByteaBinaryLoader

from hostile.rooms import PATIENT, PATIENT_NUMBER, picture
from hostile.world import World, operations
from people.helpers import card
from yaosu.people.free_text import holds_citizen

DOTTED = f"{PATIENT_NUMBER[:6]} {PATIENT_NUMBER[6:14]} {PATIENT_NUMBER[14:]}"
WIDE = PATIENT_NUMBER.translate(str.maketrans("0123456789", "０１２３４５６７８９"))


def _kept(database: str) -> bytes:
    """Every row of every table, with bytes as they are and unpacked where they are packed."""
    found = []
    with psycopg.connect(database) as conn:
        # moments without end cannot be read as such; nobody hides a number in one
        conn.adapters.register_loader("timestamptz", ByteaBinaryLoader)
        tables = conn.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            for row in conn.execute(f"SELECT * FROM {table}", binary=True):
                for value in row:
                    if isinstance(value, (bytes, memoryview)):
                        plain = bytes(value)
                        found.append(plain)
                        try:
                            found.append(zlib.decompress(plain))
                        except zlib.error:
                            continue
                    elif value is not None:
                        found.append(str(value).encode())
    return b"\n".join(found)


def _traces(kept: bytes) -> list[str]:
    wanted = (PATIENT_NUMBER, PATIENT, "13700000001", DOTTED)
    return [text for text in wanted if text.encode() in kept or text.encode().hex().encode() in kept]


def test_a_buyer_and_a_patient_stand_in_no_table_no_submission_and_no_log(world: World) -> None:
    kept = _kept(world.database)
    assert world.more["listed"].boxes[0].encode() in kept, "the search does see what is kept"
    assert _traces(kept) == []
    assert _traces(world.log.read_bytes()) == []


def _texts(world: World) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Free texts of every room, each in an otherwise good body, with somebody's number in them."""
    said = f"顾客证件{PATIENT_NUMBER}已核对"
    market, ids = world.market, world.ids
    when = "2026-02-01T10:00:00+08:00"
    bill = {"type": 201, "bill_no": "PD-1", "happened_at": when, "to_org": market.other}
    codes = world.goods.cases[-1:]
    drug = {"drug_id": market.drug_id}
    case = f"/exceptions/{ids['case_id'][0]}"
    return {
        "bill header": ("maker", "/movements", {**bill, "codes": codes, "header": {"reason_text": said}}),
        "name of a header": ("maker", "/movements", {**bill, "codes": codes, "header": {said: "1"}}),
        "bill number": ("maker", "/movements", {**bill, "codes": codes, "bill_no": f"CF-{PATIENT_NUMBER}"}),
        "sale": (
            "pharmacy",
            "/dispensing/sales",
            {
                "type": 321,
                "bill_no": "PD-2",
                "happened_at": when,
                "codes": world.more["listed"].boxes[1:2],
                "header": {"memo": DOTTED},
            },
        ),
        "message of a case": ("maker", case + "/messages", {"text": said}),
        "wide digits": ("maker", case + "/messages", {"text": f"号码{WIDE}。"}),
        "note of a case": (
            "wholesaler",
            "/exceptions",
            {"kind": "damaged", "bill_id": ids["bill_id"][0], "goods": [{**drug, "qty": 1}], "note": said},
        ),
        "clue": ("wholesaler", "/quality/clues", {"kind": "resale", "title": "甲", "text": said}),
        "title of a clue": ("wholesaler", "/quality/clues", {"kind": "resale", "title": said, "text": "甲"}),
        "answer to a finding": ("maker", f"/quality/findings/{ids['finding_id'][0]}/answer", {"text": said}),
        "lock": (
            "maker",
            "/locks",
            {"kind": "lock", **drug, "codes": world.goods.boxes[:1], "reason": "quality", "reason_text": said},
        ),
        "recall": (
            "maker",
            "/recalls",
            {**drug, "level": 2, "title": "召回", "reason": said, "contact": "x", "batches": [world.goods.batch_no]},
        ),
        "split dispensing": (
            "hospital",
            "/dispensing/split",
            {
                "number": "PD-3",
                "lines": [
                    {"code": world.more["ordinary"].boxes_of(1)[1], "units": 1, "prescription_no": PATIENT_NUMBER}
                ],
            },
        ),
        "draw from a pool": (
            "hospital",
            f"/dispensing/pools/{ids['pool_id'][0]}/draw",
            {"number": "PD-4", **drug, "units": 1, "prescription_no": PATIENT_NUMBER},
        ),
        "request for codes": ("pharmacy", "/uncoded/requests", {"lot_id": ids["lot_id"][0], "qty": 1, "reason": said}),
        "prescription": (
            "hospital",
            "/narcotics/prescriptions",
            {
                "number": PATIENT_NUMBER,
                "drug_id": world.more["narcotic"].drug_id,
                "case_kind": "ordinary",
                "patient": {"kind": "1", "number": card(), "name": "甲乙"},
                "department": "急诊科",
                "doctor": "医师",
                "diagnosis": said,
                "dose_units": "1",
                "times_per_day": 1,
                "days": 1,
            },
        ),
        "place in the zone": ("pharmacy", f"/uncoded/lots/{ids['lot_id'][0]}/zone", {"zone": said}),
        "who counted": (
            "pharmacy", f"/uncoded/lots/{ids['lot_id'][0]}/counts",
            {"counted": 0, "counter": "甲", "checker": said, "explanation": "清点"},
        ),
        "batch without codes": (
            "pharmacy", "/uncoded/lots",
            {"invoice_no": "1", "invoice_date": "2025-06-12", "supplier_name": "某公司", "zone": "甲",
             "proof_id": ids["proof_id"][0], "items": [{**drug, "batch_no": said, "qty": 1, "zone": DOTTED,
             "produced_on": "2024-05-01", "expires_on": "2059-04-30"}]},
        ),
        "name of a pool": ("hospital", "/dispensing/pools", {"name": said, "kind": "ward"}),
        "second person": ("maker", "/movements", {**bill, "codes": codes, "header": {"second_person": said}}),
        "agent": ("maker", "/movements", {**bill, "codes": codes, "header": {"agent_person": PATIENT_NUMBER}}),
        "codes of a clue": (
            "wholesaler", "/quality/clues", {"kind": "resale", "title": "甲", "text": "甲", "codes": [said]}
        ),
        "number of a stock count": ("maker", "/counts", {"bill_no": said, "codes": ["1"], **drug}),
        "name of a place": ("hospital", "/places", {"name": said, "sub_type": 3904}),
        "address of a place": ("hospital", "/places", {"name": "三病区", "sub_type": 3904, "address": said}),
        "name of a group": ("hospital", "/groups", {"name": said, "kind": "county"}),
    }  # fmt: skip


KINDS = (
    "bill header", "name of a header", "bill number", "sale", "message of a case", "wide digits",
    "note of a case", "clue", "title of a clue", "answer to a finding", "lock", "recall", "split dispensing",
    "draw from a pool", "request for codes", "prescription", "place in the zone", "who counted",
    "batch without codes", "name of a pool", "second person", "agent", "codes of a clue", "number of a stock count",
    "name of a place", "address of a place", "name of a group",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_citizens_number_in_a_free_text_is_refused_without_being_repeated(world: World, kind: str) -> None:
    caller, path, body = _texts(world)[kind]
    with world.client(caller) as client:
        for lang in ("zh", "en"):
            answer = client.post(f"/api/v1{path}?lang={lang}", json=body)
            assert answer.status_code == 422, answer.text
            codes = {one["code"] for one in answer.json()["findings"]}
            assert codes & {"personal_in_text", "personal_in_header"}, answer.text
            assert PATIENT_NUMBER not in answer.text and WIDE not in answer.text and DOTTED not in answer.text


PEOPLES_TEXTS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "department": ("wholesaler", "POST", "/quality/documents", {"kind": "trace_system", "number": "N-1", "title": "甲",
                                                               "content": "# 甲", "department": "{said}"}),
    "responsible": ("wholesaler", "POST", "/quality/documents", {"kind": "trace_system", "number": "N-2", "title": "甲",
                                                                "content": "# 甲", "responsible": "{said}"}),
    "note of a change": ("wholesaler", "PUT", "/quality/documents/{document_id}/draft", {"content": "# 甲",
                                                                                        "change_note": "{said}"}),
    "shift": ("hospital", "POST", "/narcotics/counts", {"shift": "{said}",
                                                        "items": [{"drug_id": 1, "batch_id": 1, "units": 0}]}),
}  # fmt: skip


@pytest.mark.parametrize("kind", PEOPLES_TEXTS)
def test_nor_may_it_stand_in_what_only_people_write(world: World, kind: str) -> None:
    caller, method, path, body = PEOPLES_TEXTS[kind]
    path = path.replace("{document_id}", str(world.ids["document_id"][0]))
    filled = {
        k: v.replace("{said}", f"证件{PATIENT_NUMBER}") if isinstance(v, str) else v for k, v in body.items()
    }
    if "items" in body:
        filled["items"] = [{**body["items"][0], "drug_id": world.more["narcotic"].drug_id}]
    with world.person(caller) as client:
        answer = client.request(method, f"/api/v1{path}", json=filled)
    assert answer.status_code == 422, answer.text
    assert "personal_in_text" in {one["code"] for one in answer.json()["findings"]}, answer.text


def test_a_card_read_into_a_list_of_codes_and_a_file_named_after_somebody_keep_no_number(
    world: World,
) -> None:
    """A scan is never refused for what was scanned, nor a file for its name: the number is not kept."""
    with world.client("maker") as client:
        for code in (PATIENT_NUMBER, f"证件{PATIENT_NUMBER}"):
            assert client.post("/api/v1/quality/counts", json={"codes": [code]}).status_code == 201
            count = {"bill_no": f"PD-{len(code)}", "codes": [code], "drug_id": world.market.drug_id}
            assert client.post("/api/v1/counts", json=count).status_code == 200
    with world.client("pharmacy") as client:
        named = {"file": (f"{PATIENT}{PATIENT_NUMBER}.png", picture() + b"x", "image/png")}
        assert client.post("/api/v1/uncoded/proofs", files=named).status_code == 201


def test_after_all_of_that_no_table_and_no_log_holds_the_number(world: World) -> None:
    assert _traces(_kept(world.database)) == []
    assert _traces(world.log.read_bytes()) == []


@pytest.mark.parametrize("agent", ["9" * 40, "-1", "１２", "", "x", 10**30, True, None])
def test_an_agent_who_is_no_number_of_ours_is_a_refusal_and_no_failure(world: World, agent: Any) -> None:
    body = {
        "type": 321,
        "bill_no": "AG-1",
        "happened_at": "2026-02-01T10:00:00+08:00",
        "codes": world.more["listed"].boxes[3:4],
        "header": {"agent_person": agent},
    }
    with world.client("pharmacy") as client:
        answer = client.post("/api/v1/movements", json=body)
    assert answer.status_code in (200, 422), answer.text
    assert not world.incidents()


@pytest.mark.parametrize(
    "text",
    [
        "83857930000000065569",
        "91370102000000011K",
        "JD-20260930-0001-000000000123456789",
        PATIENT_NUMBER[:-1] + ("0" if PATIENT_NUMBER[-1] != "0" else "1"),
        f"8{PATIENT_NUMBER}",
        "2026-09-30 10:00:00 2026-10-01 11:00:00",
    ],
)
def test_trace_codes_bill_numbers_and_credit_codes_are_nobodys_number(text: str) -> None:
    assert not holds_citizen(text)


def _opened(content: bytes) -> bytes:
    """A file's text, also of a zipped one (XLSX, DOCX)."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return b"\n".join(packed.read(name) for name in packed.namelist())
    return content


@pytest.mark.parametrize("caller", ["pharmacy", "hospital", "maker", "wholesaler", "regulator", "operator"])
def test_no_answer_and_no_file_shows_a_person_in_full(
    world: World, schema: dict[str, Any], caller: str
) -> None:
    """Every reading operation in every format it has; seeing somebody in full takes a reason, and none is given."""
    wrong: dict[str, list[str]] = {}

    def look(where: str, answer: httpx.Response) -> None:
        found = _traces(_opened(answer.content))
        if found:
            wrong[where] = found

    with world.client(caller) as client:
        for method, path, operation in operations(schema):
            if method != "GET":
                continue
            names = re.findall(r"\{(\w+)\}", path)
            values = world.ids.get(names[0], [1]) if names else [None]
            for value in values:
                one = path if value is None else path.replace("{" + names[0] + "}", str(value))
                for name in names[1:]:
                    one = one.replace("{" + name + "}", str((world.ids.get(name) or [1])[0]))
                look(one, client.get(one))
                if any(p["name"] == "format" for p in operation.get("parameters", ())):
                    for form in ("csv", "xlsx", "pdf", "docx"):
                        look(f"{one} {form}", client.get(one, params={"format": form}))
        asked = {"document": {"kind": "1", "number": PATIENT_NUMBER}}
        for body in ({}, asked):
            look("search", client.post("/api/v1/dispensing/register/search", json=body))
            for form in ("xlsx", "pdf"):
                look(form, client.post("/api/v1/dispensing/register/file", json={**body, "format": form}))
    assert not wrong


PAGES = {
    "message of a case": ("wholesaler", "/exceptions/{case_id}/say", {"text": "{said}"}),
    "clue": ("wholesaler", "/quality/clues", {"kind": "resale", "title": "甲", "text": "{said}"}),
    "finding": ("maker", "/quality/findings/{finding_id}", {"act": "answer", "text": "{said}"}),
    "document": ("wholesaler", "/quality/documents/{document_id}", {"act": "save", "content": "{said}"}),
}


@pytest.mark.parametrize("kind", PAGES)
def test_a_form_with_a_citizens_number_comes_back_with_the_reason_and_not_as_a_failure(
    world: World, kind: str
) -> None:
    caller, path, fields = PAGES[kind]
    for name, values in world.ids.items():
        path = path.replace("{" + name + "}", str(values[0]))
    said = f"证件{PATIENT_NUMBER}"
    with world.person(caller) as client:
        data = {name: text.replace("{said}", said) for name, text in fields.items()}
        answer = client.post(path, data=data, headers={"accept": "text/html"})
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert _traces(_kept(world.database)) == []
    assert _traces(world.log.read_bytes()) == []
