"""The calls that were received, as their institution and its bureau may read them: answers, never the sealed calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.insurance import remit, store_message
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

SCOPE = "insurance.case"


async def listed(
    conn: Connection, registry: Registry, subject: Subject, refused: bool, before: int, count: int
) -> Sequence[Record]:
    """Calls of the subject's institutions or region, newest first."""
    subject.require(SCOPE)
    reader = await remit.reader_of(conn, registry, subject)
    return list(
        await conn.fetch(
            store_message.MESSAGES, reader.prefix, list(reader.institutions), refused, before, count
        )
    )


def as_json(row: Record) -> dict[str, Any]:
    """One call."""
    answer = row["answer"] or {}
    return {
        "id": row["id"],
        "received_at": row["received_at"].isoformat(),
        "institution": {"code": row["institution_code"], "name": row["name"]},
        "infno": row["infno"],
        "msgid": row["msgid"],
        "rows": row["rows"],
        "refused": row["refused"],
        "kept": row["kept"],
        "infcode": answer.get("infcode", "0"),
        "err_msg": answer.get("err_msg", ""),
        "warn_msg": answer.get("warn_msg", ""),
    }
