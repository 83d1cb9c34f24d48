"""Values of the access room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from yaosu.errors import YaosuError
from yaosu.subject import Subject


@dataclass(frozen=True, slots=True)
class OrgFacts:
    """What access needs to know of an organisation; the registry owns the rest."""

    org_type: str
    """Type of the field (standards §5.8): 1 maker, 2 wholesaler, 3 medical, 4 retail, … 110 government."""
    region: str
    """GB/T 2260 code, six digits."""
    name: str
    active: bool
    sub_type: int | None = None
    """List `org_sub_type`."""

    @property
    def kind(self) -> tuple[str, int | None]:
        """Type and sub-type: by these roles are given."""
        return self.org_type, self.sub_type


@dataclass(frozen=True, slots=True)
class Identity:
    """A recognised caller with what the middleware must remember about it."""

    subject: Subject
    csrf: str = ""
    """The session's CSRF secret; empty for API keys, which need none."""
    key_id: int | None = None
    session_id: int | None = None
    org_name: str = ""
    must_change: bool = False
    """A new password is due before anything else."""
    valid_until: datetime | None = None
    """When key or session ends whatever the cache says; None for a key without expiry."""
    maker_id: int | None = None
    """The account that answers for a key: a change of it changes what the key may do."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Outcome of an attempt to sign in.

    A refusal is returned, not raised: the caller's transaction must commit the counted failure.
    """

    token: str = ""
    """The secret for the cookie, given out once."""
    csrf: str = ""
    subject: Subject | None = None
    must_change: bool = False
    refusal: YaosuError | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A person who can sign in."""

    id: int
    login: str
    name: str
    org_id: int | None
    role: str
    lang: str
    active: bool
    must_change: bool
    locked_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program that can call the API. The secret is not here: only its digest is kept."""

    id: int
    prefix: str
    name: str
    org_id: int | None
    scopes: tuple[str, ...]
    """As written on it; `in_force` is what it may do today."""
    created_by: int | None
    """The account that answers for it: who made it, or took it over since."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    in_force: tuple[str, ...] = ()
    """Permissions that its organisation and the role of the account behind it allow today."""
    maker: str = ""
    """Login of the account that answers for it; empty for keys that the platform or another key made."""
    maker_active: bool | None = None
    """Whether that account is in use; None when nobody answers for it."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the record of changes."""

    id: int
    at: datetime
    subject_kind: str
    subject_id: str
    """Number of the account, or the key's shown prefix."""
    subject_login: str
    """The account's login today; empty for keys."""
    org_id: int | None
    action: str
    object_type: str
    object_id: str
    address: str
    details: dict[str, object]
