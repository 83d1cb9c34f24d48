"""The EPCIS root `/epcis` (GS1's REST binding, so outside /api/v1).

Calls carry an API key as elsewhere; a signed-in browser may look too, and sends the CSRF header where it writes.
"""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.edge import problem
from yaosu.exchange.epcis import routes_capture as capture
from yaosu.exchange.epcis import routes_named as named
from yaosu.exchange.epcis import routes_page
from yaosu.exchange.epcis import routes_query as query
from yaosu.exchange.epcis.routes_socket import socket
from yaosu.exchange.epcis.web import Handler, discovery, discovery_of, limits, not_for, refused

router = APIRouter(prefix="/epcis")
router.include_router(routes_page.router)

_EVENT = "/events/{event:path}"
_RESOURCE = "/{resource}"
_SUBSCRIPTION = "/queries/{name}/subscriptions/{subscription}"
_RESOURCES = tuple(query.SUB)


def _add(path: str, there: Handler | None = None, **handlers: Handler) -> None:
    """A path with its methods; `there` answers 404 when what the path names does not exist (for OPTIONS)."""
    methods = ", ".join(["OPTIONS", *(m.upper() for m in handlers)])
    others = [m for m in ("GET", "POST", "PUT", "PATCH", "DELETE") if m.lower() not in handlers]
    more = (lambda r: {**limits(r), "GS1-Capture-Error-Behaviour": "all"}) if path == "/capture" else None
    about = named.options_subscription if path == _SUBSCRIPTION else discovery(methods, more)
    if there is not None:
        about = discovery_of(about, there)
    router.add_api_route(path, about, methods=["OPTIONS"], response_model=None)
    for method, handler in handlers.items():
        names = ["GET", "HEAD"] if method == "get" else [method.upper()]
        router.add_api_route(path, handler, methods=names, response_model=None)
    router.add_api_route(path, not_for(methods), methods=others, response_model=None)


_add("", get=query.root)
_add("/", get=query.root)
_add("/capture", post=capture.post_capture, get=capture.get_captures)
_add("/capture/{capture}", capture.get_capture, get=capture.get_capture)
_add("/events", get=query.get_events, post=capture.post_event)
_add(_EVENT, query.get_event, get=query.get_event)
_add("/parties", get=capture.get_parties, put=capture.put_party)
_add("/parties/{gln:path}", delete=capture.delete_party)
_add("/queries", get=named.get_queries, post=named.post_query)
_add("/queries/{name}", named.get_query, get=named.get_query, delete=named.delete_query)
_add("/queries/{name}/events", named.get_query, get=named.get_query_events)
router.add_api_websocket_route("/queries/{name}/events", socket)
_add(
    "/queries/{name}/subscriptions",
    named.get_query,
    get=named.get_subscriptions,
    post=named.post_subscription,
)
_add(
    _SUBSCRIPTION,
    named.get_subscription,
    get=named.get_subscription,
    delete=named.delete_subscription,
)
_add("/nextPageToken/{token:path}", delete=query.delete_token)
_add(_RESOURCE, query.known, get=query.get_members)
_add(_RESOURCE + "/{member:path}/events", query.get_member, get=query.get_member_events)
_add(_RESOURCE + "/{member:path}", query.get_member, get=query.get_member)
router.add_api_route(
    "/{rest:path}",
    query.nothing,
    methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    response_model=None,
)

# an unknown or expired key is refused before any route: here as everywhere under /epcis in the standard's form
problem.OWN_FORMS["/epcis/"] = refused
problem.OWN_FORMS["/epcis/help"] = None
