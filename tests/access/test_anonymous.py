"""Default deny: every operation of every room's API refuses a caller who is nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from access.helpers import make_key, make_org
from yaosu.db.engine import Pool

PUBLIC = Path(__file__).parent / "public_operations.txt"
METHODS = {"get", "put", "post", "patch", "delete", "head", "options"}


def _public() -> dict[str, str]:
    rows = {}
    for line in PUBLIC.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition("|")
            rows[name.strip()] = reason.strip()
    return rows


async def _operations(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    schema = (await client.get("/api/v1/openapi.json")).json()
    return {
        f"{method.upper()} {path}": operation
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def _filled(path: str, operation: dict[str, Any]) -> str:
    """The path with a value of the right type for every parameter."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            kinds = parameter["schema"]
            value = "1" if kinds.get("type") == "integer" else "00000000-0000-4000-8000-000000000001"
            path = path.replace("{" + parameter["name"] + "}", value)
    return path


async def test_every_operation_refuses_a_caller_who_is_nobody(client: httpx.AsyncClient) -> None:
    operations, public = await _operations(client), _public()
    open_doors = {}
    for name, operation in operations.items():
        if name in public:
            continue
        method, path = name.split(" ", 1)
        body = {} if method in ("POST", "PUT", "PATCH") else None
        answer = await client.request(method, _filled(path, operation), json=body)
        if answer.status_code != 401 or answer.json()["code"] != "unauthenticated":
            open_doors[name] = answer.status_code
    assert not open_doors, f"answered without sign-in (declare `CurrentSubject` first): {open_doors}"
    assert len(operations) > len(public)


async def test_every_operation_refuses_a_bad_key_the_public_ones_too(client: httpx.AsyncClient) -> None:
    headers = {"authorization": "Bearer yk_aaaaaaaa_" + "A" * 43}
    for name, operation in (await _operations(client)).items():
        method, path = name.split(" ", 1)
        answer = await client.request(method, _filled(path, operation), headers=headers)
        assert (name, answer.status_code) == (name, 401)


async def test_a_key_without_permissions_changes_nothing(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.acquire() as conn:
        headers = {"authorization": f"Bearer {await make_key(conn, await make_org(conn), [])}"}
    public = _public()
    let_through = {}
    for name, operation in (await _operations(client)).items():
        method, path = name.split(" ", 1)
        if method == "GET" or name in public:
            continue
        answer = await client.request(method, _filled(path, operation), headers=headers, json={})
        if answer.status_code < 400 or answer.status_code >= 500:
            let_through[name] = answer.status_code
    assert not let_through


async def test_the_list_of_public_operations_names_only_what_exists_and_says_why(
    client: httpx.AsyncClient,
) -> None:
    operations = await _operations(client)
    assert [name for name, reason in _public().items() if name not in operations or not reason] == []


async def test_every_operation_of_access_is_described_with_an_example(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/api/v1/openapi.json")).json()
    for name, operation in (await _operations(client)).items():
        if "access" not in operation.get("tags", []):
            continue
        assert operation["summary"] and operation["description"], name
        if name not in _public():
            assert "401" in operation["responses"], name
        for status, answer in operation["responses"].items():
            for kind in answer.get("content", {}).values():
                reference = kind.get("schema", {}).get("$ref", "").rpartition("/")[2]
                if status in ("200", "201"):
                    fields = schema["components"]["schemas"][reference]["properties"]
                    assert all("examples" in f or "items" in f or "$ref" in f for f in fields.values()), name
