"""The record of changes and sign-ins (R-E3): append-only, without secrets and without personal identifiers.

Callers put numbers and codes in `details`, never names of patients, document numbers, passwords or keys;
names of details that look like secrets are refused outright.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar

from yaosu.access.model import AuditEntry
from yaosu.db.engine import Connection
from yaosu.subject import Subject

_SECRET = re.compile(r"password|secret|token|csrf|id_card|id_number|phone|patient", re.IGNORECASE)

caller_address: ContextVar[str] = ContextVar("caller_address", default="")
"""Network address of the request being served, set by the middleware."""

RECORD = """
INSERT INTO audit (subject_kind, subject_id, org_id, action, object_type, object_id, address, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id"""

# Newest first, by number: cursor pages do not shift when new entries arrive.
OF_ORG = """
SELECT e.id, e.at, e.subject_kind, e.subject_id, coalesce(a.login, '') AS subject_login, e.org_id, e.action,
       e.object_type, e.object_id, e.address, e.details
FROM (SELECT * FROM audit WHERE org_id IS NOT DISTINCT FROM $1 AND id < $2 AND ($3 = '' OR action = $3)
      ORDER BY id DESC LIMIT $4) e
LEFT JOIN account a ON e.subject_kind = 'account' AND a.id::text = e.subject_id
ORDER BY e.id DESC"""

NEWEST = 2**63 - 1


def subject_id(subject: Subject) -> str:
    """Number of the account, or shown prefix of the key; the software itself has neither."""
    if subject.kind == "account":
        return str(subject.account_id)
    return subject.session_id if subject.kind == "key" else ""


async def record(
    conn: Connection,
    subject: Subject,
    action: str,
    obj: tuple[str, object],
    details: Mapping[str, object] | None = None,
    org_id: int | None = None,
) -> int:
    """Write one entry: `action` like "account.create", `obj` as (type, id). Returns the entry's number.

    `org_id` is whose record it is, the subject's organisation unless given. Raises ValueError for a detail
    whose name says that it is a secret or identifies a person.
    """
    kept = dict(details or {})
    for name in kept:
        if _SECRET.search(name):
            raise ValueError(f"{name!r} has no place in the audit record")
    number: int = await conn.fetchval(
        RECORD,
        subject.kind,
        subject_id(subject),
        org_id if org_id is not None else subject.org_id,
        action,
        obj[0],
        str(obj[1]),
        caller_address.get(),
        kept,
    )
    return number


async def entries(
    conn: Connection, subject: Subject, before: int | None = None, action: str = "", limit: int = 50
) -> list[AuditEntry]:
    """Entries of the subject's own organisation, newest first (`audit.read`)."""
    subject.require("audit.read")
    rows = await conn.fetch(OF_ORG, subject.org_id, before or NEWEST, action, limit)
    return [AuditEntry(**dict(row)) for row in rows]
