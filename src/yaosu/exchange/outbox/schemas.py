"""What the exchange API takes, and examples of what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText

Text200 = Annotated[CleanText, Field(max_length=200)]
Secret = Annotated[str, Field(max_length=8000)]

LINK: dict[str, Any] = {
    "id": 7, "channel": "top", "profile": "", "title": "码上放心", "url": "https://eco.taobao.com/router/rest",
    "account": {"app_key": "12345678", "ref_ent_id": "abc"}, "has_secret": True, "region": "", "everyone": False,
    "state": "active", "since": "2026-09-30T00:00:00+08:00", "created_at": "2026-09-30T10:12:31+08:00",
    "deliveries": {"processed": 812, "at_rest": 1},
}  # fmt: skip
DELIVERY: dict[str, Any] = {
    "id": 90, "event": "6f0f4a2e-6f3a-4d59-9d7c-0d5c8b3c1a55", "connection": 7, "title": "码上放心", "channel": "top",
    "bill": 4711, "bill_no": "XS20260930001", "revision": 1, "bill_type": 201, "kind": "uploadcirculationbill",
    "key": "12:XS20260930001:1:1", "lane": "12:XS20260930001", "state": "failed", "advice": "delivery_refused",
    "text": "未被接受：企业未入网", "next": "请按对方的回答改正（多数情况需更正单据），再重试，或写明原因放弃。",
    "waits": False, "attempts": 2, "next_at": None, "created_at": "2026-09-30T10:12:31+08:00",
    "settled_at": "2026-09-30T10:12:36+08:00", "answer_status": 200, "answer": "企业未入网", "remote": "",
    "details": None, "note": "",
}  # fmt: skip
ATTEMPT: dict[str, Any] = {
    "n": 1, "at": "2026-09-30T10:12:31+08:00", "what": "send", "state": "failed", "status": 200, "took_ms": 120,
    "answer": "企业未入网",
}  # fmt: skip
WHY: dict[str, Any] = {
    "code": "83857930000000264381", "product": "阿莫西林胶囊", "home": "码上放心",
    "answer": {"code": "why_rejected", "text": "“码上放心”拒绝了单据 XS20260930001：企业未入网",
               "next": "请按对方的回答改正后重试。", "bill": 4711, "delivery": 90,
               "connection": 7, "title": "码上放心"},
    "connections": [],
}  # fmt: skip
OF_BILL: dict[str, Any] = {
    "bill": {"id": 4711, "bill_no": "XS20260930001", "revision": 1, "type": 201, "status": "A",
             "recorded_at": "2026-09-30T10:12:31+08:00"},
    "due": False,
    "decisions": [{"connection": 7, "title": "码上放心", "channel": "top", "owed": True, "parcels": 1,
                   "rule": "top.linked", "reason": "", "text": "", "left_out": {}, "at": "2026-09-30T10:12:31+08:00"}],
    "waiting": [],
    "deliveries": [DELIVERY],
}  # fmt: skip


class ConnectionIn(BaseModel):
    """A new connection."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "channel": "top",
                    "title": "码上放心",
                    "url": "https://eco.taobao.com/router/rest",
                    "account": {"app_key": "12345678"},
                    "secret": {"app_secret": "…"},
                }
            ]
        },
    )
    channel: Annotated[CleanText, Field(min_length=1, max_length=32)]
    title: Annotated[CleanText, Field(max_length=100)] = ""
    url: Annotated[CleanText, Field(max_length=500)] = ""
    account: dict[Annotated[str, Field(max_length=64)], Text200] = Field(default_factory=dict, max_length=40)
    secret: dict[Annotated[str, Field(max_length=64)], Secret] = Field(default_factory=dict, max_length=20)
    profile: Annotated[CleanText, Field(max_length=64)] = ""
    region: Annotated[str, Field(pattern=r"^(\d{2}|\d{4}|\d{6})?$")] = ""
    everyone: bool = False
    since: AwareDatetime | None = Field(None, description="Bills recorded from here on; now when absent.")


class ChangeIn(BaseModel):
    """What is not secret of a connection."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "码上放心", "url": "https://eco.taobao.com/router/rest"}]},
    )
    title: Annotated[CleanText, Field(min_length=1, max_length=100)]
    url: Annotated[CleanText, Field(max_length=500)]
    account: dict[Annotated[str, Field(max_length=64)], Text200] = Field(default_factory=dict, max_length=40)
    profile: Annotated[CleanText, Field(max_length=64)] = ""
    region: Annotated[str, Field(pattern=r"^(\d{2}|\d{4}|\d{6})?$")] = ""


class SecretIn(BaseModel):
    """New credentials; those not named stay."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"secret": {"app_secret": "…"}}]}
    )
    secret: dict[Annotated[str, Field(max_length=64)], Secret] = Field(default_factory=dict, max_length=20)


class StateIn(BaseModel):
    """Hold, release or end."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"state": "held", "reason": "对方停机"}]}
    )
    state: Literal["active", "held", "ended"]
    reason: Text200 = ""


class ReasonIn(BaseModel):
    """Why; it stays on record."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "买方对数量有异议"}]}
    )
    reason: Text200


class SinceIn(BaseModel):
    """From when on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"since": "2026-09-01T00:00:00+08:00"}]}
    )
    since: AwareDatetime


class BackfillStateIn(BaseModel):
    """Stop it for a while, or go on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"state": "paused"}]})
    state: Literal["paused", "running"]


class RetryIn(BaseModel):
    """What is tried again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"refused": True}]})
    refused: bool = Field(False, description="Also what they refused for good, once its cause is mended.")


class ReplayIn(BaseModel):
    """Where to begin again; everything when neither is given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"from_delivery": 90}]})
    from_delivery: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    since: AwareDatetime | None = None
