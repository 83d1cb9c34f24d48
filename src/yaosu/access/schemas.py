"""What the API of access takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import IntId, Name


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is not dropped silently."""

    model_config = ConfigDict(extra="forbid")


Password = Annotated[str, Field(min_length=1, max_length=200, examples=["a-long-pass-phrase"])]
Login = Annotated[str, Field(min_length=1, max_length=64, examples=["li.na"])]
Lang = Literal["zh", "en"]


class SignInBody(Body):
    """Login and password."""

    login: Login
    password: Password


class MeOut(BaseModel):
    """Who the caller is."""

    kind: str = Field(examples=["account"])
    account_id: int | None = Field(examples=[12])
    org_id: int | None = Field(examples=[3])
    org_type: str = Field(description="standards §5.8, e.g. 2 wholesaler", examples=["2"])
    role: str = Field(examples=["warehouse"])
    scopes: list[str] = Field(examples=[["bill.read", "bill.write"]])
    lang: str = Field(examples=["zh"])
    region: str = Field(description="GB/T 2260", examples=["650100"])
    name: str = Field(examples=["李娜"])


class SessionOut(BaseModel):
    """A new session; its token travels in the cookie alone."""

    csrf: str = Field(description="send as X-CSRF-Token with every change", examples=["9Gm…43 characters"])
    must_change: bool = Field(description="a new password is due before anything else", examples=[False])
    me: MeOut


class PasswordBody(Body):
    """The old and the new password."""

    current: Password
    new: Password


class AccountBody(Body):
    """A new account. Without a password one is made up and returned once."""

    login: Login
    name: Name = Field(examples=["李娜"])
    role: str = Field(max_length=40, examples=["warehouse"])
    lang: Lang = "zh"
    org_id: IntId | None = Field(default=None, description="for the platform's operator only", examples=[3])


class AccountChange(Body):
    """What is given is changed."""

    name: Name | None = Field(default=None, examples=["李娜"])
    role: str | None = Field(default=None, max_length=40, examples=["sales"])
    active: bool | None = Field(default=None, examples=[True])
    lang: Lang | None = Field(default=None, examples=["zh"])


class AccountOut(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[12])
    login: str = Field(examples=["li.na"])
    name: str = Field(examples=["李娜"])
    org_id: int | None = Field(examples=[3])
    role: str = Field(examples=["warehouse"])
    lang: str = Field(examples=["zh"])
    active: bool = Field(examples=[True])
    must_change: bool = Field(examples=[True])
    locked_until: datetime | None = Field(examples=[None])
    created_at: datetime = Field(examples=["2026-09-30T10:12:31+08:00"])


class NewAccountOut(BaseModel):
    """The account and its first password, shown this once."""

    account: AccountOut
    password: str = Field(examples=["kq7m-x2vt-9hre-4pzd"])


class FirstPasswordOut(BaseModel):
    """A first password, shown this once."""

    password: str = Field(examples=["kq7m-x2vt-9hre-4pzd"])


class AccountsOut(BaseModel):
    """A page of accounts."""

    items: list[AccountOut]
    next: str | None = Field(examples=[None])


class KeyBody(Body):
    """A new key."""

    name: Name = Field(examples=["ERP 正式环境"])
    scopes: list[Annotated[str, Field(max_length=40)]] = Field(
        max_length=100, examples=[["bill.write", "bill.read"]]
    )
    expires_at: AwareDatetime | None = Field(default=None, examples=["2027-09-30T00:00:00+08:00"])
    org_id: IntId | None = Field(default=None, description="for the platform's operator only", examples=[3])


class KeyOut(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[5])
    prefix: str = Field(examples=["yk_7h2kq9xm"])
    name: str = Field(examples=["ERP 正式环境"])
    org_id: int | None = Field(examples=[3])
    scopes: list[str] = Field(examples=[["bill.read", "bill.write"]])
    in_force: list[str] = Field(
        description="Permissions that the role of the account behind it and the organisation allow today.",
        examples=[["bill.read", "bill.write"]],
    )
    created_by: int | None = Field(description="The account that answers for it.", examples=[12])
    maker_active: bool | None = Field(
        description="Whether that account is in use; with it the key ends. Null when nobody answers for the key.",
        examples=[True],
    )
    created_at: datetime = Field(examples=["2026-09-30T10:12:31+08:00"])
    expires_at: datetime | None = Field(examples=["2027-09-30T00:00:00+08:00"])
    revoked_at: datetime | None = Field(examples=[None])
    last_used_at: datetime | None = Field(examples=["2026-10-01T08:00:02+08:00"])


class NewKeyOut(BaseModel):
    """The key and its secret, shown this once."""

    key: KeyOut
    secret: str = Field(examples=["yk_7h2kq9xm_…43 characters"])


class KeysOut(BaseModel):
    """A page of keys."""

    items: list[KeyOut]
    next: str | None = Field(examples=[None])


class AuditOut(BaseModel):
    """One entry of the record of changes."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[901])
    at: datetime = Field(examples=["2026-09-30T10:12:31+08:00"])
    subject_kind: str = Field(examples=["account"])
    subject_id: str = Field(description="account number or key prefix", examples=["12"])
    subject_login: str = Field(examples=["li.na"])
    org_id: int | None = Field(examples=[3])
    action: str = Field(examples=["key.create"])
    object_type: str = Field(examples=["key"])
    object_id: str = Field(examples=["5"])
    address: str = Field(examples=["10.1.2.3"])
    details: dict[str, object] = Field(examples=[{"prefix": "yk_7h2kq9xm"}])


class AuditsOut(BaseModel):
    """A page of the record, newest first."""

    items: list[AuditOut]
    next: str | None = Field(examples=["901"])


class RoleOut(BaseModel):
    """A role that the organisation can give."""

    id: str = Field(examples=["warehouse"])
    zh: str = Field(examples=["仓库"])
    en: str = Field(examples=["Warehouse"])
    scopes: list[str] = Field(examples=[["bill.read", "bill.write"]])


class ScopeOut(BaseModel):
    """A permission that a key can carry."""

    id: str = Field(examples=["bill.read"])
    zh: str = Field(examples=["查看单据"])
    en: str = Field(examples=["Read bills"])


class RolesOut(BaseModel):
    """Roles and permissions that fit the caller's organisation."""

    roles: list[RoleOut]
    scopes: list[ScopeOut]
