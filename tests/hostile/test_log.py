"""Nobody learns a secret, a person or a package's code from the log (design §6, R-X5)."""

from __future__ import annotations

import io
import json
import logging as standard
import re
import time
from typing import Any

import asyncpg
import pytest
import structlog

from access.helpers import PASSWORD
from hostile.world import SECRET, World, body_of, operations
from yaosu.edge import logging

PERSON = "张小凡"
CARD = "370102199001011234"
PHONE = "13812345678"


def _hostile_run(world: World, schema: dict[str, Any]) -> None:
    """Requests of every kind with secrets and persons in every place they could come from."""
    with world.client() as anybody:
        anybody.post("/login", data={"login": PHONE, "password": PASSWORD})
        anybody.post("/api/v1/sessions", json={"login": PERSON, "password": PASSWORD})
        anybody.get(
            f"/api/v1/me?token={PASSWORD}", headers={"authorization": "Bearer yk_aaaaaaaa_" + "B" * 43}
        )
        anybody.get(
            f"/q/{world.goods.boxes[0]}?name={PERSON}&card={CARD}",
            headers={"cookie": f"yaosu_session={'c' * 43}"},
        )
    with world.client(
        "maker", headers={"user-agent": f"agent {PHONE}", "referer": f"http://x/{CARD}"}
    ) as client:
        for method, path, operation in operations(schema):
            filled = re.sub(r"\{\w+\}", CARD, path)
            media, body = body_of(schema, operation)
            if isinstance(body, dict):
                body = {**body, "patient": PERSON, "phone": PHONE, "id_card": CARD, "password": PASSWORD}
            client.request(method, f"{filled}?name={PERSON}&id_card={CARD}", json=body)
            client.request(
                method,
                filled,
                content=f"{PERSON}{CARD}".encode(),
                headers={"content-type": media or "text/plain"},
            )
        for code in world.goods.boxes[:3]:
            client.get(f"/api/v1/codes/{code}")
            client.get(f"/api/v1/codes/{code}/history")


def test_the_log_of_a_hostile_run_holds_no_secret_no_person_and_no_code(
    world: World, schema: dict[str, Any]
) -> None:
    _hostile_run(world, schema)
    lines = world.lines()
    assert len(lines) > 100
    text = world.log.read_text("utf-8")
    secrets = [
        PASSWORD,
        PERSON,
        CARD,
        PHONE,
        SECRET,
        *world.keys.values(),
        *world.goods.boxes,
        *world.goods.cases,
    ]
    assert [s for s in secrets if s in text] == []
    assert not re.search(r"yk_[a-z0-9]{8}_[A-Za-z0-9_-]{20,}", text)
    assert "c" * 43 not in text
    every = [line for line in text.splitlines() if line.strip()]
    assert [line for line in every if not line.startswith("{")] == [], "something is written past the log"


def test_every_request_leaves_one_line_that_says_who_what_and_how_long(world: World) -> None:
    with world.client("maker") as client:
        answer = client.get(f"/api/v1/codes/{world.goods.boxes[0]}")
    # the server, a process of its own, writes the line when the answer has left
    found: list[dict[str, Any]] = []
    until = time.monotonic() + 60
    while not found and time.monotonic() < until:
        found = [line for line in world.lines() if line.get("id") == answer.headers["x-request-id"]]
        time.sleep(0.02)
    assert len(found) == 1
    line = found[0]
    assert (line["status"], line["method"], line["org"], line["by"]) == (
        200,
        "GET",
        world.market.maker,
        "key",
    )
    assert line["route"] == "/api/v1/codes/{code}"
    assert line["ms"] > 0


@pytest.fixture
def written() -> Any:
    """The log of this process as a list of lines, put back afterwards."""
    before, root = structlog.get_config(), standard.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logging.configure("info", json=True, stream=stream)
    yield lambda: [json.loads(row) for row in stream.getvalue().splitlines()]
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_values_under_telling_names_are_hidden_at_any_depth(written: Any) -> None:
    structlog.get_logger("t1").info(
        "x", password="a", api_key="b", detail={"phone": PHONE, "n": 1}, org=7, count=3
    )
    (line,) = written()
    assert (line["password"], line["api_key"], line["detail"]) == (
        "[hidden]",
        "[hidden]",
        {"phone": "[hidden]", "n": 1},
    )
    assert (line["org"], line["count"], line["level"], line["event"]) == (7, 3, "info", "x")


def test_keys_and_long_numbers_in_texts_are_cut_out(written: Any) -> None:
    structlog.get_logger("t2").warning(f"gone {CARD}", reason="yk_abcdefgh_" + "Z" * 43 + f" of {PHONE}")
    (line,) = written()
    assert line["event"] == "gone …"
    assert line["reason"] == "yk_… of …"


def test_a_database_error_tells_its_state_and_place_and_not_the_row(written: Any) -> None:
    error = asyncpg.UniqueViolationError(
        f'duplicate key value violates unique constraint "org_uscc"\nDETAIL: {CARD}'
    )
    error.detail = f"Key (name)=({PERSON}) already exists."
    try:
        raise error
    except asyncpg.UniqueViolationError as caught:
        structlog.get_logger("t3").error("unhandled", incident="12345678", exc_info=caught)
    (line,) = written()
    (told,) = line["exception"]
    assert told["sqlstate"] == "23505"
    assert told["type"].endswith("UniqueViolationError")
    assert told["at"][-1].startswith("test_log.py:")
    assert line["incident"] == "12345678"
    assert PERSON not in json.dumps(line, ensure_ascii=False)
    assert CARD not in json.dumps(line)


def test_what_libraries_say_passes_the_same_nets(written: Any) -> None:
    try:
        raise ValueError(f"bad row for '{PERSON}' {CARD}")
    except ValueError:
        standard.getLogger("uvicorn.error").exception("failed for %s", PHONE)
    (line,) = written()
    assert line["event"] == "failed for …"
    assert line["logger"] == "uvicorn.error"
    assert line["exception"][0]["message"] == "bad row for … …"


def test_a_level_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        logging.configure("loud")
