"""What only the right organisation, and only a second person, may do: tried by everybody else (R-C3, R-B5, R-E6).

Each attempt is answered with a refusal and leaves the record as it was.
"""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import httpx
import psycopg
import pytest
from PIL import Image

from access.helpers import PASSWORD
from hostile.rooms import picture
from hostile.world import World, counts


def _state(world: World, query: str, *values: object) -> Any:
    with psycopg.connect(world.database) as conn:
        return conn.execute(query, values).fetchone()


def _act(world: World) -> int:
    return int(world.ids["number"][-1])


def test_whoever_prepared_an_act_does_not_confirm_it_by_session_by_password_or_by_key(world: World) -> None:
    path = f"/api/v1/narcotics/acts/{_act(world)}/confirm"
    own = {"login": world.logins["hospital"], "password": PASSWORD}
    with world.person("hospital") as client:
        for body in ({}, own):
            answer = client.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "confirm_other_person"), answer.text
    with world.client("hospital") as client:
        answer = client.post(path, json={})
        assert answer.status_code in (403, 422), answer.text
        answer = client.post(path, json=own)
        assert answer.json()["code"] == "confirm_other_person", answer.text
    assert _state(world, "SELECT state FROM narcotic_act WHERE id = %s", _act(world)) == ("waiting",)


@pytest.mark.parametrize("who", ["wholesaler", "pharmacy", "regulator", "operator"])
def test_an_account_of_another_organisation_is_no_second_person(world: World, who: str) -> None:
    path = f"/api/v1/narcotics/acts/{_act(world)}/confirm"
    with world.person("hospital") as client:
        answer = client.post(path, json={"login": world.logins[who], "password": PASSWORD})
        unknown = client.post(path, json={"login": "nobody.qzx", "password": PASSWORD})
    assert 400 <= answer.status_code < 500
    assert answer.json() == unknown.json(), "the answer tells that the account exists"
    with world.person(who) as client:
        assert client.post(path, json={}).status_code in (403, 404, 422)
    assert _state(world, "SELECT state FROM narcotic_act WHERE id = %s", _act(world)) == ("waiting",)


def test_a_stranger_draws_loads_counts_and_unblocks_no_pool(world: World) -> None:
    pool = f"/api/v1/dispensing/pools/{world.ids['pool_id'][0]}"
    box = world.more["ordinary"].boxes_of(0)[0]
    drug = world.market.drug_id
    tries: dict[str, dict[str, Any]] = {
        "draw": {"number": "X-1", "drug_id": drug, "units": 1},
        "load": {"number": "X-2", "codes": [box]},
        "unload": {"codes": [box]},
        "count": {"number": "X-3", "reason": "清点", "counts": [{"code": box, "units": 0}]},
        "returns": {"number": "X-4", "lines": [{"code": box, "units": 1}]},
        "unblock": {},
    }
    before = counts(world.database)
    for caller in ("pharmacy", "wholesaler", "maker", "outsider"):
        with world.client(caller) as client:
            for what, body in tries.items():
                for owner in ({}, {"owner": world.market.hospital}):
                    answer = client.post(f"{pool}/{what}", json={**body, **owner})
                    assert answer.status_code in (403, 404, 422), (caller, what, answer.text)
                    assert box not in answer.text or answer.status_code == 422
    assert counts(world.database) == before


def _recall(world: World) -> int:
    return int(world.ids["order_id"][0])


def test_a_recall_is_approved_by_somebody_else_of_its_firm_and_published_by_nobody_else(world: World) -> None:
    number = _recall(world)
    for caller in ("wholesaler", "other", "pharmacy", "outsider"):
        with world.person(caller) as client:
            for step in ("approve", "publish", "cancel", "finish"):
                answer = client.post(f"/api/v1/recalls/{number}/{step}", json={"reason": "x"})
                assert answer.status_code in (403, 404, 409, 415, 422), (caller, step, answer.text)
                assert answer.json()["code"] != "recall_wrong_state", "tells a stranger the state of a draft"
    assert _state(world, "SELECT state FROM recall_order WHERE id = %s", number) == ("draft",)
    body = {
        "drug_id": world.market.drug_id,
        "level": 3,
        "title": "召回",
        "reason": "原因",
        "contact": "联系人",
        "batches": [world.goods.batch_no],
    }
    with world.client("wholesaler") as client:
        assert client.post("/api/v1/recalls", json=body).status_code in (403, 404, 422)
    with world.client("maker") as client:
        # a key is no second person, not even for what another account drafted
        answer = client.post(f"/api/v1/recalls/{number}/approve")
        assert (answer.status_code, answer.json()["code"]) == (403, "recall_second_person"), answer.text
    with world.person("maker") as client:
        drafted = client.post("/api/v1/recalls", json=body)
        assert drafted.status_code == 201, drafted.text
        answer = client.post(f"/api/v1/recalls/{drafted.json()['id']}/approve")
        assert answer.json()["code"] == "recall_second_person", answer.text
        assert client.post(f"/api/v1/recalls/{drafted.json()['id']}/publish").status_code == 409


def test_a_stop_is_lifted_by_whoever_placed_it_and_nobody_else(world: World) -> None:
    number = world.ids["lock_id"][0]
    for caller in ("maker", "pharmacy", "other", "outsider", "regulator"):
        with world.client(caller) as client:
            answer = client.post(f"/api/v1/locks/{number}/release", json={"reason": "解除停售"})
            assert answer.status_code in (403, 404), (caller, answer.text)
    for caller in ("pharmacy", "other", "outsider"):
        with world.client(caller) as client:
            case = world.ids["case_id"][0]
            for what in ("suspension", "suspension/lift"):
                answer = client.post(f"/api/v1/exceptions/{case}/{what}", json={"reason": "解除停售"})
                assert answer.status_code in (403, 404), (caller, answer.text)
    assert _state(world, "SELECT released_at FROM goods_lock WHERE id = %s", number) == (None,)


def test_a_program_does_not_sign_approve_or_acknowledge_for_people(world: World) -> None:
    ids = world.ids
    with world.client("wholesaler") as client:
        document = f"/api/v1/quality/documents/{ids['document_id'][0]}"
        for path, body in (
            (document + "/approve", {"effective_on": "2099-01-01"}),
            (document + "/acknowledge", None),
            (f"/api/v1/quality/self-checks/{ids['table_id'][0]}/sign", {"name": "李建国"}),
        ):
            answer = client.post(path, json=body)
            assert answer.status_code == 403, (path, answer.text)


def test_a_document_is_not_approved_by_whoever_wrote_it(world: World) -> None:
    path = f"/api/v1/quality/documents/{world.ids['document_id'][0]}/approve"
    with world.person("wholesaler") as client:
        answer = client.post(path, json={"effective_on": "2099-01-01"})
    assert answer.json()["code"] == "quality_document_self", answer.text


PICTURE = picture()


def _bomb() -> bytes:
    """A PNG of a few bytes that says it is 30,000 by 30,000 pixels."""
    body = zlib.compress(b"\0" * 3_000_000)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


UPLOADS = {
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "HTML": b"<html><script>alert(1)</script>",
    "GIF": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "bomb": _bomb(),
    "cut off": PICTURE[: len(PICTURE) // 2],
    "nothing": b"",
    "text chunk bomb": PICTURE[:33]
    + struct.pack(">I", 60)
    + b"zTXt"
    + zlib.compress(b"\0" * 60_000)[:60]
    + b"\0\0\0\0",
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_what_is_no_picture_is_refused_as_evidence_and_memory_stays_flat(world: World, kind: str) -> None:
    case = world.ids["case_id"][0]
    before = world.memory_peak_mb()
    with world.client("wholesaler") as client:
        answer = client.post(
            f"/api/v1/exceptions/{case}/photos",
            content=UPLOADS[kind],
            headers={"content-type": "image/png"},
        )
    assert answer.status_code in (400, 413, 415, 422), answer.text
    assert world.memory_peak_mb() - before < 150


def test_nothing_but_the_pixels_of_a_picture_is_kept(world: World) -> None:
    case = world.ids["case_id"][0]
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "<script>qzx-exif</script>"
    Image.new("RGB", (9, 9), "red").save(out, "JPEG", exif=exif)
    both = out.getvalue() + b"PK\x03\x04<html><script>qzx-tail</script>"
    with world.client("wholesaler") as client:
        sent = client.post(
            f"/api/v1/exceptions/{case}/photos", content=both, headers={"content-type": "image/jpeg"}
        )
        assert sent.status_code < 300, sent.text
        number = max(photo["id"] for photo in sent.json()["photos"])
        shown = client.get(f"/api/v1/exceptions/{case}/photos/{number}")
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert b"qzx-" not in shown.content and b"PK\x03\x04" not in shown.content


@pytest.mark.parametrize("kind", ["SVG", "HTML", "GIF", "nothing"])
def test_a_proof_is_a_document_or_a_picture_and_never_opens_in_the_page(world: World, kind: str) -> None:
    with world.client("pharmacy") as client:
        answer = client.post(
            "/api/v1/uncoded/proofs", files={"file": ("invoice.png", UPLOADS[kind], "image/png")}
        )
        assert answer.status_code in (400, 413, 415, 422), answer.text
        kept = client.get(f"/api/v1/uncoded/proofs/{world.ids['proof_id'][0]}")
    assert kept.headers["content-disposition"].startswith("attachment")
    assert kept.headers["x-content-type-options"] == "nosniff"


INSIDE = (
    "https://127.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1]/",
    "https://localhost/",
    "https://localhost.localdomain/",
    "https://0.0.0.0/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "http://8.8.8.8/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
)


@pytest.mark.parametrize("url", INSIDE)
def test_no_webhook_leads_inside(world: World, url: str) -> None:
    with world.client("maker") as client:
        answer = client.post("/api/v1/webhooks", json={"url": url, "kinds": []})
    assert answer.status_code == 422, answer.text


def test_a_test_delivery_to_an_address_inside_is_not_sent(world: World) -> None:
    """The address was put into the table behind the service's back; it is looked at again whenever it is called."""
    seen: list[httpx.Response] = []
    with world.client("wholesaler") as client:
        hook = world.ids["webhook_id"][0]
        assert client.post(f"/api/v1/webhooks/{hook}/test").status_code < 300
        until = time.monotonic() + 90
        while not seen or time.monotonic() < until:
            seen.append(client.get(f"/api/v1/webhooks/{hook}/deliveries"))
            items = seen[-1].json()["items"]
            if items and items[0]["attempts"]:
                break
            time.sleep(0.2)
    items = seen[-1].json()["items"]
    assert items and items[0]["attempts"], seen[-1].text
    assert items[0]["state"] != "sent", items[0]
