"""Capture: a document becomes events on record and bills, as one outcome or event by event (EPCIS 2.0 §8.1, §12.7).

How several movements are made atomic. The whole document is worked off inside one database transaction: master data,
checks, then every act through the production and circulation doors on that one connection, in order, each act inside a
savepoint. `rollback`: a problem of any kind ends in a rollback of everything, after the remaining events have been
judged too, so that one answer tells everything. `proceed`: an act that fails goes back to its own savepoint, everything
else is committed. Events, bills and the end of the job are written in the same transaction, so a server that dies in
between has done nothing, and the job is worked off again from its kept body. Nothing is compensated afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import structlog

from yaosu.circulation.store_write import ConflictError
from yaosu.db.engine import Connection
from yaosu.db.trouble import away
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis import reading_json, reading_xml, store
from yaosu.exchange.epcis.acting import Actor, RefusedActError, Tools
from yaosu.exchange.epcis.checks import check, cycles
from yaosu.exchange.epcis.fields import Item, indexed, ours
from yaosu.exchange.epcis.foreign import foreign
from yaosu.exchange.epcis.hashing import hash_id, pre_hash
from yaosu.exchange.epcis.identifiers import company_prefix
from yaosu.exchange.epcis.masterdata import MasterData
from yaosu.exchange.epcis.model import EPCS_MAX, Behaviour, Document, Problem, Read
from yaosu.exchange.epcis.outward import EVENT, bill_of_event
from yaosu.exchange.epcis.parties import Parties, inner_of
from yaosu.exchange.epcis.plan import Act, Planner
from yaosu.exchange.epcis.shape import EPC_FIELDS
from yaosu.exchange.epcis.times import moment
from yaosu.subject import Subject

log = structlog.get_logger("yaosu.exchange.epcis")

TRIES = 4
ERRORS_MAX = 2_000
"""Errors, and warnings, kept of one job; one more entry tells how many there were beyond."""
IDLE_MAX = 500
"""Events put on record in one exchange with the database."""
RETRY = (
    ConflictError,
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


class _RolledBackError(Exception):
    """Ends the transaction of a document that is refused as a whole."""


@dataclass
class Outcome:
    """What became of a document."""

    success: bool = True
    captured: int = 0
    events: int = 0
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    repeated: int = 0


def read(body: bytes, media: str) -> Document:
    """The document of a capture body. `media` json or xml."""
    found = reading_xml.document(body) if media == "xml" else reading_json.document(body)
    count = sum(
        len(v) if isinstance(v, list) else 1
        for e in found.events
        for name in EPC_FIELDS
        if (v := e.body.get(name)) is not None
    )
    if count > EPCS_MAX:
        raise YaosuError("epcis_too_many_epcs", {"count": count, "limit": EPCS_MAX})
    return found


def caller_of(subject: Subject) -> dict[str, Any]:
    """What a job must remember of who captured."""
    return {
        "kind": subject.kind,
        "account_id": subject.account_id,
        "org_id": subject.org_id,
        "org_type": subject.org_type,
        "role": subject.role,
        "scopes": sorted(subject.scopes),
        "lang": subject.lang,
        "region": subject.region,
        "name": subject.name,
    }


def subject_of(caller: dict[str, Any]) -> Subject:
    """Who captured, with the rights of then."""
    return Subject(**{**caller, "scopes": frozenset(caller["scopes"])})


async def queue(
    conn: Connection, subject: Subject, body: bytes, media: str, behaviour: Behaviour, events: int
) -> UUID:
    """Keep a document as a job, in the caller's transaction; its id."""
    job: UUID = await conn.fetchval(
        store.INSERT_JOB,
        *(
            subject.org,
            subject.account_id,
            behaviour,
            media,
            caller_of(subject),
            zlib.compress(body, 1),
            events,
        ),
    )
    return job


class Capture:
    """One document being worked off on one connection."""

    def __init__(
        self, conn: Connection, tools: Tools, subject: Subject, job: UUID, behaviour: Behaviour
    ) -> None:
        self.conn, self.tools, self.subject, self.job = conn, tools, subject, job
        self.all_or_nothing = behaviour == "rollback"
        self.outcome = Outcome()
        self.now = datetime.now(UTC)

    async def run(self, document: Document) -> Outcome:
        """Work the document off; raises _RolledBackError when all of it is to be taken back."""
        self.outcome.events = len(document.events)
        await self.conn.execute(store.LOCK_CAPTURE, self.subject.org)
        if document.entries:
            master = MasterData(self.conn, self.subject, self.tools.registry)
            await master.take(document.entries)
            self.tools.registry = master.registry
            self.outcome.errors += master.problems
        # by the hundred thousand identifiers this takes seconds, in which others must be served
        items = await asyncio.to_thread(self._checked, document)
        await self._work(items)
        return self._end()

    def _checked(self, document: Document) -> list[Item]:
        """Events without a problem of their own."""
        good: list[tuple[Read, Item]] = []
        inside = cycles([(r.index, r.body) for r in document.events])
        for one in document.events:
            path = f"{document.list_path}/{one.index}" if document.list_path else ""
            found = check(one)
            if not found and one.index in inside:
                found = [inside[one.index]]
            if found:
                self.outcome.errors += [Problem(f"{path}/{f.where}" if f.where else path, f) for f in found]
                continue
            good.append((one, self._item(one, path)))
        return [item for _, item in good]

    def _item(self, one: Read, path: str) -> Item:
        digest = hashlib.sha256(pre_hash(one.body, one.prefixes).encode()).digest()
        event_id = one.body.get("eventID") or hash_id(one.body, one.prefixes)
        # whatever a sender says of when it was recorded elsewhere is kept in the body; ours is our own
        return Item(one.index, one.body, one.prefixes, event_id, digest, path, ours(one.body, one.prefixes))

    # -- acts ----------------------------------------------------------------------------------------------

    async def _work(self, items: Sequence[Item]) -> None:
        fresh, known = await self._fresh(items)
        wanted = [inner_of(v) for i in fresh for v in _parties(i)]
        parties = await Parties.load(self.conn, self.tools.registry, self.subject.org, wanted)
        strange = await foreign(self.conn, self.tools.registry, fresh)
        acts = Planner(self.tools.registry, parties, self.subject.org, strange).acts(fresh)
        actor = Actor(self.conn, self.tools, self.subject, parties)
        idle: list[Item] = []
        for n, act in enumerate(acts):
            if act.kind == "keep" and not act.findings:
                idle += act.items
                continue
            await self._keep_idle(idle, known)
            before = [(i, i.state, list(i.bills)) for i in act.items]
            try:
                async with self.conn.transaction():
                    if act.kind == "undo":
                        await self._undo(actor, act, acts, known)
                    else:
                        await actor.do(act, acts[n + 1 :] if act.kind == "activate" else ())
                    for item in act.items:
                        await self._keep(item, known)
            except RefusedActError as refused:
                self.outcome.errors += refused.problems
                for item, state, bills in before:
                    item.state, item.bills = state, bills
                continue
        await self._keep_idle(idle, known)
        self.outcome.warnings += actor.warnings
        self.outcome.warnings += [
            Problem(i.path, Finding("epcis_kept_foreign")) for i in fresh if i.note == "foreign"
        ]
        prefixes = {p for i in fresh for v in _identifiers(i) if (p := company_prefix(v))}
        if prefixes:
            await self.conn.execute(store.PUT_PREFIXES, sorted(prefixes))

    async def _fresh(self, items: Sequence[Item]) -> tuple[list[Item], dict[str, dict[str, Any]]]:
        """Events that are not on record yet, and the record of events by id.

        The same event again is a repeat and captured already; the same id with other content is refused.
        """
        rows = await self.conn.fetch(store.KNOWN_EVENTS, self.subject.org, [i.event_id for i in items])
        known: dict[str, dict[str, Any]] = {}
        declared: dict[str, bytes] = {}
        for row in rows:
            if row["declared"]:
                declared[row["event_id"]] = row["content"]
            else:
                known[row["event_id"]] = dict(row)
        fresh: list[Item] = []
        seen: dict[tuple[str, bool], bytes] = {}
        for item in items:
            if item.event_id.startswith(EVENT) and item.event_id not in known:
                own = await bill_of_event(self.conn, self.subject, self.tools.registry, item.event_id)
                if own is not None:
                    known[item.event_id] = own
            before = declared.get(item.event_id) if item.declared else None
            if not item.declared and item.event_id in known:
                before = known[item.event_id]["content"] or item.content
            before = seen.get((item.event_id, item.declared), before)
            if before is None:
                fresh.append(item)
            elif before == item.content:
                self.outcome.captured += 1
                self.outcome.repeated += 1
                self.outcome.event_ids.append(item.event_id)
            else:
                wrong = Finding("epcis_event_id_taken", {"event_id": item.event_id}, "eventID")
                self.outcome.errors.append(
                    Problem(f"{item.path}/eventID", wrong, "ResourceAlreadyExistsException")
                )
                continue
            seen[item.event_id, item.declared] = item.content
        return fresh, known

    async def _undo(
        self, actor: Actor, act: Act, acts: Sequence[Act], known: dict[str, dict[str, Any]]
    ) -> None:
        """A declaration of an error: the bills of the event are taken back (R-X3)."""
        item = act.items[0]
        original = known.get(item.event_id)
        if original is None:
            # nothing of it is here: the declaration is kept, since the event may have been captured elsewhere
            return
        if original["content"] and original["content"] != item.content:
            wrong = Finding("epcis_erroneous_differs", {"event_id": item.event_id}, "")
            raise RefusedActError([Problem(item.path, wrong)])
        ids = set(item.body["errorDeclaration"].get("correctiveEventIDs") or ())
        correctives = [a for a in acts if a.items[0].event_id in ids and not a.items[0].declared]
        await actor.undo(item, original, correctives)
        if original["id"]:
            await self.conn.execute(store.SET_UNDONE, [original["id"]])

    async def _keep(self, item: Item, known: dict[str, dict[str, Any]]) -> None:
        """Put one event on record with the bills it made."""
        self._kept(item, await store.put_event(self.conn, self._row(item), item.bills), known)

    async def _keep_idle(self, idle: list[Item], known: dict[str, dict[str, Any]]) -> None:
        """Put events on record that nothing is done for; the list is empty afterwards."""
        for n in range(0, len(idle), IDLE_MAX):
            part = idle[n : n + IDLE_MAX]
            numbers = await store.put_events(self.conn, [self._row(i) for i in part])
            for item, number in zip(part, numbers, strict=True):
                self._kept(item, number, known)
        idle.clear()

    def _row(self, item: Item) -> tuple[Any, ...]:
        """What the record of an event holds, in the order of EVENT_COLUMNS."""
        body = item.body
        return (
            *(self.subject.org, item.index, self.job, moment(body["eventTime"]), self.now, item.declared),
            *(item.state, str(body["type"]), body.get("action", ""), body.get("bizStep", "")),
            body.get("disposition", ""),
            *(_place(body, "readPoint"), _place(body, "bizLocation"), item.event_id, item.content),
            *(indexed(body), dict(item.prefixes), zlib.compress(orjson.dumps(body), 1)),
        )

    def _kept(self, item: Item, number: int, known: dict[str, dict[str, Any]]) -> None:
        if not item.declared:
            known[item.event_id] = {
                "id": number,
                "content": item.content,
                "state": item.state,
                "bills": list(item.bills),
            }
        self.outcome.captured += 1
        self.outcome.event_ids.append(item.event_id)

    def _end(self) -> Outcome:
        outcome = self.outcome
        outcome.success = not outcome.errors
        if outcome.errors and self.all_or_nothing:
            outcome.captured = 0
            raise _RolledBackError
        return outcome


def _place(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return inner_of(str(value["id"])) if isinstance(value, dict) and "id" in value else ""


def _parties(item: Item) -> list[str]:
    found = [str(p["source"]) for p in item.body.get("sourceList") or ()]
    found += [str(p["destination"]) for p in item.body.get("destinationList") or ()]
    for name in ("readPoint", "bizLocation"):
        if isinstance(item.body.get(name), dict):
            found.append(str(item.body[name].get("id", "")))
    found += [str(item.own[n]) for n in ("from", "to", "principal", "carrier", "direct") if n in item.own]
    return found


def _identifiers(item: Item) -> list[str]:
    found: list[str] = []
    for name in EPC_FIELDS:
        value = item.body.get(name)
        found += value[:50] if isinstance(value, list) else [value] if value else []
    return [*found, *_parties(item)]


async def work_off(
    conn: Connection, tools: Tools, subject: Subject, job: UUID, behaviour: Behaviour, document: Document
) -> Outcome:
    """Work a document off inside the caller's transaction, all of it in a savepoint of its own."""
    capture = Capture(conn, tools, subject, job, behaviour)
    try:
        async with conn.transaction():
            return await capture.run(document)
    except _RolledBackError:
        pass
    except YaosuError as error:
        found = error.findings or (Finding(error.code, error.params),)
        capture.outcome.errors += [Problem(f.where, f) for f in found]
    outcome = capture.outcome
    outcome.success, outcome.captured, outcome.event_ids = False, 0, []
    return outcome


async def run_job(conn: Connection, tools: Tools, job: UUID) -> bool:
    """Work one job off; False when another server has it or it is done. Never raises for bad input.

    Tried again when somebody was faster at the same units; given up as failed after a few tries.
    """
    registry = tools.registry
    for attempt in range(TRIES):
        tools.registry = registry
        try:
            async with conn.transaction():
                row = await conn.fetchrow(store.CLAIM_JOB, job)
                if row is None:
                    return False
                await _run(conn, tools, dict(row))
            return True
        except RETRY as error:
            log.info("epcis_capture_retried", job=str(job), attempt=attempt, reason=type(error).__name__)
        except Exception as error:
            if away(error):
                # the job stands as it was: it is taken up again
                raise
            log.error("epcis_capture_failed", job=str(job), exc_info=error)
            break
    shown = Finding("internal_error", {"incident": str(job)[:8]})
    failure = Problem("", shown, "ImplementationException")
    await conn.execute(store.END_JOB, job, "failed", False, 0, [failure.as_json("zh")], [], 0, None)
    return True


async def _run(conn: Connection, tools: Tools, row: dict[str, Any]) -> None:
    subject, begun = subject_of(row["caller"]), datetime.now(UTC)
    document = await asyncio.to_thread(read, zlib.decompress(row["body"]), row["media"])
    outcome = await work_off(conn, tools, subject, row["id"], row["behaviour"], document)
    errors, warnings = _told(outcome.errors, subject.lang), _told(outcome.warnings, subject.lang)
    await conn.execute(
        store.END_JOB,
        *(row["id"], "done", outcome.success, outcome.captured, errors, warnings, outcome.events),
        begun,
    )


def _told(problems: Sequence[Problem], lang: str) -> list[dict[str, object]]:
    """Problems as the job keeps them; the last one says how many more there were."""
    found = [p.as_json(lang) for p in problems[:ERRORS_MAX]]
    if len(problems) > ERRORS_MAX:
        more = Finding("epcis_more_problems", {"count": len(problems) - ERRORS_MAX})
        found.append(Problem("", more).as_json(lang))
    return found
