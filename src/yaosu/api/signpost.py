"""Finds the router of a request by the head of its path, before all routers are tried one after the other.

FastAPI tries every route of every router in turn: with several hundred that is a millisecond a request, more than a
sale takes. The signpost stands first and tries, in the same order, only the routers that have a route under this head.
What it does not find for certain (nothing there, another method) is left to the ordinary search, which also says why.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

FOUND = "yaosu.signpost"
API_SEGMENTS, SEGMENTS = 3, 1
"""Segments of a head: `/api/v1/movements`, else `/router`."""


def head(path: str) -> str:
    """The part of a path by which routers are told apart."""
    count = API_SEGMENTS if path.startswith("/api/") else SEGMENTS
    return "/".join(path.split("/", count + 1)[: count + 1])


class Signpost(BaseRoute):
    """The first route of an application; `routes` are those behind it, in order."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._by_head: dict[str, list[BaseRoute]] = {}
        heads = [_heads(route) for route in routes]
        named = {one for found in heads if found is not None for one in found}
        self._elsewhere = [r for r, found in zip(routes, heads, strict=True) if found is None]
        for one in named:
            self._by_head[one] = [
                r for r, found in zip(routes, heads, strict=True) if found is None or one in found
            ]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """A full match, or none: then the ordinary search goes on."""
        if scope["type"] != "http" or scope.get("root_path"):
            return Match.NONE, {}
        for route in self._by_head.get(head(scope["path"]), self._elsewhere):
            match, child = route.matches(scope)
            if match is Match.FULL:
                return match, {**child, FOUND: route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the router found."""
        route: BaseRoute = scope.pop(FOUND)
        await route.handle(scope, receive, send)


def _heads(route: BaseRoute) -> frozenset[str] | None:
    """Heads of all paths of a route or router; None when some path has no fixed one."""
    found = set()
    for one in iter_route_contexts([route]):
        if one.path is None or "{" in head(one.path):
            return None
        found.add(head(one.path))
    return frozenset(found)
