"""The API document: every operation says what it does, shows what it takes and gives, and names what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from hostile.world import body_of, operations, resolved

PUBLIC = Path(__file__).parents[1] / "access" / "public_operations.txt"
PROBLEM = "application/problem+json"
TEXT_MIN = 5


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    """The document as served."""
    found: dict[str, Any] = (await client.get("/api/v1/openapi.json")).json()
    return found


def _shows_itself(document: dict[str, Any], part: Any, depth: int = 0) -> bool:
    """Whether an example can be read off a schema: one of its own, or of each field it needs."""
    part = resolved(document, part)
    if not isinstance(part, dict) or depth > 6:
        return True
    if any(key in part for key in ("example", "examples", "default", "const", "enum")):
        return True
    for kind in ("anyOf", "oneOf", "allOf"):
        if kind in part:
            return any(_shows_itself(document, one, depth + 1) for one in part[kind])
    if "properties" in part:
        return all(
            _shows_itself(document, field, depth + 1)
            for name, field in part["properties"].items()
            if name in part.get("required", ())
        )
    if part.get("type") == "array":
        return _shows_itself(document, part.get("items", {}), depth + 1)
    # numbers, truth values and dates show themselves by their type; a bare text does not
    return part.get("type") != "string" or "format" in part or "pattern" in part


def _example(document: dict[str, Any], media: dict[str, Any]) -> bool:
    if "example" in media or media.get("examples"):
        return True
    schema = resolved(document, media.get("schema", {}))
    return bool(schema) and _shows_itself(document, schema)


async def test_every_operation_has_a_summary_and_a_description(document: dict[str, Any]) -> None:
    bare = [
        f"{method} {path}"
        for method, path, operation in operations(document)
        if len(operation.get("summary", "")) < TEXT_MIN or len(operation.get("description", "")) < TEXT_MIN
    ]
    assert bare == []


async def test_summaries_tell_operations_apart(document: dict[str, Any]) -> None:
    seen: dict[str, str] = {}
    double = {}
    for method, path, operation in operations(document):
        name = f"{method} {path}"
        if operation["summary"] in seen:
            double[name] = seen[operation["summary"]]
        seen[operation["summary"]] = name
    assert double == {}


async def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    bare = []
    for method, path, operation in operations(document):
        for kind, media in operation.get("requestBody", {}).get("content", {}).items():
            # raw files are shown by the data sets they follow, not by an example of their bytes
            if kind == "application/json" and not _example(document, media):
                schema = resolved(document, media.get("schema", {}))
                if schema.get("properties"):
                    bare.append(f"{method} {path}")
    assert bare == []


async def test_every_success_has_an_example(document: dict[str, Any]) -> None:
    bare = []
    for method, path, operation in operations(document):
        good = {s: a for s, a in operation["responses"].items() if s.startswith("2")}
        assert good, f"{method} {path} documents no success"
        for status, answer in good.items():
            json = answer.get("content", {}).get("application/json")
            if json is not None and not _example(document, json):
                bare.append(f"{method} {path} {status}")
            assert status == "204" or answer.get("content"), (
                f"{method} {path} {status} says nothing of its content"
            )
    assert bare == []


async def test_every_refusal_is_documented_with_an_example_of_each_code(document: dict[str, Any]) -> None:
    public = {row.partition("|")[0].strip() for row in PUBLIC.read_text("utf-8").splitlines()}
    for method, path, operation in operations(document):
        answers, name = operation["responses"], f"{method} {path}"
        assert name in public or "401" in answers, name
        assert "403" in answers or name in public or method == "GET", name
        if "{" in path:
            assert "404" in answers, name
        if operation.get("parameters") or operation.get("requestBody"):
            assert "422" in answers, name
        if operation.get("requestBody"):
            assert {"400", "413"} <= set(answers), name
        for status, answer in answers.items():
            if status < "400":
                continue
            assert answer["description"], f"{name} {status}"
            media = answer["content"][PROBLEM]
            assert media["schema"] == {"$ref": "#/components/schemas/Problem"}, f"{name} {status}"
            for code, example in media["examples"].items():
                assert example["value"]["code"] == code
                assert example["value"]["message"], f"{name} {code}"


async def test_examples_fit_their_own_schema(document: dict[str, Any]) -> None:
    """A reader who copies an example gets past the form of it."""
    wrong = {}
    for method, path, operation in operations(document):
        kind, body = body_of(document, operation)
        media = operation.get("requestBody", {}).get("content", {}).get(kind, {})
        parts = (
            [(f"{method} {path} request", media.get("schema"), body)] if kind == "application/json" else []
        )
        for status, answer in operation["responses"].items():
            json = answer.get("content", {}).get("application/json", {})
            if "example" in json and status.startswith("2"):
                parts.append((f"{method} {path} {status}", json.get("schema"), json["example"]))
        for name, schema, example in parts:
            whole = {**(schema or {}), "components": document["components"]}
            errors = [e.message[:200] for e in jsonschema_rs.validator_for(whole).iter_errors(example)]
            if errors:
                wrong[name] = errors
    assert wrong == {}
