"""Messages and webhooks over the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.notify import service, webhooks
from yaosu.notify.parts import unread_of
from yaosu.settings import master_secret

router = APIRouter(tags=["notify"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]

_MESSAGE: dict[str, Any] = {
    "id": 4711,
    "kind": "notice_grant_offered",
    "text": "某制药有限公司邀请贵单位授权查看其产品的下游流向。",
    "next": "请在“数据授权”中接受或拒绝。",
    "params": {"name": "某制药有限公司"},
    "ref": "12",
    "link": "/grants/12",
    "event": "6f0f4a2e-6f3a-4d59-9d7c-0d5c8b3c1a55",
    "at": "2026-09-30T10:12:31+08:00",
    "read_at": None,
}
_WEBHOOK: dict[str, Any] = {
    "id": 3,
    "url": "https://erp.example.com/yaosu",
    "kinds": ["notice_grant_offered"],
    "active": True,
    "created_at": "2026-09-30T10:12:31+08:00",
}
_DELIVERY: dict[str, Any] = {
    "id": 90,
    "event": "6f0f4a2e-6f3a-4d59-9d7c-0d5c8b3c1a55",
    "kind": "notice_grant_offered",
    "state": "failed",
    "attempts": 2,
    "next_at": "2026-09-30T10:13:41+08:00",
    "created_at": "2026-09-30T10:12:31+08:00",
    "settled_at": None,
    "answer_status": 503,
    "answer": "busy",
    "message": 4711,
    "params": {"name": "某制药有限公司"},
}


def answered(example: Any, *codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an example and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", *codes),
    }


class ReadIn(BaseModel):
    """Messages to mark as read."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": [4711, 4712]}]})
    ids: Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(min_length=1, max_length=500)]


class WebhookIn(BaseModel):
    """A new subscription."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"url": "https://erp.example.com/yaosu", "kinds": ["notice_grant_offered"]}]
        },
    )
    url: Annotated[CleanText, Field(min_length=8, max_length=500)]
    kinds: Annotated[list[Annotated[CleanText, Field(max_length=64)]], Field(max_length=100)] = Field(
        default_factory=list, description="Kinds of messages; all when empty."
    )


class ActiveIn(BaseModel):
    """Pause or resume."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"active": False}]})
    active: bool


class ReplayIn(BaseModel):
    """Where to begin again; everything when neither is given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"from_message": 4711}]})
    from_message: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    since: AwareDatetime | None = None


@router.get(
    "/messages",
    summary="Messages of the own organisation",
    responses=answered({"items": [_MESSAGE], "unread": 1, "next": None}, "invalid_request"),
)
async def list_messages(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    unread: Annotated[bool, Query(description="only those nobody has read")] = False,
    kind: Annotated[CleanText, Query(max_length=64)] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """What the organisation was told, newest first; `unread` counts to 100 (R-X2)."""
    lang = language(request)
    found = await service.messages(conn, subject, before=cursor, unread=unread, kind=kind, limit=limit)
    return {
        "items": [one.as_json(lang) for one in found],
        "unread": await service.unread(conn, subject),
        "next": str(found[-1].id) if len(found) == limit else None,
    }


@router.get(
    "/messages/kinds",
    summary="Kinds of messages there are",
    responses=answered(
        {
            "items": [{"kind": "notice_grant_offered", "zh": "{name}邀请…", "en": "{name} asks …"}],
            "next": None,
        }
    ),
)
async def list_kinds(subject: CurrentSubject) -> dict[str, Any]:
    """Every kind with its text; what a webhook can subscribe to."""
    return {"items": service.kinds(), "next": None}


@router.post(
    "/messages/read",
    summary="Mark messages as read",
    responses=answered({"read": [4711]}, "invalid_request"),
)
async def mark_read(request: Request, body: ReadIn, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Those that were unread and are now read; others' numbers are passed over."""
    done = await service.mark_read(conn, subject, body.ids)
    unread_of(request).put(subject.org, await service.unread(conn, subject))
    return {"read": done}


@router.get("/webhooks", summary="Webhooks", responses=answered({"items": [_WEBHOOK], "next": None}))
async def list_webhooks(subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Subscriptions of the own organisation; their secrets are never shown again."""
    return {"items": [one.as_json() for one in await webhooks.listed(conn, subject)], "next": None}


@router.post(
    "/webhooks",
    summary="Subscribe an address",
    description="Every message of the chosen kinds is then sent there by POST as JSON, signed: header "
    "`Yaosu-Signature: v1=` with the hexadecimal HMAC-SHA256 of `<Yaosu-Timestamp>.<body>` under the secret, "
    "`Yaosu-Event-Id` as the key against doubling. An answer 2xx within five seconds counts as received; anything else "
    "is tried again with growing pauses.",
    responses=answered(
        {"id": 3, "secret": "whs_…"},
        "invalid_request",
        "webhook_url_refused",
        "webhook_kind_unknown",
        "webhook_too_many",
    ),
)
async def add_webhook(
    request: Request, body: WebhookIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """The secret is in this answer and nowhere else."""
    chosen = state(request).settings
    number, secret = await webhooks.add(
        conn, subject, master_secret(chosen.data), chosen.webhook_hosts, body.url, body.kinds
    )
    return {"id": number, "secret": secret}


@router.post(
    "/webhooks/{webhook_id}/secret",
    summary="Renew a webhook's secret",
    responses=answered({"id": 3, "secret": "whs_…"}, "not_found"),
)
async def renew_secret(
    request: Request, webhook_id: Number, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """The old secret signs nothing from now on."""
    master = master_secret(state(request).settings.data)
    return {"id": webhook_id, "secret": await webhooks.renew(conn, subject, master, webhook_id)}


@router.post(
    "/webhooks/{webhook_id}/active",
    summary="Pause or resume a webhook",
    responses=answered({"id": 3, "active": False}, "not_found", "invalid_request"),
)
async def set_active(
    webhook_id: Number, body: ActiveIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Nothing is put in while paused; replay brings what was missed."""
    await webhooks.set_active(conn, subject, webhook_id, body.active)
    return {"id": webhook_id, "active": body.active}


@router.delete(
    "/webhooks/{webhook_id}", summary="Remove a webhook", responses=answered({"id": 3}, "not_found")
)
async def remove_webhook(webhook_id: Number, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Ends the subscription; what was not sent stays unsent."""
    await webhooks.remove(conn, subject, webhook_id)
    return {"id": webhook_id}


@router.post(
    "/webhooks/{webhook_id}/test",
    summary="Send a test delivery",
    responses=answered({"delivery": 90, "event": _DELIVERY["event"]}, "not_found"),
)
async def test_webhook(webhook_id: Number, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """A delivery of kind `webhook_test`; its outcome stands in the deliveries a moment later."""
    return await webhooks.test(conn, subject, webhook_id)


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    summary="Deliveries of a webhook",
    responses=answered({"items": [_DELIVERY], "next": None}, "not_found", "invalid_request"),
)
async def list_deliveries(
    webhook_id: Number,
    subject: CurrentSubject,
    conn: Conn,
    state: Literal["pending", "processed", "failed", "given_up"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Newest first, each with its state, attempts and the receiver's last answer."""
    found = await webhooks.deliveries(conn, subject, webhook_id, state, cursor, limit)
    return {"items": found, "next": str(found[-1]["id"]) if len(found) == limit else None}


@router.post(
    "/webhooks/{webhook_id}/replay",
    summary="Send messages again from any point",
    responses=answered({"count": 12, "next": None}, "not_found", "invalid_request"),
)
async def replay(webhook_id: Number, body: ReplayIn, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Under the same event ids, oldest first; `next` is the message to go on with after 10,000."""
    count, onward = await webhooks.replay(conn, subject, webhook_id, body.from_message, body.since)
    return {"count": count, "next": onward}
