"""Routes that read: `/events`, resource discovery (EPCIS 2.0 §8.2, §12.5–12.6)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import store, store_bills
from yaosu.exchange.epcis.answering import Answering, by_id, read_token, write_token
from yaosu.exchange.epcis.identifiers import of_code
from yaosu.exchange.epcis.model import EVENT_TYPES
from yaosu.exchange.epcis.parties import names_of
from yaosu.exchange.epcis.query import PER_PAGE, Parser, page_size
from yaosu.exchange.epcis.reading_json import load, prefixes_of
from yaosu.exchange.epcis.vocabulary import standard
from yaosu.exchange.epcis.web import (
    JSON,
    LD_JSON,
    events_answer,
    extensions,
    guarded,
    json_answer,
    json_only,
    next_link,
    reader,
    style_of,
)
from yaosu.exchange.epcis.writing import CONTEXT, spelled
from yaosu.registry.parts import registry_of

TOP = (
    "queries",
    "capture",
    "events",
    "eventTypes",
    "epcs",
    "readPoints",
    "bizLocations",
    "dispositions",
    "bizSteps",
)
SUB = {
    "eventTypes": "eventType",
    "epcs": "MATCH_anyEPC",
    "bizSteps": "EQ_bizStep",
    "bizLocations": "EQ_bizLocation",
    "readPoints": "EQ_readPoint",
    "dispositions": "EQ_disposition",
}
"""Resources of discovery, and the query parameter that each one's events are asked with."""


def collection(members: list[str]) -> dict[str, object]:
    """A collection of the standard."""
    return {"@context": CONTEXT, "type": "Collection", "member": members}


@guarded
async def root(request: Request) -> Response:
    """Top-level resources."""
    reader(request)
    return json_answer(collection(list(TOP)))


async def asked(request: Request, more: Mapping[str, object] | None = None) -> dict[str, object]:
    """Parameters of the address line, of a JSON body (`{"query": {…}}`; in links `query=…`), and of the resource."""
    found: dict[str, object] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            found[name] = f"{found[name]}|{value}"
        else:
            found[name] = value
    linked = found.pop("query", None)
    inside: object = load(str(linked).encode()) if linked is not None else {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() in (JSON, LD_JSON):
        body = await request.body()
        if body.strip():
            inside = load(body).get("query")
    if not isinstance(inside, dict):
        raise YaosuError("epcis_query_form", {"field": "query"})
    if inside:
        request.state.epcis_query = {k: v for k, v in inside.items() if k not in ("perPage", "nextPageToken")}
        found = {**inside, **found}
    return {**found, **(more or {})}


async def run(request: Request, given: dict[str, object], name: str = "SimpleEventQuery") -> Response:
    """Answer a query."""
    subject, registry = reader(request), registry_of(request)
    prefixes = extensions(request)
    if "@context" in given:
        prefixes |= prefixes_of(given["@context"], "@context")[0]
    per_page = page_size(request.query_params.get("perPage", given.get("perPage", PER_PAGE)))
    token = request.query_params.get("nextPageToken", "")
    query = Parser(prefixes).read(given)
    async with state(request).pool.acquire() as conn, conn.transaction():
        style = await style_of(request, conn, registry)
        found = await Answering(conn, subject, registry, query).page(per_page, token)
    return events_answer(request, found.events, style, found.token, name)


@guarded
async def get_events(request: Request) -> Response:
    """SimpleEventQuery."""
    return await run(request, await asked(request))


@guarded
async def get_event(request: Request) -> Response:
    """All events of one id: the event, and the declaration that it was wrong where there is one."""
    subject, registry = reader(request), registry_of(request)
    event_id = request.path_params["event"]
    async with state(request).pool.acquire() as conn, conn.transaction():
        style = await style_of(request, conn, registry)
        found = await by_id(conn, subject, registry, event_id)
    if not found:
        raise YaosuError("epcis_no_such", {"what": event_id[:200]})
    return events_answer(request, found, style, "")


@guarded
async def known(request: Request) -> Response:
    """Whether there is such a resource."""
    if request.path_params["resource"] not in SUB:
        raise YaosuError("epcis_no_such", {"what": request.path_params["resource"][:100]})
    return json_answer({})


@guarded
async def get_members(request: Request) -> Response:
    """Members of a resource of discovery that the reader has events of."""
    subject, registry = reader(request), registry_of(request)
    resource = request.path_params["resource"]
    json_only(request)
    if resource not in SUB:
        raise YaosuError("epcis_no_such", {"what": resource[:100]})
    per_page = page_size(request.query_params.get("perPage", PER_PAGE))
    token = request.query_params.get("nextPageToken", "")
    after = str(read_token(token)[1]) if token else ""
    sight = visible(subject)
    members: set[str] = set()
    async with state(request).pool.acquire() as conn, conn.transaction():
        style = await style_of(request, conn, registry)
        if resource == "epcs":
            # letter by letter of the field that an identifier stands in
            for letter in "eiop":
                start = f"{letter}|{after}"
                rows = await store.distinct(conn, sight, resource, start, per_page + 1)
                members |= {v[2:] for v in rows if v[0] == letter}
            codes = await store_bills.recent_codes(conn, sight, "", 20_000)
            members |= {of_code(c) for c in codes}
        else:
            members |= set(await store.distinct(conn, sight, resource, after, per_page + 1))
        if resource == "eventTypes":
            members |= set(EVENT_TYPES)
        elif resource in ("bizSteps", "dispositions"):
            name = "step" if resource == "bizSteps" else "disposition"
            members |= {str(i.attrs[name]) for i in registry.lists.get("epcis_out")}
        elif resource in ("readPoints", "bizLocations") and subject.org_id is not None:
            own = (await names_of(conn, registry, [subject.org_id])).get(subject.org_id)
            members |= {own.replace("/417/", "/414/")} if own else set()
    chosen = sorted(m for m in members if m > after)
    headers = next_link(request, write_token("v", chosen[per_page - 1])) if len(chosen) > per_page else {}
    page = chosen[:per_page]
    if resource in ("epcs", "readPoints", "bizLocations"):
        page = [spelled(style, m) for m in page]
    return json_answer(collection(page), headers=headers)


@guarded
async def get_member(request: Request) -> Response:
    """What can be asked of one member: its events."""
    subject, registry = reader(request), registry_of(request)
    json_only(request)
    resource, member = request.path_params["resource"], request.path_params["member"]
    _check(resource, member)
    if resource not in ("bizSteps", "dispositions", "eventTypes") or ":" in member:
        # what is no word of the standard is there when an event names it
        asked_for = Parser(extensions(request)).read({SUB[resource]: [member]})
        async with state(request).pool.acquire() as conn, conn.transaction():
            found = await Answering(conn, subject, registry, asked_for).page(1, "")
        if not found.events and not found.token:
            raise YaosuError("epcis_no_such", {"what": member[:100]})
    return json_answer(collection(["events"]))


def _check(resource: str, member: str) -> None:
    if resource not in SUB:
        raise YaosuError("epcis_no_such", {"what": resource[:100]})
    words = {"bizSteps": "bizStep", "dispositions": "disposition"}.get(resource)
    if words is not None and ":" not in member and member not in standard().vocabularies[words].words:
        raise YaosuError("epcis_no_such", {"what": member[:100]})
    if resource == "eventTypes" and ":" not in member and member not in EVENT_TYPES:
        raise YaosuError("epcis_no_such", {"what": member[:100]})


@guarded
async def get_member_events(request: Request) -> Response:
    """Events of one member."""
    resource, member = request.path_params["resource"], request.path_params["member"]
    reader(request)
    _check(resource, member)
    return await run(request, await asked(request, {SUB[resource]: [member]}))


@guarded
async def delete_token(request: Request) -> Response:
    """Tokens hold no state and end by themselves: there is nothing to take back (501, as the standard allows)."""
    reader(request)
    raise YaosuError("epcis_not_implemented", {"what": "DELETE /nextPageToken"})


@guarded
async def nothing(request: Request) -> Response:
    """An address that the binding does not have."""
    raise YaosuError("epcis_no_such", {"what": str(request.path_params["rest"])[:100]})
