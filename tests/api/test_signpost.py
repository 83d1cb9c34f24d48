"""The signpost finds the very routes that the ordinary search finds, and leaves the rest to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Match

from yaosu.api.app import create_app
from yaosu.api.signpost import FOUND, Signpost, head
from yaosu.settings import Settings


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application, not started."""
    folder: Path = tmp_path_factory.mktemp("signpost")
    return create_app(Settings(folder, "postgresql://nowhere/none", "127.0.0.1", 1, "http://x"), "")


def _scope(path: str, method: str) -> dict[str, Any]:
    return {"type": "http", "path": path, "method": method, "headers": [], "root_path": ""}


def _searched(app: FastAPI, scope: dict[str, Any]) -> BaseRoute | None:
    return next((r for r in app.router.routes[1:] if r.matches(scope)[0] is Match.FULL), None)


def _example(path: str) -> str:
    """A path with something in the place of its parameters."""
    out = ""
    while path:
        fixed, _, rest = path.partition("{")
        out += fixed
        inner, _, path = rest.partition("}")
        if inner:
            out += "7" if not inner.endswith(":path") else "7/8"
    return out


def test_every_route_is_found_by_both(app: FastAPI) -> None:
    post = app.router.routes[0]
    assert isinstance(post, Signpost)
    count = 0
    for route in iter_route_contexts(app.router.routes[1:]):
        for method in sorted(route.methods or {"GET"}):
            scope = _scope(_example(route.path or "/"), method)
            searched = _searched(app, scope)
            match, child = post.matches(scope)
            assert child.get(FOUND) is searched, (method, scope["path"])
            assert (match is Match.FULL) is (searched is not None)
            count += 1
    assert count > 600


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/movements/7/lines", "/api/v1/movements"),
        ("/router/rest", "/router"),
        ("/router/rest/", "/router"),
        ("/", "/"),
        ("/api/v1", "/api/v1"),
        ("/static/x/y.css", "/static"),
    ],
)
def test_a_head_is_what_tells_routers_apart(path: str, expected: str) -> None:
    assert head(path) == expected


async def test_what_it_does_not_know_is_answered_as_ever(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere/at/all")).status_code == 404
    wrong = await client.put("/router/rest")
    assert wrong.status_code == 405
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "POST"}
    assert (await client.get("/api/v1/health")).status_code == 200
