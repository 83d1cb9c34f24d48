"""Connections, deliveries and «why was this code not uploaded» over the API (R-X9)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request

from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.exchange.frames import answers, listed
from yaosu.exchange.outbox import backfill as backfills
from yaosu.exchange.outbox import connections, deliveries, schemas, service
from yaosu.exchange.outbox.parts import channels_of, places_of
from yaosu.exchange.outbox.why import why
from yaosu.people.parts import keeper_of
from yaosu.registry.resolver import Registry

router = APIRouter(prefix="/exchange", tags=["exchange"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Big = Annotated[int, Path(ge=1, le=2**63 - 1)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
DeliveryState = Literal[
    "pending", "sent", "accepted", "processed", "partly", "failed", "unknown", "given_up", "held"
]


@router.get(
    "/channels",
    summary="Ways to other systems",
    responses=answers(
        {
            "items": [
                {
                    "channel": "erp",
                    "name": "本单位系统（ERP/WMS/HIS/POS）",
                    "asks": False,
                    "pulls": False,
                    "whole": False,
                    "fields": [{"name": "secret", "label": "签名密钥（留空自动生成）", "secret": True}],
                }
            ],
            "next": None,
        }
    ),
)
async def list_channels(request: Request, subject: CurrentSubject) -> dict[str, Any]:
    """What this server can connect to, and what each asks for. `whole`: the platform's operator alone connects it."""
    subject.require(connections.READ)
    return listed(service.described(channels_of(request), language(request)))


@router.get("/connections", summary="Connections", responses=answers({"items": [schemas.LINK], "next": None}))
async def list_connections(subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Of the own organisation, with deliveries counted by state; secrets are never shown."""
    found = await connections.listed(conn, subject)
    counted = await deliveries.counts(conn, subject)
    return listed([{**one.as_json(), "deliveries": counted.get(one.id, {})} for one in found])


@router.post(
    "/connections",
    summary="Add a connection",
    responses=answers(
        {"id": 7, "secret": ""},
        "invalid_request",
        "channel_unknown",
        "connection_url_refused",
        "connection_too_many",
    ),
)
async def add_connection(
    request: Request, body: schemas.ConnectionIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Bills recorded from now (or `since`) on are owed through it.

    A secret made by us is in this answer and nowhere else."""
    made = await service.add(
        conn, subject, keeper_of(request), channels_of(request), state(request).settings.webhook_hosts,
        **body.model_dump(),
    )  # fmt: skip
    return {"id": made.id, "secret": made.secret}


@router.get(
    "/connections/{connection_id}", summary="One connection", responses=answers(schemas.LINK, "not_found")
)
async def get_connection(connection_id: Number, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """With its deliveries counted by state."""
    one = await connections.get(conn, subject, connection_id)
    filled = await backfills.of(conn, one.id)
    counted = (await deliveries.counts(conn, subject)).get(one.id, {})
    return {**one.as_json(), "deliveries": counted, "backfill": filled.as_json() if filled else None}


@router.put(
    "/connections/{connection_id}",
    summary="Change a connection",
    responses=answers({"id": 7}, "not_found", "invalid_request", "connection_url_refused"),
)
async def change_connection(
    request: Request, connection_id: Number, body: schemas.ChangeIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Everything but the secret; what waits goes to the new address."""
    allowed = state(request).settings.webhook_hosts
    await connections.change(conn, subject, connection_id, allowed=allowed, **body.model_dump())
    return {"id": connection_id}


@router.post(
    "/connections/{connection_id}/secret",
    summary="Renew credentials",
    responses=answers({"id": 7}, "not_found", "invalid_request"),
)
async def renew_secret(
    request: Request, connection_id: Number, body: schemas.SecretIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """From the next attempt on; credentials not named stay as they are."""
    await connections.rotate(conn, subject, keeper_of(request), connection_id, body.secret)
    return {"id": connection_id}


@router.post(
    "/connections/{connection_id}/state",
    summary="Hold, release or end a connection",
    responses=answers({"id": 7, "state": "held"}, "not_found", "invalid_request"),
)
async def set_state(
    connection_id: Number, body: schemas.StateIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Held: what is owed waits. Ended: it is given up, for good."""
    await connections.set_state(conn, subject, connection_id, body.state, body.reason)
    return {"id": connection_id, "state": body.state}


@router.post(
    "/connections/{connection_id}/test",
    summary="Test a connection",
    responses=answers(
        {"id": 7, "reached": True, "status": 200, "answer": "", "credentials": "ok"}, "not_found"
    ),
)
async def test_connection(
    request: Request, connection_id: Number, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Whether the address answers and the credentials can be opened; no bill is sent."""
    allowed = state(request).settings.webhook_hosts
    return await service.test(conn, subject, keeper_of(request), allowed, connection_id)


@router.post(
    "/connections/{connection_id}/backfill",
    summary="Send everything from a date on",
    responses=answers({"count": 1204}, "not_found", "invalid_request"),
)
async def backfill(
    request: Request, connection_id: Number, body: schemas.SinceIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Bills recorded since then go out in order, a portion at a time, so that new ones do not wait for them; what was
    sent keeps its key and is not sent twice. `count` stops at 100,000. How it stands: `backfill` of the connection."""
    places = places_of(request, subject)
    return {"count": await deliveries.backfill(conn, subject, connection_id, body.since, places)}


@router.post(
    "/connections/{connection_id}/backfill/state",
    summary="Pause a back-fill or let it go on",
    responses=answers({"id": 7, "state": "paused"}, "not_found", "invalid_request"),
)
async def backfill_state(
    connection_id: Number, body: schemas.BackfillStateIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """It keeps its place; bills of today go on as ever."""
    await deliveries.backfill_state(conn, subject, connection_id, body.state)
    return {"id": connection_id, "state": body.state}


@router.post(
    "/connections/{connection_id}/replay",
    summary="Send an own system's events again",
    responses=answers({"count": 12, "next": None}, "not_found", "invalid_request", "replay_own_only"),
)
async def replay(
    connection_id: Number, body: schemas.ReplayIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Under the same event ids, each bill in its order; `next` is the delivery to go on with after 10,000."""
    count, onward = await deliveries.replay(conn, subject, connection_id, body.from_delivery, body.since)
    return {"count": count, "next": onward}


@router.post(
    "/connections/{connection_id}/retry",
    summary="Try everything again that waits for a person",
    responses=answers({"count": 31}, "not_found", "invalid_request"),
)
async def retry_all(
    connection_id: Number, body: schemas.RetryIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """After an outage: what came to rest since nothing got through; with `refused` also what they refused for good."""
    return {"count": await deliveries.retry_all(conn, subject, connection_id, body.refused)}


@router.get(
    "/deliveries",
    summary="Deliveries",
    responses=answers({"items": [schemas.DELIVERY], "next": None}, "invalid_request"),
)
async def list_deliveries(
    subject: CurrentSubject,
    conn: Conn,
    connection: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    state: DeliveryState | None = None,
    bill_no: Annotated[CleanText, Query(max_length=64)] = "",
    todo: Annotated[bool, Query(description="only those that wait for a person")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """To whom what went and what they answered, newest first; `text` and `next` say where it stands and what to do."""
    found = await deliveries.listed(
        conn, subject, connection=connection, states=[state] if state else (), before=cursor, todo=todo,
        bill_no=bill_no, limit=limit,
    )  # fmt: skip
    return listed(found, str(found[-1]["id"]) if len(found) == limit else None)


@router.get(
    "/deliveries/{delivery_id}",
    summary="One delivery with every attempt",
    responses=answers({**schemas.DELIVERY, "tries": [schemas.ATTEMPT]}, "not_found"),
)
async def get_delivery(delivery_id: Big, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """What they said each time, word for word, newest first."""
    return await deliveries.get(conn, subject, delivery_id)


@router.post(
    "/deliveries/{delivery_id}/retry",
    summary="Try a delivery again now",
    responses=answers({"id": 90}, "not_found", "delivery_done", "delivery_overtaken", "delivery_pruned"),
)
async def retry(delivery_id: Big, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Under the same key; what may have arrived is asked about first."""
    await deliveries.retry(conn, subject, delivery_id)
    return {"id": delivery_id}


@router.post(
    "/deliveries/{delivery_id}/hold",
    summary="Hold a delivery",
    responses=answers({"id": 90}, "not_found", "invalid_request", "delivery_done", "delivery_reason_needed"),
)
async def hold(
    delivery_id: Big, body: schemas.ReasonIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """It and what comes after it in its lane wait until it is released."""
    await deliveries.hold(conn, subject, delivery_id, body.reason)
    return {"id": delivery_id}


@router.post(
    "/deliveries/{delivery_id}/release",
    summary="Release a held delivery",
    responses=answers({"id": 90}, "not_found", "delivery_not_held", "delivery_overtaken", "delivery_pruned"),
)
async def release(delivery_id: Big, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """It goes on where it stood."""
    await deliveries.release(conn, subject, delivery_id)
    return {"id": delivery_id}


@router.post(
    "/deliveries/{delivery_id}/give-up",
    summary="Give a delivery up, with a reason",
    responses=answers({"id": 90}, "not_found", "invalid_request", "delivery_done", "delivery_reason_needed"),
)
async def give_up(
    delivery_id: Big, body: schemas.ReasonIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """It is owed no longer; the next of its lane goes."""
    await deliveries.give_up(conn, subject, delivery_id, body.reason)
    return {"id": delivery_id}


@router.get(
    "/bills/{bill_id}",
    summary="To whom a bill went",
    responses=answers(schemas.OF_BILL, "not_found"),
)
async def of_bill(bill_id: Big, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Decisions for each connection with the rule or the reason, deliveries with their answers, what is still owed."""
    return await deliveries.of_bill(conn, subject, bill_id)


@router.get(
    "/why",
    summary="Why was this code not uploaded?",
    responses=answers(schemas.WHY, "invalid_request"),
)
async def explain(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    code: Annotated[str, Query(min_length=1, max_length=500, description="any scanner text")],
) -> dict[str, Any]:
    """The checks in their order for the own organisation; one clear answer with evidence and next step."""
    registry: Registry = state(request).parts["registry"]
    found = await why(conn, subject, registry, channels_of(request), code)
    return found.as_json(language(request))
