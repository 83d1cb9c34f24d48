"""What firms of other trace systems did, booked here through the one write path (R-B9).

Codes that live here: the movement is a bill of that firm, submitted by its system. Codes that live elsewhere and come
to a firm of ours: they are adopted, and our firm has a notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from yaosu.circulation.committer import Committer
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.service import submit
from yaosu.codes import TraceCode, parse
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.exchange.adopt import service as adopt
from yaosu.exchange.adopt.model import Package, Upstream
from yaosu.exchange.xietong import store_client as store
from yaosu.exchange.xietong.apply_base import home_of, org_of
from yaosu.exchange.xietong.bills import HEADER_KEPT
from yaosu.exchange.xietong.envelope import Content
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.subject import ADMIN, Subject

CODES_MAX = 1_000_000
DEPTH_MAX = 12


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of an event. `state`: done, partly, refused; `held`: it may still be done later, so it waits."""

    state: str
    bill_id: int | None
    said: dict[str, Any]
    held: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """What booking needs."""

    pool: Pool
    committer: Committer
    registry: Registry
    master: bytes


@dataclass(frozen=True, slots=True)
class _Word:
    """An event's header in our numbers."""

    home: int
    owner: int
    submitter: int
    type: int
    kind: str
    bill_no: str
    revision: int
    void: bool
    to: int | None


async def apply(desk: Desk, origin: str, content: Content, body: bytes, last: bool) -> Booked:
    """Book one event of application data. `last`: what can be booked is, the rest is refused."""
    async with desk.pool.acquire() as conn:
        word = await _word(conn, desk.registry, origin, content)
        done = await conn.fetchrow(store.BOOKED, word.owner, word.bill_no)
    if done is not None and (done["revision"], done["void"]) >= (word.revision, word.void):
        return Booked("done", done["bill_id"], {"note": "superseded"})
    mine, theirs = _split(desk.registry, content)
    if mine and theirs:
        raise content.wrong("codes", "一个事件只含同一追溯系统的追溯码", "an event has codes of one home")
    if theirs and not word.void:
        if word.kind != "ship" or word.to is None:
            return Booked("done", None, {"note": "not ours"})
        async with desk.pool.acquire() as conn:
            if word.to in await adopt.foreign(conn, [word.to]):
                return Booked("done", None, {"note": "not ours"})
    base = await _movement(desk, word, content, [c.text for c in (mine or theirs)], body, last)
    if theirs and base.revision == 1 and not word.void:
        booked = await _adopt(desk, word, content, base, last)
    elif word.void and base.revision == 1:
        booked = Booked("done", None, {"note": "never booked"})
    else:
        booked = await _submit(desk, word, base, last)
    if not booked.held:
        async with desk.pool.acquire() as conn:
            args = (word.revision, word.void, booked.bill_id)
            await conn.execute(store.SET_BOOKED, word.owner, word.bill_no, *args)
    return booked


async def speaks_for(conn: Connection, origin: str, home: int, owner: int) -> bool:
    """Whether a system may report for a firm: one that does not work here and is its customer, as it told itself."""
    works_in = (await adopt.foreign(conn, [owner])).get(owner)
    if works_in is None:
        return False
    return works_in == home or await conn.fetchval(store.IS_CUSTOMER, owner, origin) is not None


async def _word(conn: Connection, registry: Registry, origin: str, content: Content) -> _Word:
    """The header, with the right of the origin to speak for the owner."""
    home = await home_of(conn, origin)
    key = content.text("owner", True, 40)
    owner = await org_of(conn, registry, key)
    if owner is None:
        raise YaosuError("xietong_no_firm_here", {"firm": key})
    if not await speaks_for(conn, origin, home, owner):
        raise YaosuError("xietong_not_your_firm", {"firm": key})
    number = content.whole("type", None, 1, 999)
    kind = submittable().get(number)
    if kind is None:
        raise content.wrong("type", "没有这一单据类型", "no such bill type")
    to_key = content.text("to", False, 40)
    to = await org_of(conn, registry, to_key)
    if to_key and to is None:
        raise YaosuError("xietong_no_firm_here", {"firm": to_key})
    operator = registry.system(home)
    submitter = owner
    for card in registry.orgs():
        if operator is not None and operator.operator and card.name == operator.operator:
            submitter = card.id
            break
    return _Word(
        home,
        owner,
        submitter,
        number,
        kind.kind,
        content.text("bill_no", True, 64),
        content.whole("revision", 1, 1, 30_000),
        content.flag("void"),
        to,
    )


def _split(registry: Registry, content: Content) -> tuple[list[TraceCode], list[TraceCode]]:
    """The codes that live here, and those that live elsewhere; refused while one of them is not known at all."""
    mine: list[TraceCode] = []
    theirs: list[TraceCode] = []
    for number, raw in enumerate(content.many("codes", CODES_MAX)):
        code = parse(raw, registry.customs) if isinstance(raw, str) else None
        if not isinstance(code, TraceCode):
            raise content.wrong(f"codes.{number}", "不是追溯码", "not a trace code")
        found = registry.resolve(code)
        if found.kind == "known":
            mine.append(code)
        elif found.kind == "elsewhere" and found.drug_id is not None:
            theirs.append(code)
        else:
            raise YaosuError("xietong_no_product_here", {"value": code.text})
    return mine, theirs


async def _movement(
    desk: Desk, word: _Word, content: Content, codes: Sequence[str], body: bytes, last: bool
) -> Movement:
    """The bill as ours: its revision is counted in our books."""
    async with desk.pool.acquire() as conn:
        latest = await conn.fetchrow(store.LATEST, word.owner, word.bill_no)
        others = {}
        for field in ("from", "principal", "carrier", "direct"):
            key = content.text(field, False, 40)
            others[field] = await org_of(conn, desk.registry, key)
            if key and others[field] is None and field == "from":
                raise YaosuError("xietong_no_firm_here", {"firm": key})
    header = {k: v for k, v in content.part("header", False).values.items() if k in HEADER_KEPT}
    parts = {
        str(k): int(v) for k, v in content.part("parts", False).values.items() if isinstance(v, int) and v > 0
    }
    return Movement(
        type=word.type,
        bill_no=word.bill_no,
        owner=word.owner,
        happened_at=content.time("happened_at"),
        codes=[] if word.void else list(codes),
        revision=latest["revision"] + 1 if latest is not None else 1,
        void=word.void,
        from_org=others["from"] if word.kind == "receive" else None,
        to_org=word.to if word.kind == "ship" else None,
        principal=others["principal"],
        carrier=others["carrier"],
        direct_org=others["direct"],
        mode="per_code" if last else "atomic",
        header=header,
        body=body,
        parts={} if word.void else parts,
    )


async def _submit(desk: Desk, word: _Word, base: Movement, last: bool) -> Booked:
    """Through the one write path. A repeat after a crash finds the revision that is there already."""
    subject = Subject("system", org_id=word.submitter, scopes=frozenset({ADMIN}), name="xietong")
    tries = [base]
    if base.revision > 1:
        # booked before, and the word of it lost: the same content gets the same answer
        tries.insert(0, replace(base, revision=base.revision - 1))
    error: YaosuError | None = None
    for movement in tries:
        try:
            result = await submit(desk.pool, desk.committer, desk.registry, subject, movement)
        except YaosuError as caught:
            if caught.code == "bill_is_void" and word.void:
                return Booked("done", None, {"note": "void already"})
            error = caught
            continue
        return _result(result, last)
    assert error is not None
    return Booked("refused", None, {"error": error.as_json("zh")}, held=not last)


def _result(result: MovementResult, last: bool) -> Booked:
    refused = [
        {"code": r.code or r.raw, "verdict": r.verdict, "message": r.as_json("zh")["message"]}
        for r in result.results
        if not r.accepted
    ]
    said: dict[str, Any] = {"refused": refused[:1000]} if refused else {}
    if result.status == "refused":
        return Booked("refused", result.bill_id or None, said, held=not last)
    state = "partly" if refused else "done"
    return Booked(state, result.bill_id or None, said)


async def _adopt(desk: Desk, word: _Word, content: Content, base: Movement, last: bool) -> Booked:
    """Goods of another home for a firm of ours."""
    assert base.to_org is not None
    packages = [package(desk.registry, one, 0) for one in content.parts("packages", CODES_MAX, needed=True)]
    upstream = Upstream(
        # the home of the codes, which need not be the system of the firm that ships them
        system_id=_home(desk.registry, packages[0].code),
        from_org=word.owner,
        to_org=base.to_org,
        bill_no=word.bill_no,
        happened_at=base.happened_at,
        packages=packages,
        bill_type=word.type,
        header=base.header,
        body=base.body,
    )
    try:
        found = await adopt.adopt(desk.pool, desk.committer, desk.registry, desk.master, upstream)
    except YaosuError as error:
        return Booked("refused", None, {"error": error.as_json("zh")}, held=not last)
    refused = [f.as_json("zh") for f in found.refused]
    if found.bill is None:
        return Booked("refused", None, {"refused": refused[:1000]}, held=not last)
    booked = _result(found.bill, last)
    if refused:
        more = [*booked.said.get("refused", []), *refused][:1000]
        return replace(
            booked, state="partly" if booked.state == "done" else booked.state, said={"refused": more}
        )
    return booked


def _home(registry: Registry, text: str) -> int:
    code = parse(text, registry.customs)
    found = registry.resolve(code) if isinstance(code, TraceCode) else None
    return found.system.id if found is not None and found.system is not None else 0


def package(registry: Registry, one: Content, depth: int) -> Package:
    """A package as told; refused with its place when the ladder or the dates are not there."""
    if depth > DEPTH_MAX:
        raise one.wrong("children", "嵌套过深", "nested too deep")
    text = one.text("code", True, 100)
    code = parse(text, registry.customs)
    found = registry.resolve(code) if isinstance(code, TraceCode) else None
    if found is None or found.drug_id is None:
        raise YaosuError("xietong_no_product_here", {"value": text})
    days = {}
    for name in ("produced_on", "expires_on"):
        try:
            days[name] = date.fromisoformat(one.text(name, True, 10))
        except ValueError:
            raise one.wrong(name, "应为日期", "a date") from None
    return Package(
        code=code.text if isinstance(code, TraceCode) else text,
        level=one.whole("level", None, 1, 9),
        drug_id=found.drug_id,
        batch_no=one.text("batch_no", True, 64),
        produced_on=days["produced_on"],
        expires_on=days["expires_on"],
        children=[package(registry, child, depth + 1) for child in one.parts("children", CODES_MAX)],
    )
