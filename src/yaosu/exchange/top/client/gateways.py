"""Where trace systems answer: the operator's data, because what comes from there enters the books (R-A4)."""

from __future__ import annotations

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.top.client import store
from yaosu.registry.roles import require_operator
from yaosu.subject import Subject

URL_MAX = 500


async def set_gateway(conn: Connection, subject: Subject, system_id: int, url: str) -> None:
    """Enter the address of another trace system's gateway (operator only). Refused: `field_invalid`, `not_found`."""
    require_operator(subject)
    text = url.strip()
    if len(text) > URL_MAX or not text.startswith(("https://", "http://")) or not text.isprintable():
        raise YaosuError("field_invalid", {"field": "url", "reason": text[:100]})
    if await conn.fetchval(store.SET_GATEWAY, system_id, text) is None:
        raise YaosuError("not_found", {"what": "追溯系统 / trace system"})
    await audit.record(conn, subject, "trace_system.gateway", ("trace_system", system_id), {"url": text})
