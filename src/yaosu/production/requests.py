"""Code requests (追溯码申请): ranges of numbers under a prefix, from which codes are computed (D6, R-A1, R-X8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from asyncpg import Record

from yaosu.access import audit
from yaosu.codes import CustomPattern, NotACode, parse
from yaosu.codes.issue import COUNTER_SPACE, derive, locate, split_own
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import store_requests as store
from yaosu.production.relation.validate import acts_for
from yaosu.registry.resolver import Registry
from yaosu.registry.service import in_use_checks, require_filed
from yaosu.subject import Subject

KEY_ID = 1
"""Issue key for new prefixes. A prefix keeps the key it began with."""
ISSUABLE = frozenset({"cn20", "gs1"})
PAGE_MAX = 200
NEWEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CodeRange:
    """The codes of one package level in a request."""

    level: int
    scheme: str
    prefix: str
    key_id: int
    start_no: int
    count: int


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """追溯码申请单."""

    id: int
    org: int
    drug_id: int
    filing_id: int
    state: str
    """ready, or downloaded."""
    purpose: str
    client_ref: str
    total: int
    requested_by: int | None
    made_at: datetime
    downloaded_at: datetime | None
    downloads: int
    ranges: tuple[CodeRange, ...]

    def range(self, level: int) -> CodeRange | None:
        """The codes of a level."""
        return next((r for r in self.ranges if r.level == level), None)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a code comes from: issued here, in which request, as which number."""

    code: str
    issued: bool
    request_id: int | None = None
    number: int | None = None
    """Position in the request's range of its level, 0 = first."""
    level: int | None = None
    drug_id: int | None = None
    made_at: datetime | None = None


def _request(row: Record) -> CodeRequest:
    values = {k: row[k] for k in row.keys() if k != "ranges"}  # noqa: SIM118 - a Record iterates values
    return CodeRequest(**values, ranges=tuple(CodeRange(**r) for r in row["ranges"] or ()))


async def create(
    conn: Connection,
    subject: Subject,
    registry: Registry,
    drug_id: int,
    counts: Mapping[int, int],
    purpose: str = "",
    client_ref: str = "",
) -> CodeRequest:
    """Ask for `counts[level]` codes of each package level (`code.request`).

    Every level's identifier must be filed for our system (`prefix_not_filed` …, R-A1). The same `client_ref` again
    gives the request of then; with other content it is refused (`code_request_repeated`). Also refused:
    `code_request_not_yours`, `code_request_level`, `code_request_scheme`, `code_request_count`,
    `code_range_used_up`.
    """
    subject.require("code.request")
    product = registry.product(drug_id)
    if product is None:
        raise YaosuError("product_not_found")
    if not acts_for(registry, product, subject.org):
        raise YaosuError("code_request_not_yours")
    wanted = {level: count for level, count in sorted(counts.items()) if count}
    if not wanted:
        raise YaosuError("code_request_empty")
    if client_ref:
        earlier = await conn.fetchrow(store.BY_REF, subject.org, client_ref)
        if earlier is not None:
            found = _request(earlier)
            if found.drug_id != drug_id or {r.level: r.count for r in found.ranges} != wanted:
                raise YaosuError("code_request_repeated", {"client_ref": client_ref})
            return found
    filing_id = 0
    levels = []
    for number, count in wanted.items():
        level = product.level(number)
        if level is None:
            raise YaosuError("code_request_level", {"level": number})
        if level.scheme not in ISSUABLE:
            raise YaosuError("code_request_scheme", {"level": number, "scheme": level.scheme})
        if not 1 <= count <= COUNTER_SPACE:
            raise YaosuError("code_request_count", {"count": count, "max": COUNTER_SPACE})
        filing_id = await require_filed(conn, level.identifier)
        levels.append((level, count))
    request_id = await conn.fetchval(
        store.INSERT,
        *(subject.org, drug_id, filing_id, purpose, client_ref, sum(wanted.values()), subject.account_id),
    )
    # counters in the order of prefixes, so that two requests never wait for each other in a circle
    for level, count in sorted(levels, key=lambda pair: pair[0].identifier):
        counter = await conn.fetchrow(store.COUNTER, level.identifier, KEY_ID)
        assert counter is not None
        left = COUNTER_SPACE - counter["next_no"]
        if count > left:
            raise YaosuError("code_range_used_up", {"prefix": level.identifier, "left": left})
        await conn.execute(store.ADVANCE, level.identifier, count)
        await conn.execute(
            store.INSERT_RANGE,
            *(request_id, level.level, level.scheme, level.identifier),
            *(counter["key_id"], counter["next_no"], count),
        )
    await audit.record(
        conn,
        subject,
        "code.request",
        ("code_request", request_id),
        {"drug_id": drug_id, "counts": {str(k): v for k, v in wanted.items()}},
    )
    return await get(conn, subject, request_id)


async def get(conn: Connection, subject: Subject, request_id: int) -> CodeRequest:
    """One request of the own organisation (`production.read`), or `not_found`."""
    subject.require("production.read")
    row = await conn.fetchrow(store.BY_ID, subject.org, request_id)
    if row is None:
        raise YaosuError("not_found", {"what": "申请单 / request"})
    return _request(row)


async def list_own(
    conn: Connection, subject: Subject, before: int | None = None, limit: int = 50
) -> list[CodeRequest]:
    """Requests of the own organisation, newest first (`production.read`)."""
    subject.require("production.read")
    rows = await conn.fetch(store.LIST, subject.org, before or NEWEST, min(max(limit, 1), PAGE_MAX))
    return [_request(row) for row in rows]


async def mark_downloaded(conn: Connection, subject: Subject, request: CodeRequest, what: str) -> None:
    """Write down that codes were given out (`code.request`); who has a code file can print codes."""
    subject.require("code.request")
    await conn.execute(store.DOWNLOADED, request.id)
    await audit.record(conn, subject, "code.download", ("code_request", request.id), {"what": what})


async def whose(
    conn: Connection, subject: Subject, master: bytes, raw: str, customs: tuple[CustomPattern, ...] = ()
) -> Origin:
    """«Was this code issued by us, in which request, as which number» — by computation (`production.read`).

    Whether a code was issued is told to every caller with the permission; the request only to its owner and to
    the operator. Text that is no trace code is refused with the reason.
    """
    subject.require("production.read")
    code = parse(raw, customs)
    if isinstance(code, NotACode):
        raise YaosuError(code.code, {**code.params, "raw": code.raw})
    own = split_own(code.text)
    if own is None:
        return Origin(code.text, False)
    for row in await conn.fetch(store.KEYS_OF, own[0]):
        number = locate(code.text, derive(master, row["key_id"]))
        if number is None:
            continue
        found = await conn.fetchrow(store.RANGE_OF, own[0], number)
        if found is None or number >= found["start_no"] + found["count"]:
            continue
        if found["org"] != subject.org_id and subject.role != "operator":
            return Origin(code.text, True)
        return Origin(
            code.text,
            True,
            found["request_id"],
            number - found["start_no"],
            found["level"],
            found["drug_id"],
            found["made_at"],
        )
    return Origin(code.text, False)


async def is_coded(conn: Connection, drug_id: int) -> bool:
    """Whether codes of a product were requested or activated: its levels then stay as they are."""
    return bool(await conn.fetchval(store.IN_USE, drug_id))


if is_coded not in in_use_checks:
    in_use_checks.append(is_coded)
