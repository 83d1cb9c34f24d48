"""What arrives on the wire: bodies of 100 MB, lengths that lie, requests that never end, headers that smuggle."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hostile.world import World, counts

MB = 1 << 20


def _raw(world: World, request: bytes, wait: float = 60.0, then: bytes = b"", pause: float = 0.0) -> bytes:
    """Everything the server says to these bytes until it closes or falls silent."""
    where = urlsplit(world.base)
    with socket.create_connection((where.hostname, where.port), timeout=wait) as wire:
        wire.sendall(request)
        if then:
            time.sleep(pause)
            wire.sendall(then)
        wire.settimeout(wait)
        said = b""
        try:
            while piece := wire.recv(65536):
                said += piece
                if b"\r\n\r\n" in said and b"findings" in said:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return said


def _head(world: World, method: str, path: str, *headers: str, caller: str = "maker") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {world.keys[caller]}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _pieces(megabytes: int) -> Iterator[bytes]:
    for _ in range(megabytes):
        yield b" " * MB


BIG = ("/api/v1/movements", "/api/v1/orgs", "/api/v1/relations", "/api/v1/imports/products", "/login")


@pytest.mark.parametrize("path", BIG)
def test_a_body_of_100_mb_is_refused_by_its_announced_length_before_it_is_sent(
    world: World, path: str
) -> None:
    before = counts(world.database)
    announced = _head(world, "POST", path, "Content-Type: application/json", f"Content-Length: {100 * MB}")
    said = _raw(world, announced)
    # not one byte of the body was sent: an answer at all is one that did not wait for it
    assert said.startswith(b"HTTP/1.1 413"), said[:200]
    assert "64 MB" in said.decode()
    assert counts(world.database) == before


@pytest.mark.parametrize("path", BIG)
def test_a_body_of_100_mb_without_a_length_is_refused_while_it_streams_and_memory_stays_bounded(
    world: World, path: str
) -> None:
    before = counts(world.database)
    peak = world.memory_peak_mb()
    with world.client("maker") as client:
        try:
            answer = client.post(path, content=_pieces(100), headers={"content-type": "application/json"})
        except Exception as error:  # the server may close while we are still sending
            assert "Error" in type(error).__name__
        else:
            # an operation that takes another content type refuses without reading any of it
            assert answer.status_code in ((413,) if path in BIG[:3] else (401, 413, 415, 422))
            assert answer.status_code != 413 or "64 MB" in answer.text
    assert world.memory_peak_mb() - peak < 200
    after = counts(world.database)
    # a failed sign-in is put on record, which is as it should be
    assert {t for t in after if after[t] != before[t]} <= ({"audit"} if path == "/login" else set())


def test_many_large_bodies_one_after_another_leave_memory_where_it_was(world: World) -> None:
    with world.client("maker") as client:
        for turn in range(6):
            client.post(
                "/api/v1/movements", content=b" " * (30 * MB), headers={"content-type": "application/json"}
            )
            if turn == 1:
                peak = world.memory_peak_mb()
    assert world.memory_peak_mb() - peak < 120


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: -1",
        "Content-Length: 1e3",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
    ],
)
def test_a_length_that_makes_no_sense_is_refused_and_the_connection_ends(world: World, header: str) -> None:
    before = counts(world.database)
    said = _raw(
        world,
        _head(world, "POST", "/api/v1/movements", "Content-Type: application/json", header) + b"12345",
        3,
    )
    assert said == b"" or said.startswith(b"HTTP/1.1 4"), said[:200]
    assert counts(world.database) == before


def test_a_body_shorter_than_announced_changes_nothing(world: World) -> None:
    before = counts(world.database)
    body = json.dumps({"agent": world.market.hospital}).encode()
    head = _head(
        world,
        "POST",
        "/api/v1/delegations",
        "Content-Type: application/json",
        f"Content-Length: {len(body) + 10}",
    )
    said = _raw(world, head + body, wait=1.5)
    assert b" 200 " not in said
    time.sleep(0.3)
    assert counts(world.database) == before


def test_what_follows_the_announced_length_is_not_part_of_the_body(world: World) -> None:
    body = b'{"codes": ["1"]}'
    head = _head(
        world,
        "POST",
        "/api/v1/codes/verify",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    said = _raw(world, head + body + b"garbage\r\n\r\n")
    assert said.count(b"HTTP/1.1 200") <= 1
    assert b"HTTP/1.1 400" in said


def test_slow_senders_do_not_keep_others_from_being_served(world: World) -> None:
    """Fifty bodies that never finish hold no database connection and no thread."""
    where = urlsplit(world.base)
    wires = []
    try:
        for turn in range(50):
            path = ("/api/v1/movements", "/api/v1/delegations", "/api/v1/relations", "/api/v1/orgs")[turn % 4]
            wire = socket.create_connection((where.hostname, where.port), timeout=60)
            wire.sendall(
                _head(world, "POST", path, "Content-Type: application/json", "Content-Length: 1000")
                + b'{"type": '
            )
            wires.append(wire)
        time.sleep(0.5)
        for wire in wires:
            wire.sendall(b" ")
        started = time.monotonic()
        with world.client("maker") as client:
            assert client.get("/api/v1/bills").status_code == 200
            assert client.get("/api/v1/products").status_code == 200
        # far below the time for which a sender is waited for
        assert time.monotonic() - started < 30
    finally:
        for wire in wires:
            wire.close()


def test_a_truncated_gzip_is_refused(world: World) -> None:
    before = counts(world.database)
    packed = gzip.compress(b"<Document>" + b"<Events/>" * 10_000 + b"</Document>")
    with world.client("maker") as client:
        for body in (packed[: len(packed) // 2], packed[:12], packed[:-4], b"\x1f\x8b" + b"\xff" * 100):
            answer = client.post(
                "/api/v1/relations?dry_run=true",
                content=body,
                headers={"content-type": "application/octet-stream"},
            )
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.json()["message"]
    assert counts(world.database) == before


def test_a_body_that_says_it_is_compressed_is_not_taken_for_json(world: World) -> None:
    body = gzip.compress(b'{"agent": 1}')
    with world.client("maker") as client:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        answer = client.post("/api/v1/delegations", content=body, headers=headers)
    assert answer.status_code in (400, 415)


PATHS = [
    "/static/../../settings.py",
    "/static/..%2f..%2fsettings.py",
    "/static/%2e%2e/%2e%2e/settings.py",
    "/static/....//....//settings.py",
    "/static/..%5c..%5csettings.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/dist/../../../settings.py",
    "/static/%00",
    "/static/dist%00.css",
    "/api/v1/uploads/..%2f..%2fmaster.key",
    "/api/v1/uploads/../../master.key",
    "/api/v1/jobs/%2e%2e%2f",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_folder(world: World, path: str) -> None:
    said = _raw(world, _head(world, "GET", path, "Connection: close"))
    status = int(said.split(b" ", 2)[1])
    assert 400 <= status < 500, said[:200]
    assert b"class Settings" not in said
    assert b"root:" not in said


def test_names_of_uploads_are_never_used_as_paths(world: World) -> None:
    folder = world.log.parent
    names = [
        "../../../evil.xml",
        "/tmp/evil.xml",
        "..\\..\\evil.xml",
        "C:\\evil.xml",
        "a/../../evil.xml",
        "~/evil.xml",
    ]
    before = {str(p) for p in Path(folder).rglob("*evil*")}
    with world.client("maker") as client:
        for name in names:
            begun = client.post("/api/v1/uploads", json={"name": name, "size": 4, "purpose": "relation"})
            if begun.status_code == 201:
                number = begun.json()["id"]
                headers = {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
                assert (
                    client.patch(f"/api/v1/uploads/{number}", content=b"evil", headers=headers).status_code
                    == 200
                )
                client.delete(f"/api/v1/uploads/{number}")
            else:
                assert begun.status_code == 422
    assert {str(p) for p in Path(folder).rglob("*evil*")} == before


SPLITS = ["a\r\nX-Evil: 1", "a%0d%0aX-Evil: 1", 'a"; filename="evil.exe', "a\nSet-Cookie: x=1", "报表\u2028x"]


@pytest.mark.parametrize("text", SPLITS)
def test_no_text_of_a_caller_becomes_a_header(world: World, text: str) -> None:
    """Asked through every place whose value comes back in a header: file names and redirects."""
    with world.client("maker") as client:
        answers = [
            client.get("/api/v1/exports/products", params={"format": "csv", "name": text}),
            client.get("/login", params={"next": text}),
            client.get("/lang/en", params={"next": "/" + text}),
            client.get(
                f"/api/v1/batches/{world.market.drug_id}/{world.goods.batch_no}/where",
                params={"format": text},
            ),
            client.get(
                "/api/v1/me",
                headers={"x-request-id": text.encode("utf-8").replace(b"\r", b"").replace(b"\n", b"")},
            ),
        ]
    for answer in answers:
        assert answer.status_code < 500
        assert "x-evil" not in answer.headers
        assert "x=1" not in answer.headers.get("set-cookie", "")
        assert "evil" not in answer.headers.get("content-disposition", "").lower()


ELSEWHERE = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%2f/evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    " //evil.example",
    "/.//evil.example",
    "/login/..//evil.example",
    "http:evil.example",
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_signing_in_and_changing_language_lead_nowhere_else(world: World, target: str) -> None:
    with world.client() as client:
        page = client.get("/login", params={"next": target})
        sent = client.get("/lang/zh", params={"next": target})
    assert page.status_code == 200
    assert "evil.example" not in page.text or 'value="/' in page.text
    leads = sent.headers["location"]
    assert leads.startswith("/") and not leads.startswith(("//", "/\\", "/\t")), leads
