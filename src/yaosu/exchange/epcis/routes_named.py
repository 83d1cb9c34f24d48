"""Named queries and their subscriptions (EPCIS 2.0 §8.2.5, §12.8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from yaosu.edge.deps import subject_of
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import store, subscriptions
from yaosu.exchange.epcis.answering import read_token, write_token
from yaosu.exchange.epcis.query import PER_PAGE, Parser, page_size
from yaosu.exchange.epcis.reading_json import load, prefixes_of
from yaosu.exchange.epcis.routes_query import run
from yaosu.exchange.epcis.schedule import FIELDS
from yaosu.exchange.epcis.times import stamp
from yaosu.exchange.epcis.vocabulary import PREFIX
from yaosu.exchange.epcis.web import (
    chosen,
    discovery,
    extensions,
    guarded,
    json_answer,
    json_body,
    json_only,
    next_link,
    reader,
)
from yaosu.exchange.epcis.writing import DIGITAL_LINK, EPC_FORMATS
from yaosu.people.keeper import Keeper

_NAME = re.compile(r"(?!\.{1,2}$)[^\x00-\x1f\x7f-\x9f/?#\\]{1,100}")
"""What a query can be called: one segment of an address, percent-encoded where it stands in one."""


@guarded
async def post_query(request: Request) -> Response:
    """Make a named query: `{"name": …, "query": {…}}`."""
    subject = reader(request)
    json_body(request)
    given = load(await request.body())
    name, query = given.get("name"), given.get("query")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name != name.strip():
        raise YaosuError("epcis_query_form", {"field": "name"})
    if name == "SimpleEventQuery":
        raise YaosuError("epcis_query_name_taken", {"name": name})
    if not isinstance(query, dict):
        raise YaosuError("epcis_query_form", {"field": "query"})
    prefixes = {**extensions(request)}
    for context in (given.get("@context"), query.get("@context")):
        prefixes |= prefixes_of(context, "@context")[0]
    Parser(prefixes).read(query)
    definition = {k: v for k, v in query.items() if k != "@context"} | {"@context": prefixes}
    async with state(request).pool.acquire() as conn, conn.transaction():
        made = await conn.fetchval(store.INSERT_QUERY, subject.org, name, definition, subject.account_id)
    if made is None:
        raise YaosuError("epcis_query_name_taken", {"name": name})
    base = state(request).settings.public_url
    return Response(status_code=201, headers={"Location": f"{base}/epcis/queries/{quote(name, safe='')}"})


@guarded
async def get_queries(request: Request) -> Response:
    """Own named queries."""
    subject = reader(request)
    json_only(request)
    per_page = page_size(request.query_params.get("perPage", PER_PAGE))
    token = request.query_params.get("nextPageToken", "")
    after = str(read_token(token)[1]) if token else ""
    async with state(request).pool.acquire() as conn:
        rows = await conn.fetch(store.QUERIES, subject.org, after, per_page + 1)
    headers = next_link(request, write_token("v", rows[per_page - 1]["name"])) if len(rows) > per_page else {}
    return json_answer([_shown(r["name"], r["query"]) for r in rows[:per_page]], headers=headers)


def _shown(name: str, definition: Mapping[str, object]) -> dict[str, object]:
    """A definition as it was made: our own prefix, which always holds, is not told."""
    context = definition.get("@context")
    own = {k: v for k, v in context.items() if k != PREFIX} if isinstance(context, Mapping) else {}
    query = {k: v for k, v in definition.items() if k != "@context"}
    return {"name": name, "query": {"@context": own, **query} if own else query}


async def _query(request: Request) -> tuple[str, dict[str, object]]:
    subject, name = reader(request), request.path_params["name"]
    async with state(request).pool.acquire() as conn:
        row = await conn.fetchrow(store.QUERY, subject.org, name[:200])
    if row is None:
        raise YaosuError("epcis_no_such_name", {"name": name[:100]})
    return name, row["query"]


@guarded
async def get_query(request: Request) -> Response:
    """One named query."""
    json_only(request)
    name, definition = await _query(request)
    return json_answer(_shown(name, definition))


@guarded
async def delete_query(request: Request) -> Response:
    """Remove a named query with its subscriptions."""
    subject = reader(request)
    name, _ = await _query(request)
    async with state(request).pool.acquire() as conn, conn.transaction():
        await conn.execute(store.DROP_QUERY_SUBSCRIPTIONS, subject.org, name)
        await conn.execute(store.DROP_QUERY, subject.org, name)
    return Response(status_code=204)


@guarded
async def get_query_events(request: Request) -> Response:
    """Events of a named query. Its own parameters stand; only paging comes from the address line.

    What follows the query over a WebSocket (`routes_socket`) comes here when a proxy has taken the upgrade away.
    """
    name, definition = await _query(request)
    given = dict(definition)
    for key in request.query_params:
        if key in ("stream", "reportIfEmpty", "initialRecordTime", *FIELDS):
            raise YaosuError(
                "epcis_subscription_form", {"field": key, "reason": "Connection: Upgrade, Upgrade: websocket"}
            )
        if key not in ("perPage", "nextPageToken", "lang"):
            raise YaosuError("epcis_query_unknown_parameter", {"name": key[:100]})
    context = given.pop("@context", {})
    return await run(request, {**given, "@context": context}, name)


@guarded
async def post_subscription(request: Request) -> Response:
    """Subscribe to a named query by webhook: `{"dest", "signatureToken", "stream" or "schedule", …}`."""
    subject = reader(request)
    json_body(request)
    name, _ = await _query(request)
    given = load(await request.body())
    epc = chosen(request, "GS1-EPC-Format", EPC_FORMATS, DIGITAL_LINK)
    app = state(request)
    keeper = Keeper(app.parts["master_secret"])
    async with app.pool.acquire() as conn, conn.transaction():
        made = await subscriptions.subscribe(
            conn, keeper, subject, name, given, app.settings.webhook_hosts, epc
        )
    location = f"{app.settings.public_url}/epcis/queries/{quote(name, safe='')}/subscriptions/{made['subscriptionID']}"
    return json_answer(made, 201, {"Location": location})


@guarded
async def get_subscriptions(request: Request) -> Response:
    """Subscriptions of a named query."""
    subject = reader(request)
    json_only(request)
    name, _ = await _query(request)
    per_page = page_size(request.query_params.get("perPage", PER_PAGE))
    token = request.query_params.get("nextPageToken", "")
    after = str(read_token(token)[1]) if token else ""
    async with state(request).pool.acquire() as conn:
        rows = await conn.fetch(store.SUBSCRIPTIONS, subject.org, name)
    # an organisation has a hundred at most
    found = sorted((subscriptions.shown(r) for r in rows), key=_place)
    rest = [s for s in found if _place(s) > after]
    headers = {}
    if len(rest) > per_page:
        headers = next_link(request, write_token("v", _place(rest[per_page - 1])))
    return json_answer(rest[:per_page], headers=headers)


def _place(shown: Mapping[str, object]) -> str:
    """Where a subscription stands in the list: by the time it was made."""
    return f"{shown['createdAt']} {shown['subscriptionID']}"


def _number(request: Request) -> UUID:
    try:
        return UUID(request.path_params["subscription"])
    except ValueError:
        raise YaosuError("epcis_no_such", {"what": request.path_params["subscription"][:60]}) from None


_ABOUT_SUBSCRIPTION = discovery("OPTIONS, GET, DELETE")


@guarded
async def options_subscription(request: Request) -> Response:
    """What can be done with a subscription, and from when on it looks for events next."""
    answer = await _ABOUT_SUBSCRIPTION(request)
    subject = subject_of(request)
    if subject.kind != "anonymous" and subject.org_id is not None:
        async with state(request).pool.acquire() as conn:
            name, number = request.path_params["name"][:200], _number(request)
            row = await conn.fetchrow(store.SUBSCRIPTION, subject.org, name, number)
        if row is not None:
            answer.headers["GS1-Query-Min-Record-Time"] = stamp(row["since"])
    return answer


@guarded
async def get_subscription(request: Request) -> Response:
    """One subscription."""
    subject, number = reader(request), _number(request)
    name, _ = await _query(request)
    async with state(request).pool.acquire() as conn:
        row = await conn.fetchrow(store.SUBSCRIPTION, subject.org, name, number)
    if row is None:
        raise YaosuError("epcis_no_such", {"what": str(number)})
    return json_answer(subscriptions.shown(row))


@guarded
async def delete_subscription(request: Request) -> Response:
    """End a subscription."""
    subject, number = reader(request), _number(request)
    name, _ = await _query(request)
    async with state(request).pool.acquire() as conn, conn.transaction():
        gone = await conn.fetchval(store.DROP_SUBSCRIPTION, subject.org, name, number)
    if gone is None:
        raise YaosuError("epcis_no_such", {"what": str(number)})
    return Response(status_code=204)
