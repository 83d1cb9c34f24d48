"""The reference says everything the server can do and say, in both languages, to anybody (R-I1, R-X1)."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from yaosu.api.openapi_view import common_refusals, groups, made_up
from yaosu.api.reference import ACCEPTED, GROUPS_ZH, REFUSED, codes_by_room
from yaosu.console.help_pages import duties, roles
from yaosu.errors import registry

SOURCE = Path(__file__).parents[2] / "src" / "yaosu"
PUBLIC = Path(__file__).parents[1] / "access" / "public_operations.txt"
AS_RECEIVED = {"/api/v1/bills/{bill_id}/submission"}
"""Answers with whatever was put in: there is no form to show."""
WORDS = ("药溯", "进销存")
"""Names that stay Chinese in English."""
CHINESE = re.compile(r"[㐀-鿿]")


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/api/v1/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


def words_of(*files: str) -> set[str]:
    """Registered codes that stand as texts in the source of these files."""
    known, said = set(registry()), set()
    for file in files:
        for node in ast.walk(ast.parse((SOURCE / file).read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    return known & said


async def test_anybody_can_read_the_reference_and_nothing_in_it_is_inline(client: httpx.AsyncClient) -> None:
    page = await client.get("/api/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "<style" not in page.text
    assert not re.search(r"\s(?:style|on[a-z]+)=\"", page.text)


async def test_every_operation_is_in_it_with_a_request_and_an_answer(client: httpx.AsyncClient) -> None:
    doc = await document(client)
    page = (await client.get("/api/docs")).text
    found = [op for group in groups(doc, "http://test") for op in group.operations]
    stated = [(m.upper(), p) for p, item in doc["paths"].items() for m in item]
    assert sorted((op.method, op.path) for op in found) == sorted(stated)
    for op in found:
        assert f'id="{op.id}"' in page, op.path
        assert op.curl.startswith("curl") and "{" not in op.curl, op.path
        if (
            op.method in ("POST", "PUT", "PATCH")
            and "requestBody" in doc["paths"][op.path][op.method.lower()]
        ):
            assert op.request is not None and op.request.text, op.path
        if op.answer is not None and "json" in op.answer.kind:
            assert op.answer.text not in ("", "null", "{}"), op.path
        elif op.answer is not None and not op.answer.kind:
            assert op.path in AS_RECEIVED
    assert len({op.id for op in found}) == len(found)


async def test_every_group_has_a_chinese_name(client: httpx.AsyncClient) -> None:
    found = groups(await document(client), "http://test")
    assert {g.name for g in found} - set(GROUPS_ZH) == set()


async def test_what_is_marked_public_is_what_access_declares_public(client: httpx.AsyncClient) -> None:
    declared = {
        line.split("|")[0].strip()
        for line in PUBLIC.read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    }
    found = groups(await document(client), "http://test")
    assert {f"{op.method} {op.path}" for g in found for op in g.operations if op.public} == declared


async def test_what_every_operation_may_refuse_with_is_said_once(client: httpx.AsyncClient) -> None:
    found = groups(await document(client), "http://test")
    shared = common_refusals(found)
    assert "internal_error" in {r.code for r in shared}
    assert all(r in op.refusals for g in found for op in g.operations for r in shared)


def test_every_verdict_of_the_judge_is_explained() -> None:
    said = words_of(
        "rules/judge.py",
        "circulation/prepare.py",
        "circulation/late.py",
        "circulation/repeats.py",
        "circulation/holds.py",
    )
    whole = {
        code
        for code in said
        if code in codes_by_room()["circulation"]
        and code in words_of("rules/judge.py", "circulation/late.py", "circulation/repeats.py")
    }
    assert whole - {*ACCEPTED, *REFUSED} == set()
    assert {*ACCEPTED, *REFUSED} - said == set()


async def test_every_code_stands_in_the_page_once(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/docs")).text
    places = re.findall(r'id="code-(\w+)"', page)
    assert sorted(places) == sorted(registry())


async def test_the_english_reference_has_no_chinese_around_the_examples(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/docs?lang=en")).text
    text = re.sub(
        r"<pre.*?</pre>|<td.*?</td>|<p class=\"card-lead\".*?</p>|<a class=\"top-link\".*?</a>",
        "",
        page,
        flags=re.S,
    )
    for word in WORDS:
        text = text.replace(word, "")
    assert [line for line in text.splitlines() if CHINESE.search(line)] == []


def test_an_example_is_made_from_the_examples_of_the_fields() -> None:
    schema = {
        "type": "object",
        "properties": {
            "bill_no": {"type": "string", "examples": ["XS-1"]},
            "codes": {"type": "array", "items": {"$ref": "#/components/schemas/Code"}},
            "to": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]},
            "again": {"$ref": "#/components/schemas/Self"},
        },
    }
    doc = {
        "components": {
            "schemas": {
                "Code": {"type": "string", "default": "83857940000879766660"},
                "Self": {"type": "object", "properties": {"in": {"$ref": "#/components/schemas/Self"}}},
            }
        }
    }
    made = made_up(doc, schema)
    assert made["bill_no"] == "XS-1"
    assert made["codes"] == ["83857940000879766660"]
    assert made["to"] == 3


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("role", list(roles()))
async def test_each_role_finds_its_steps(client: httpx.AsyncClient, role: str, lang: str) -> None:
    page = await client.get(f"/help/{role}?lang={lang}")
    assert page.status_code == 200
    for step in roles()[role]["steps"]:
        assert step[lang] in page.text


async def test_help_for_a_role_that_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/help/smuggler")).status_code == 404


async def test_help_sends_readers_only_to_pages_that_exist(client: httpx.AsyncClient) -> None:
    told = [*roles().values(), *duties().values()]
    places = {step["at"] for entry in told for step in entry["steps"] if "at" in step}
    missing = [p for p in places if (await client.get(p)).status_code == 404]
    assert missing == []


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("duty", list(duties()))
async def test_each_duty_says_what_to_do_and_what_the_scan_means(
    client: httpx.AsyncClient, duty: str, lang: str
) -> None:
    page = html.unescape((await client.get(f"/help/{duty}?lang={lang}")).text)
    for told in (*duties()[duty]["steps"], *duties()[duty].get("verdicts", ())):
        assert told[lang] in page
        assert told[f"text_{lang}"] in page


async def test_a_role_finds_its_duties_and_nobody_elses(client: httpx.AsyncClient) -> None:
    hospital = (await client.get("/help/hospital?lang=zh")).text
    assert 'href="/help/narcotics"' in hospital
    assert 'href="/help/recall_maker"' not in hospital
    assert 'href="/help/narcotics"' not in (await client.get("/help/pharmacy?lang=zh")).text
