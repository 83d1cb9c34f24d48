"""Verbs of the native door: a settlement check as our own API takes it, and the ledger of settled codes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.insurance import cases, looking, remit, settling, store_case
from yaosu.insurance.model import Act, Institution, Line
from yaosu.insurance.schemas import CheckIn
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

SCOPE = "insurance.settle"


async def act_of(
    conn: Connection, registry: Registry, subject: Subject, body: CheckIn
) -> tuple[Institution, Act]:
    """The institution that settles, and its act. Refused: `insurance_not_registered`, `not_found`."""
    subject.require(SCOPE)
    institution = await remit.institution_for(conn, registry, subject, body.institution)
    numbers = {"doc": body.act, "mdtrt": body.visit, "setl": body.settlement}
    keys = {kind: number for kind, number in numbers.items() if number}
    lines = [
        Line(
            n + 1,
            line.codes,
            {"fee": line.line_no} if line.line_no else {"line": f"{body.act}#{n + 1}"},
            line.med_list_codg,
            line.quantity,
            line.split,
            line.unit,
            line.purchased_on,
        )
        for n, line in enumerate(body.lines)
    ]
    return institution, Act(body.act, "settle", body.sold_at or datetime.now(UTC), lines, keys)


async def take_back(
    conn: Connection, registry: Registry, subject: Subject, institution: str, act: str
) -> int:
    """How many codes of the act may be settled again. Refused: `insurance_settlement_ended`."""
    subject.require(SCOPE)
    one = await remit.institution_for(conn, registry, subject, institution)
    count = await settling.take_back_act(conn, one, act, act)
    if not count:
        raise YaosuError("insurance_settlement_ended", {"act": act})
    return count


async def settlements(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    code: str,
    state: str,
    before: int,
    count: int,
) -> Sequence[Record]:
    """Rows of the settlement ledger that the subject sees, newest first; for who settles and who handles cases."""
    subject.require(SCOPE if subject.can(SCOPE) else cases.SCOPE)
    reader = await remit.reader_of(conn, registry, subject)
    codes, drugs = None, None
    if code.strip():
        (one,) = looking.ask(registry, [(code.strip(), datetime.now(UTC))])
        codes, drugs = [one.code], sorted({one.drug_id, 0})
    return list(
        await conn.fetch(
            store_case.SETTLEMENTS, reader.prefix, list(reader.institutions), codes, drugs,
            [state] if state else None, before, count,
        )
    )  # fmt: skip
