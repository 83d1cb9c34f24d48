"""The list of duties is complete, and everything it refers to is there (R-A1 … R-I3, R-X1 … R-X13).

What it says to an inspector is only worth something when the page opens, the operation answers and the test exists.
"""

from __future__ import annotations

import ast
import html
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from access.helpers import PASSWORD, make_account, make_org
from yaosu.cli import main as cli
from yaosu.console.compliance import STATES, document, register
from yaosu.console.compliance_pages import anchor
from yaosu.db.engine import Pool

ROOT = Path(__file__).parents[2]
HTML = {"accept": "text/html"}
LAST = {"A": 9, "B": 10, "C": 9, "D": 1, "E": 6, "F": 7, "G": 1, "H": 1, "I": 3, "X": 13}
"""Letter of a group of requirements → its last number; the ids are stable and have no gaps."""


@cache
def names_of_tests(file: str) -> frozenset[str]:
    """The test functions of a file."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, kinds) and n.name.startswith("test_"))


def commands() -> set[str]:
    """Every command of `yaosu`, as words."""
    cli._mount()
    found = set()

    def walk(command: Any, words: list[str]) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found.add(" ".join(words))
        for name, child in (inner or {}).items():
            walk(child, [*words, name])

    walk(typer.main.get_command(cli.app), [])
    return found


def test_every_requirement_is_in_the_list_once_and_in_order() -> None:
    wanted = [f"R-{letter}{n}" for letter, last in LAST.items() for n in range(1, last + 1)]
    assert [duty.id for duty in register().duties] == wanted
    text = (ROOT / "src/yaosu/console/compliance.yaml").read_text("utf-8")
    keys = re.findall(r"^  (R-\w+):", text, re.M)
    assert len(keys) == len(set(keys)), "a key written twice would silently win"


def test_every_entry_says_what_it_must_in_both_languages() -> None:
    known = register()
    for duty in known.duties:
        assert duty.duty.zh and duty.duty.en and duty.roles, duty.id
        assert set(duty.roles) <= set(known.roles), duty.id
        assert duty.state in STATES, duty.id
        named = set(re.findall(r"\b[A-Z]{2}\d{2}\b", duty.source))
        assert named <= set(known.sources) and (named or duty.source == "own"), duty.id
        assert (duty.source == "own") == (duty.group == "X"), duty.id


def test_what_is_not_done_says_what_is_missing_and_what_is_done_has_its_proof() -> None:
    for duty in register().duties:
        assert bool(duty.gap.zh) == bool(duty.gap.en) == (duty.state != "done"), duty.id
        assert bool(duty.note.zh) == bool(duty.note.en), duty.id
        if duty.state == "done":
            assert duty.pages and duty.api and duty.tests, duty.id
        if duty.state == "partly":
            assert duty.tests, duty.id


def test_every_test_document_and_command_named_exists() -> None:
    known, wrong = commands(), []
    for duty in register().duties:
        for reference in duty.tests:
            file, _, name = reference.partition("::")
            if not (ROOT / file).is_file() or (name and name not in names_of_tests(file)):
                wrong.append(f"{duty.id}: {reference}")
        wrong += [f"{duty.id}: {doc}" for doc in duty.docs if not (ROOT / doc).is_file()]
        wrong += [f"{duty.id}: yaosu {command}" for command in duty.cli if command not in known]
    assert wrong == []


async def test_every_operation_named_exists_and_has_its_place_in_the_reference(
    client: httpx.AsyncClient,
) -> None:
    paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
    there = {f"{m.upper()} {path.removeprefix('/api/v1')}" for path, item in paths.items() for m in item}
    named = {operation for duty in register().duties for operation in duty.api}
    assert sorted(named - there) == []
    places = set(re.findall(r' id="([^"]+)"', (await client.get("/api/docs")).text))
    assert [o for o in sorted(named) if html.unescape(anchor(o)).partition("#")[2] not in places] == []


def test_the_document_is_what_the_list_says() -> None:
    written = (ROOT / "docs" / "compliance.md").read_text("utf-8")
    assert written == document(), "run `python tools/compliance.py`"


async def test_a_stranger_is_sent_to_sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/compliance", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/compliance")


WHO = [(1, "admin"), (2, "warehouse"), (3, "admin"), (4, "sales"), (5, "admin"), (110, "regulator")]


@pytest.mark.parametrize(("kind", "role"), [*WHO, (0, "operator")])
async def test_every_page_linked_for_a_reader_opens_for_that_reader(
    pool: Pool, client: httpx.AsyncClient, kind: int, role: str
) -> None:
    async with pool.acquire() as conn:
        org = await make_org(conn, kind) if kind else None
        _, login = await make_account(conn, org, role)
    client.cookies.clear()
    await client.post("/login", data={"login": login, "password": PASSWORD}, headers=HTML)
    page = await client.get("/compliance", headers=HTML)
    assert page.status_code == 200
    assert len(re.findall(r'<tr id="R-', page.text)) == len(register().duties)
    places = "".join(re.findall(r'<p class="compliance-places">(.*?)</p>', page.text, re.S))
    links = {html.unescape(href) for href in re.findall(r'<a [^>]*href="([^"]+)"', places)}
    assert links, "nothing to open"
    opened = {link: (await client.get(link, headers=HTML)).status_code for link in sorted(links)}
    assert {link: status for link, status in opened.items() if status not in (200, 303)} == {}
    client.cookies.clear()


async def test_every_page_named_opens_for_somebody(pool: Pool, client: httpx.AsyncClient) -> None:
    left = {page for duty in register().duties for page in duty.pages}
    for kind in (1, 2, 3, 4, 110):
        async with pool.acquire() as conn:
            role = "regulator_admin" if kind == 110 else "admin"
            _, login = await make_account(conn, await make_org(conn, kind), role)
        client.cookies.clear()
        await client.post("/login", data={"login": login, "password": PASSWORD}, headers=HTML)
        for page in sorted(left):
            if (await client.get(page, headers=HTML)).status_code == 200:
                left.discard(page)
    client.cookies.clear()
    assert sorted(left) == []


async def test_the_list_is_filtered_by_role_and_state(pool: Pool, client: httpx.AsyncClient) -> None:
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn, 4), "sales")
    client.cookies.clear()
    await client.post("/login", data={"login": login, "password": PASSWORD}, headers=HTML)
    page = (await client.get("/compliance?role=insurer&state=planned", headers=HTML)).text
    assert re.findall(r'<tr id="(R-\w+)"', page) == ["R-F7"]
    assert "尚未建成" in page
    wrong = await client.get("/compliance?role=nobody", headers=HTML)
    assert wrong.status_code == 422
    seen = (await client.get("/compliance?role=consumer", headers=HTML)).text
    assert {"R-G1", "R-A4"} <= set(re.findall(r'<tr id="(R-\w+)"', seen)) and 'id="R-A1"' not in seen
    client.cookies.clear()
