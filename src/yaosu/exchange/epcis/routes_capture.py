"""Routes that capture: `/capture`, `POST /events`, parties (EPCIS 2.0 §12.7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import capture, parties, store
from yaosu.exchange.epcis.answering import read_token, write_token
from yaosu.exchange.epcis.model import Behaviour, Document, Problem
from yaosu.exchange.epcis.query import PER_PAGE, page_size
from yaosu.exchange.epcis.reading_json import single as single_json
from yaosu.exchange.epcis.reading_xml import single as single_xml
from yaosu.exchange.epcis.runner import Runner
from yaosu.exchange.epcis.times import moment, stamp
from yaosu.exchange.epcis.web import (
    XML,
    answer_type,
    body_type,
    chosen,
    extensions,
    guarded,
    json_answer,
    json_only,
    limits,
    next_link,
    reader,
    writer,
)
from yaosu.registry.parts import registry_of

WAIT_S = 15.0
"""How long a capture waits for its own end before it is answered; the job goes on."""


def _runner(request: Request) -> Runner:
    found: Runner = state(request).parts["epcis"]
    return found


def behaviour_of(request: Request) -> Behaviour:
    """`GS1-Capture-Error-Behaviour`; rollback when left out."""
    given = chosen(request, "GS1-Capture-Error-Behaviour", ("rollback", "proceed"), "rollback")
    return "proceed" if given == "proceed" else "rollback"


@guarded
async def post_capture(request: Request) -> Response:
    """Take a document in: 202 with the address of its job. What cannot be read at all is refused at once (400)."""
    subject = replace(writer(request), lang=language(request))
    media, behaviour = body_type(request), behaviour_of(request)
    body = await request.body()
    document = await asyncio.to_thread(capture.read, body, media)
    pool = state(request).pool
    async with pool.acquire() as conn, conn.transaction():
        job = await capture.queue(conn, subject, body, media, behaviour, len(document.events))
    await _runner(request).finished(job, WAIT_S)
    base = state(request).settings.public_url
    headers = {
        "Location": f"{base}/epcis/capture/{job}",
        "GS1-Capture-Error-Behaviour": behaviour,
        **limits(request),
    }
    return Response(status_code=202, headers=headers)


def job_view(row: object, lang_warnings: bool = True) -> dict[str, object]:
    """A capture job in the standard's form."""
    from asyncpg import Record

    assert isinstance(row, Record)
    running = row["state"] in ("queued", "running")
    found: dict[str, object] = {
        "captureID": str(row["id"]),
        "createdAt": stamp(row["created_at"]),
        "running": running,
        "success": bool(row["success"]) and row["state"] != "failed",
        "captureErrorBehaviour": row["behaviour"],
    }
    if row["started_at"] is not None:
        found["startedAt"] = stamp(row["started_at"])
    if row["finished_at"] is not None:
        found["finishedAt"] = stamp(row["finished_at"])
    if not running:
        found["capturedEvents"] = row["captured"]
        found["events"] = row["events"]
    found["errors"] = row["errors"]
    if row["warnings"] and lang_warnings:
        found["warnings"] = row["warnings"]
    return found


def job_xml(view: dict[str, object]) -> bytes:
    """The same as EPCISCaptureJob."""
    from xml.sax.saxutils import escape

    errors = view["errors"]
    assert isinstance(errors, list)
    told = "".join(
        "<error>"
        + "".join(
            f"<{k}>{escape(str(e[k]))}</{k}>" for k in ("type", "title", "status", "detail", "instance")
        )
        + "</error>"
        for e in errors
    )
    times = "".join(f"<{k}>{view[k]}</{k}>" for k in ("createdAt", "finishedAt") if k in view)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<epcis:EPCISCaptureJob xmlns:epcis="urn:epcglobal:epcis:xsd:2" '
        f'running="{str(view["running"]).lower()}" success="{str(view["success"]).lower()}" '
        f'captureID="{view["captureID"]}">'
        f"<captureErrorBehaviour>{view['captureErrorBehaviour']}</captureErrorBehaviour>{times}"
        + (f"<errors>{told}</errors>" if errors else "")
        + "</epcis:EPCISCaptureJob>"
    ).encode()


@guarded
async def get_captures(request: Request) -> Response:
    """Own capture jobs, newest first."""
    subject = writer(request)
    json_only(request)
    per_page = page_size(request.query_params.get("perPage", PER_PAGE))
    token, before = request.query_params.get("nextPageToken", ""), None
    if token:
        place = read_token(token)
        at = moment(str(place[1])) if len(place) == 3 else None
        try:
            before = (at, UUID(str(place[2]))) if at is not None else None
        except (ValueError, IndexError):
            before = None
        if before is None:
            raise YaosuError("epcis_page_token")
    async with state(request).pool.acquire() as conn:
        rows = await store.jobs(conn, subject.org, before, per_page + 1)
    headers = {}
    if len(rows) > per_page:
        last = rows[per_page - 1]
        at_text = last["created_at"].isoformat(timespec="microseconds").replace("+00:00", "Z")
        headers = next_link(request, write_token("v", at_text, str(last["id"])))
    return json_answer([job_view(r) for r in rows[:per_page]], headers=headers)


@guarded
async def get_capture(request: Request) -> Response:
    """One capture job."""
    subject = writer(request)
    try:
        number = UUID(request.path_params["capture"])
    except ValueError:
        raise YaosuError("epcis_no_such", {"what": request.path_params["capture"][:60]}) from None
    async with state(request).pool.acquire() as conn:
        row = await conn.fetchrow(store.JOB, number, subject.org)
    if row is None:
        raise YaosuError("epcis_no_such", {"what": str(number)})
    view = job_view(row)
    if answer_type(request) == XML:
        return Response(job_xml(view), media_type=XML)
    return json_answer(view)


@guarded
async def post_event(request: Request) -> Response:
    """One event: 201 with its address, or refused with everything that is wrong with it."""
    subject = replace(writer(request), lang=language(request))
    media = body_type(request)
    body = await request.body()
    if media == "xml":
        one = await asyncio.to_thread(single_xml, body)
    else:
        one = await asyncio.to_thread(single_json, body, extensions(request))
    one.index = 0
    document = Document([one], [], "", "2.0", None, media == "xml")
    outcome = capture.Outcome()
    tools = _runner(request).tools()
    for attempt in range(capture.TRIES):
        try:
            async with state(request).pool.acquire() as conn, conn.transaction():
                outcome = await capture.work_off(conn, tools, subject, uuid4(), "rollback", document)
            break
        except capture.RETRY:
            if attempt == capture.TRIES - 1:
                raise YaosuError("too_busy") from None
    if not outcome.success:
        raise _refusal(outcome.errors)
    from urllib.parse import quote

    event_id = outcome.event_ids[0]
    base = state(request).settings.public_url
    headers = {"Location": f"{base}/epcis/events/{quote(event_id, safe='')}"}
    return json_answer({**one.body, "eventID": event_id}, 201, headers)


def _refusal(problems: list[Problem]) -> YaosuError:
    from yaosu.errors import Finding

    found = [Finding(p.finding.code, p.finding.params, p.instance or "/") for p in problems]
    if any(f.code == "epcis_event_id_taken" for f in found):
        return YaosuError("epcis_event_id_taken", found[0].params, found)
    return YaosuError("epcis_document_invalid", {"where": found[0].where}, found)


@guarded
async def get_parties(request: Request) -> Response:
    """GLNs that the own organisation has said something about."""
    subject = reader(request)
    registry = registry_of(request)
    async with state(request).pool.acquire() as conn:
        rows = await conn.fetch(store.PARTIES_OF, subject.org)
    items = []
    for row in rows:
        card = registry.org(row["party"])
        items.append(
            {
                "gln": row["uri"],
                "org": row["party"],
                "uscc": card.uscc if card else "",
                "name": card.name if card else "",
                "own": row["party"] == subject.org,
            }
        )
    return json_answer({"items": items, "next": None})


@guarded
async def put_party(request: Request) -> Response:
    """`{"gln": …, "uscc" or "org": …}`: which organisation a GLN means."""
    import orjson

    subject, registry = writer(request), registry_of(request)
    try:
        given = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise YaosuError("malformed_body", {"reason": error.msg[:60]}) from None
    if not isinstance(given, dict):
        raise YaosuError("malformed_body", {"reason": "object"})
    uscc = str(given.get("uscc", "")).upper()
    card = registry.org_by_uscc(uscc) if uscc else None
    org = card.id if card is not None else given.get("org")
    if not isinstance(org, int) or isinstance(org, bool) or not 0 < org < 2**31:
        raise YaosuError("epcis_party_unknown", {"field": "uscc", "given": uscc[:40] or "—"})
    async with state(request).pool.acquire() as conn, conn.transaction():
        key = await parties.put_party(conn, subject, registry, str(given.get("gln", "")), org)
    return json_answer({"gln": key, "org": org, "own": org == subject.org})


@guarded
async def delete_party(request: Request) -> Response:
    """Take the own word on a GLN back."""
    subject = writer(request)
    async with state(request).pool.acquire() as conn, conn.transaction():
        await parties.drop_party(conn, subject, request.path_params["gln"][:60])
    return Response(status_code=204)
