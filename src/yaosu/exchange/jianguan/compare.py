"""Reconciliation: both sides prove that they hold the same (R-H1).

The sender asks the regulator for count, quantity and digest of a range of numbers. Where they are not its own it halves
the range again and again until single events are left, sends these again, and compares once more. Digests are made of
the events as they are stored, not of a remembered sum, so a change behind the software's back is found on either side.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from yaosu import gm
from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.jianguan import form, held, wire
from yaosu.exchange.jianguan import store_feed as mine
from yaosu.exchange.jianguan import store_held as theirs
from yaosu.exchange.jianguan.feed import shown, source_id, url_of
from yaosu.exchange.outbox.model import Link

RANGES_MAX = 64
WAYS = 16
"""Into how many parts a differing range is cut at a time."""
SMALL = 64
"""A differing range of at most so many numbers is listed."""
LISTED_MAX = 256
KEPT_MAX = 1_000
NAMED_MAX = 100
RESEND_AT_ONCE = 100
PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Sum:
    """What one side holds of a range of numbers, both ends included."""

    count: int
    qty: int
    digest: str

    def as_json(self) -> dict[str, Any]:
        """As it travels."""
        return {"count": self.count, "qty": self.qty, "digest": self.digest}


async def pairs(
    conn: Connection, run: str, who: int, first: int, last: int
) -> AsyncIterator[tuple[int, uuid.UUID, bytes]]:
    """(number, eventID, SM3 of the stored event) in order."""
    after = first - 1
    while True:
        rows = await conn.fetch(run, who, after, last, PAGE)
        for row in rows:
            try:
                digest = gm.sm3(zlib.decompress(row["body"]))
            except zlib.error:
                digest = b"\0" * 32  # damaged where it is stored: equal to nothing
            yield row["seq"], row["event_id"], digest
        if len(rows) < PAGE:
            return
        after = rows[-1]["seq"]


async def sum_of(conn: Connection, run: str, sums: str, who: int, first: int, last: int) -> Sum:
    """One side's sum of a range."""
    found = [(event, digest) async for _, event, digest in pairs(conn, run, who, first, last)]
    row = await conn.fetchrow(sums, who, first, last)
    assert row is not None
    return Sum(len(found), row["qty"], form.range_digest(found).hex())


async def days_of(
    conn: Connection, days: str, who: int, first: int, last: int
) -> dict[tuple[str, str], list[int]]:
    """Count and quantity by business day and organisation."""
    rows = await conn.fetch(days, who, first, last)
    return {(r["day"].isoformat(), r["org"]): [r["count"], r["qty"]] for r in rows}


@dataclass(frozen=True, slots=True)
class Side:
    """Whose events are summed: those received of a source, or those numbered of a feed."""

    run: str
    sums: str
    days: str
    who: int
    source: int | None = None
    feed: int | None = None


def received(source: int) -> Side:
    """What a regulator holds of a source."""
    return Side(theirs.RUN, theirs.SUMS, theirs.DAYS, source, source=source)


def numbered(feed: int) -> Side:
    """What a trace system has for a regulator that pulls."""
    return Side(mine.RUN, mine.SUMS, mine.DAYS, feed, feed=feed)


async def answer(conn: Connection, side: Side, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one question of a reconciliation; a `result` is kept for the page."""
    told: dict[str, Any] = {}
    ranges = body.get("ranges", [])
    if not isinstance(ranges, list) or len(ranges) > RANGES_MAX:
        raise form.wrong("body.ranges", f"至多 {RANGES_MAX} 段", f"at most {RANGES_MAX}")
    checked = [_range(n, r) for n, r in enumerate(ranges)]
    if body.get("list") is True:
        listed = []
        for first, last in checked:
            if last - first >= LISTED_MAX:
                raise form.wrong(
                    "body.ranges", f"列出时每段至多 {LISTED_MAX} 个", f"at most {LISTED_MAX} when listed"
                )
            async for seq, event, digest in pairs(conn, side.run, side.who, first, last):
                listed.append([seq, str(event), digest.hex()])
        told["events"] = listed
    else:
        told["sums"] = [
            (await sum_of(conn, side.run, side.sums, side.who, first, last)).as_json()
            for first, last in checked
        ]
    if body.get("days") is True and checked:
        days = await days_of(conn, side.days, side.who, *checked[0])
        told["days"] = [[day, org, *values] for (day, org), values in days.items()]
    result = body.get("result")
    if isinstance(result, Mapping):
        await _keep_result(conn, side, result)
    return told


def _range(number: int, given: Any) -> tuple[int, int]:
    if (
        not isinstance(given, list)
        or len(given) != 2
        or not all(isinstance(v, int) and not isinstance(v, bool) and 0 < v < held.NUMBER_MAX for v in given)
        or given[0] > given[1]
    ):
        raise form.wrong(f"body.ranges.{number}", "应为 [起, 止]", "[first, last]")
    return given[0], given[1]


async def _keep_result(conn: Connection, side: Side, result: Mapping[str, Any]) -> None:
    """What the other side says it found, beside what we hold ourselves: equality is ours to say."""
    first, last = _range(0, result.get("range"))
    ours = await sum_of(conn, side.run, side.sums, side.who, first, last)
    said = result.get("sum")
    given = dict(said) if isinstance(said, Mapping) else {}
    differing = result.get("differing", [])
    listed = [v for v in differing if isinstance(v, int)][:KEPT_MAX] if isinstance(differing, list) else []
    resent = result.get("resent", 0)
    await conn.execute(
        theirs.ADD_RESULT,
        side.source,
        side.feed,
        first,
        last,
        given == ours.as_json(),
        ours.as_json(),
        {k: given.get(k) for k in ("count", "qty", "digest")},
        [],
        listed,
        resent if isinstance(resent, int) and not isinstance(resent, bool) else 0,
        "",
    )


@dataclass
class Result:
    """What a reconciliation found and did."""

    first: int
    last: int
    equal: bool
    ours: Sum
    theirs: Sum
    differing: list[int] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    """Numbers the regulator holds and we never gave."""
    days: list[list[Any]] = field(default_factory=list)
    resent: int = 0
    questions: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    """The single events that differed, by name; `there`: missing, other (content) or extra."""

    def as_json(self) -> dict[str, Any]:
        """The form of API answers and the command line."""
        return {
            "first": self.first,
            "last": self.last,
            "equal": self.equal,
            "ours": self.ours.as_json(),
            "theirs": self.theirs.as_json(),
            "differing": self.differing[:KEPT_MAX],
            "extra": self.extra[:KEPT_MAX],
            "events": self.events,
            "days": self.days,
            "resent": self.resent,
            "questions": self.questions,
        }


async def named(conn: Connection, feed: int, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Events of a feed as people look for them: number, GUID, kind, bill number or key, whose."""
    found = []
    for row in await conn.fetch(mine.SOME, feed, list(numbers)):
        event = orjson.loads(zlib.decompress(row["body"]))
        found.append(
            {
                "seq": row["seq"],
                "eventID": str(row["event_id"]),
                "eventType": event.get("eventType", ""),
                "billNo": event.get("billNo") or event.get("key") or "",
                "owner": (event.get("owner") or {}).get("name") or (event.get("owner") or {}).get("id") or "",
            }
        )
    return found


def _malformed() -> YaosuError:
    return YaosuError("jianguan_no_answer", {"said": "malformed"})


def _sums(body: Mapping[str, Any], count: int) -> list[Sum]:
    """The sums of an answer; `jianguan_no_answer` when it says something else."""
    given = body.get("sums")
    if not isinstance(given, list) or len(given) != count:
        raise _malformed()
    found = []
    for one in given:
        if not isinstance(one, Mapping):
            raise _malformed()
        count_, qty, digest = one.get("count"), one.get("qty"), one.get("digest")
        if not isinstance(count_, int) or not isinstance(qty, int) or not isinstance(digest, str):
            raise _malformed()
        found.append(Sum(count_, qty, digest))
    return found


def _listed(body: Mapping[str, Any]) -> dict[int, tuple[str, str]]:
    given = body.get("events")
    if not isinstance(given, list) or not all(
        isinstance(e, list) and len(e) == 3 and isinstance(e[0], int) for e in given
    ):
        raise _malformed()
    return {seq: (str(event), str(digest)) for seq, event, digest in given}


def _days(body: Mapping[str, Any]) -> dict[tuple[str, str], list[int]]:
    given = body.get("days", [])
    if not isinstance(given, list) or not all(isinstance(d, list) and len(d) == 4 for d in given):
        raise _malformed()
    return {(str(day), str(org)): [count, qty] for day, org, count, qty in given}


class Reconciler:
    """One reconciliation of one feed."""

    def __init__(self, app: AppState, link: Link) -> None:
        self._app = app
        self._link = link
        self.questions = 0
        self._said: dict[int, str] = {}
        """eventID that the regulator has under a number that differs."""

    async def run(self, full: bool = True) -> Result | None:
        """Compare, send again what differs, compare once more; None when there is nothing to compare yet.

        `full` False: only what came after the last range that was found equal. Refused: `jianguan_no_answer`.
        """
        async with self._app.pool.acquire() as conn:
            row = await conn.fetchrow(mine.FEED, self._link.id)
            before = await conn.fetchval(mine.LAST_EQUAL, self._link.id)
        if row is None or not row["acked"]:
            return None
        first = 1 if full or not before or before >= row["acked"] else before + 1
        result = await self._compare(first, row["acked"])
        if not result.equal:
            result.differing, result.extra = await self._descend(first, row["acked"])
            result.events = await self._named(result.differing, result.extra)
            result.resent = await self._resend(result.differing)
            again = await self._compare(first, row["acked"])
            result.equal, result.theirs = again.equal, again.theirs
        result.questions = self.questions
        await self._keep(result)
        return result

    async def _ask(self, body: Mapping[str, Any], what: str = "reconcile") -> Mapping[str, Any]:
        self.questions += 1
        link = self._link
        said = await wire.call(
            url_of(link.url, what),
            source_id(link),
            link.secret.get("key", ""),
            body,
            self._app.settings.webhook_hosts,
        )
        if not said.ok:
            raise YaosuError("jianguan_no_answer", {"said": said.text})
        return said.body

    async def _ours(self, first: int, last: int) -> Sum:
        async with self._app.pool.acquire() as conn:
            return await sum_of(conn, mine.RUN, mine.SUMS, self._link.id, first, last)

    async def _compare(self, first: int, last: int) -> Result:
        ours = await self._ours(first, last)
        body = await self._ask({"ranges": [[first, last]], "days": True})
        (said,) = _sums(body, 1)
        async with self._app.pool.acquire() as conn:
            own = await days_of(conn, mine.DAYS, self._link.id, first, last)
        told = _days(body)
        days = [
            [*key, *own.get(key, [0, 0]), *told.get(key, [0, 0])]
            for key in sorted(own.keys() | told.keys())
            if own.get(key) != told.get(key)
        ]
        return Result(first, last, ours == said, ours, said, days=days)

    async def _descend(self, first: int, last: int) -> tuple[list[int], list[int]]:
        """Down to the single events that differ."""
        differing: list[int] = []
        extra: list[int] = []
        open_ = [(first, last)]
        while open_:
            parts: list[tuple[int, int]] = []
            for low, high in open_:
                if high - low < SMALL:
                    wrong, more = await self._list(low, high)
                    differing += wrong
                    extra += more
                else:
                    step = -(-(high - low + 1) // WAYS)
                    parts += [(at, min(at + step - 1, high)) for at in range(low, high + 1, step)]
            open_ = []
            for at in range(0, len(parts), RANGES_MAX):
                some = parts[at : at + RANGES_MAX]
                sums = _sums(await self._ask({"ranges": [list(p) for p in some]}), len(some))
                for part, said in zip(some, sums, strict=True):
                    if await self._ours(*part) != said:
                        open_.append(part)
        return sorted(differing), sorted(extra)

    async def _list(self, first: int, last: int) -> tuple[list[int], list[int]]:
        async with self._app.pool.acquire() as conn:
            own = {
                seq: (str(event), digest.hex())
                async for seq, event, digest in pairs(conn, mine.RUN, self._link.id, first, last)
            }
        told = await self._ask({"ranges": [[first, last]], "list": True})
        said = _listed(told)
        differing = [seq for seq, value in own.items() if said.get(seq) != value]
        extra = [seq for seq in said if seq not in own]
        self._said |= {seq: said[seq][0] for seq in (*differing, *extra) if seq in said}
        return differing, extra

    async def _named(self, differing: list[int], extra: list[int]) -> list[dict[str, Any]]:
        async with self._app.pool.acquire() as conn:
            found = await named(conn, self._link.id, differing[:NAMED_MAX])
        for one in found:
            one["there"] = "other" if one["seq"] in self._said else "missing"
        rest = extra[: max(0, NAMED_MAX - len(found))]
        return [*found, *({"seq": n, "eventID": self._said.get(n, ""), "there": "extra"} for n in rest)]

    async def _resend(self, numbers: list[int]) -> int:
        """Send differing events again; what the regulator had instead stays on its record."""
        for at in range(0, len(numbers), RESEND_AT_ONCE):
            some = numbers[at : at + RESEND_AT_ONCE]
            async with self._app.pool.acquire() as conn:
                events = [shown(r) for r in await conn.fetch(mine.SOME, self._link.id, some)]
            await self._ask({"events": events, "resend": True}, "events")
        return len(numbers)

    async def _keep(self, result: Result) -> None:
        said = "" if result.equal else f"differing {len(result.differing)}, extra {len(result.extra)}"
        async with self._app.pool.acquire() as conn:
            await conn.fetchval(
                mine.ADD_CHECK,
                self._link.id,
                result.first,
                result.last,
                result.equal,
                result.ours.as_json(),
                result.theirs.as_json(),
                result.days[:KEPT_MAX],
                result.differing[:KEPT_MAX],
                result.resent,
                said,
            )
        final = {
            "range": [result.first, result.last],
            "sum": result.ours.as_json(),
            "differing": result.differing[:KEPT_MAX],
            "resent": result.resent,
        }
        await self._ask({"result": final})
