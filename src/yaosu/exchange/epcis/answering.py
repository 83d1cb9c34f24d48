"""Running a query: captured events first, then bills told as events, page by page, under `visible()` (D10).

What the database can say is asked there; the rest is judged on each event as it would be shown. A page looks at so many
records at most: when few of them fit it may be short, and the next one goes on from there.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from yaosu.access.visibility import note_reads, visible
from yaosu.codes import NotACode, parse
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import store, store_bills
from yaosu.exchange.epcis.identifiers import GS1, to_code, to_goods
from yaosu.exchange.epcis.outward import PREFIXES, REVERSAL, Teller, parsed_id
from yaosu.exchange.epcis.query import Query
from yaosu.exchange.epcis.query_master import described_test
from yaosu.exchange.epcis.query_values import comparable, place_test, plain, values_of
from yaosu.exchange.epcis.times import moment, stamp
from yaosu.exchange.epcis.vocabulary import expand
from yaosu.exchange.epcis.writing import Shown
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.subject import Subject

LOOKED_AT = 5_000
"""Records looked at for one page."""
SORTED_MAX = 20_000
"""Events that a query with an order, or with a limit on its size, may match."""
SCANNED_MAX = 200_000
"""Records that such a query may look at."""
BATCH_EVENTS, BATCH_BILLS = 500, 100
RECENT = timedelta(hours=2)
"""Where bills of so short a while begin is looked up first; for a longer one that would mean reading all of them."""
TOKEN_LIFE = timedelta(days=1)
"""How long a place in a list can be gone on from."""


@dataclass(slots=True)
class Found:
    """A page of events and where the next one begins; `token` empty at the end."""

    events: list[Shown] = field(default_factory=list)
    token: str = ""
    recorded: list[tuple[str, datetime]] = field(default_factory=list)
    """Key and record time of each event, for subscriptions."""


def write_token(*values: object) -> str:
    """A place to go on from, as text, that ends after TOKEN_LIFE."""
    until = int((datetime.now(UTC) + TOKEN_LIFE).timestamp())
    return base64.urlsafe_b64encode(orjson.dumps((until, *values))).rstrip(b"=").decode()


def _opened(token: str) -> tuple[int, list[Any]]:
    try:
        value = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, orjson.JSONDecodeError):
        raise YaosuError("epcis_page_token") from None
    if not isinstance(value, list) or len(value) < 2 or value[1] not in ("e", "b", "o", "v"):
        raise YaosuError("epcis_page_token")
    if isinstance(value[0], bool) or not isinstance(value[0], int) or not 0 < value[0] < 2**33:
        raise YaosuError("epcis_page_token")
    return value[0], value[1:]


def read_token(token: str) -> list[Any]:
    """The place that `write_token` wrote; refused (`epcis_page_token`), also when its time is over."""
    until, place = _opened(token)
    if until < datetime.now(UTC).timestamp():
        raise YaosuError("epcis_page_token")
    return place


def token_end(token: str) -> datetime:
    """Until when a token of ours serves (`GS1-Next-Page-Token-Expires`)."""
    return datetime.fromtimestamp(_opened(token)[0], UTC)


def shown_row(row: Any) -> Shown:
    """A captured event as it is shown: as it came, with its id and our record time."""
    body = orjson.loads(zlib.decompress(row["body"]))
    found = {"type": body["type"], "eventID": row["event_id"], "recordTime": stamp(row["recorded_at"])}
    return Shown({**body, **found}, row["prefixes"])


class Answering:
    """One query of one reader."""

    def __init__(self, conn: Connection, subject: Subject, registry: Registry, query: Query) -> None:
        self.conn, self.subject, self.registry, self.query = conn, subject, registry, query
        self.sight = visible(subject)
        self.teller = Teller(conn, registry)
        self.looked = 0
        self._reads: list[tuple[Subject, str, int | None]] = []

    async def page(self, per_page: int, token: str) -> Found:
        """One page."""
        await self._within()
        if self.query.order_by or self.query.most is not None:
            found = await self._ordered(per_page, token)
        else:
            place = read_token(token) if token else ["e", None, None]
            found = await self._stream(per_page, place, LOOKED_AT)
        await note_reads(self.conn, self._reads)
        return found

    async def _within(self) -> None:
        """What is looked up in the reader's captured master data: places below a place, and values with attributes."""
        for key, asked in self.query.within.items():
            rows = await self.conn.fetch(store.BELOW, self.subject.org_id or 0, asked)
            self.query.tests.append(place_test(key, [r["id"] for r in rows]))
        self.query.within = {}
        for one in self.query.described:
            rows = await self.conn.fetch(
                store.WITH_ATTRIBUTE, self.subject.org_id or 0, one.names, one.values
            )
            self.query.tests.append(described_test(one, frozenset(r["id"] for r in rows)))
        self.query.described = []

    async def _ordered(self, per_page: int, token: str) -> Found:
        """Everything that fits, sorted, from an offset."""
        query = self.query
        try:
            start = int(read_token(token)[1]) if token else 0
        except (IndexError, TypeError, ValueError):
            raise YaosuError("epcis_page_token") from None
        everything = Found()
        place: list[Any] = ["e", None, None]
        while True:
            part = await self._stream(BATCH_EVENTS, place, LOOKED_AT)
            everything.events += part.events
            if query.most is not None and len(everything.events) > query.most:
                raise YaosuError("epcis_query_too_large", {"limit": query.most})
            if len(everything.events) > SORTED_MAX or self.looked > SCANNED_MAX:
                raise YaosuError("epcis_query_too_complex", {"limit": SORTED_MAX})
            if not part.token:
                break
            place = read_token(part.token)
        if query.order_by:
            everything.events.sort(key=lambda e: _order_key(e, query.order_by), reverse=query.descending)
        chosen = everything.events[: query.limit] if query.limit is not None else everything.events
        page = Found(chosen[start : start + per_page])
        if start + per_page < len(chosen):
            page.token = write_token("o", start + per_page)
        return page

    # -- both sources --------------------------------------------------------------------------------------

    async def _stream(self, wanted: int, place: list[Any], most: int) -> Found:
        """Events from a place on, in the order of recording, until enough are found or looked at."""
        found = Found()
        begin = self.looked
        try:
            if place[0] == "e":
                at = moment(place[1]) if place[1] else None
                done = await self._captured(found, wanted, at, int(place[2] or 0), begin + most)
                if not done:
                    return found
                place = ["b", 0, 0]
            await self._told(found, wanted, int(place[1]), int(place[2]), begin + most)
        except (IndexError, TypeError, ValueError):
            raise YaosuError("epcis_page_token") from None
        return found

    async def _captured(self, found: Found, wanted: int, at: datetime | None, last: int, most: int) -> bool:
        """Captured events; whether there are no more."""
        query = self.query
        before, row_before = at, last
        while True:
            rows = await store.events(
                self.conn,
                self.sight,
                (
                    *(at, last, query.ge_record, query.lt_record, query.ge_event, query.lt_event),
                    *(None, query.actions, query.steps, query.dispositions, query.read_points),
                    *(query.biz_locations, query.event_ids, query.any_of, query.declared, BATCH_EVENTS),
                ),
            )
            for row in rows:
                self.looked += 1
                at, last = row["recorded_at"], row["id"]
                shown = shown_row(row)
                if not query.fits(shown.body, shown.prefixes):
                    continue
                if len(found.events) == wanted:
                    found.token = self._captured_token(before, row_before)
                    return False
                found.events.append(shown)
                found.recorded.append((f"e{row['id']}", row["recorded_at"]))
                if row["org"] != self.subject.org_id:
                    self._reads.append((self.subject, f"epcis event {row['id']}", row["org"]))
                before, row_before = at, last
            if len(rows) < BATCH_EVENTS:
                return True
            if self.looked >= most:
                found.token = self._captured_token(at, last)
                return False

    @staticmethod
    def _captured_token(at: datetime | None, last: int) -> str:
        shown = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if at else None
        return write_token("e", shown, last)

    async def _told(self, found: Found, wanted: int, last: int, done: int, most: int) -> None:
        """Bills told as events, from the event after number `done` of bill `last + 1` on."""
        query = self.query
        types = self._types()
        ids = await self._ids()
        if types == [] or ids == []:
            return
        drugs = self._drugs()
        recent = query.ge_record is not None and query.ge_record > datetime.now(UTC) - RECENT
        if recent and last == 0 and ids is None:
            first = await self.conn.fetchval(store_bills.FIRST_SINCE, query.ge_record)
            if first is None:
                return
            last = first - 1
        while True:
            heads = await store_bills.bills(
                self.conn,
                self.sight,
                (
                    *(last, query.ge_record, query.lt_record, query.ge_event, query.lt_event, types),
                    *(ids, drugs, BATCH_BILLS),
                ),
            )
            kept = [h for h in heads if query.declared is not True or h["flags"] & REVERSAL]
            told = await self.teller.tell(kept)
            for one in told:
                self.looked += 1
                if one.bill == last + 1 and one.n < done:
                    continue
                prefixes = PREFIXES if one.prefixes is None else one.prefixes
                if not query.fits(one.body, prefixes):
                    continue
                if len(found.events) == wanted:
                    found.token = write_token("b", one.bill - 1, one.n)
                    return
                found.events.append(Shown(one.body, prefixes))
                found.recorded.append((f"b{one.bill}-{one.n}", one.recorded_at))
                self._reads.append((self.subject, f"bill {one.bill}", one.owner))
            if len(heads) < BATCH_BILLS:
                return
            last, done = heads[-1]["id"], 0
            if self.looked >= most:
                found.token = write_token("b", last, 0)
                return

    # -- what can be told of bills before reading them -----------------------------------------------------

    def _types(self) -> list[int] | None:
        """Bill types that may tell such an event; None for all."""
        query = self.query
        if (
            query.types is None
            and query.steps is None
            and query.dispositions is None
            and query.actions is None
        ):
            return None
        found = []
        for number, kind in bill_types().items():
            item = self.registry.lists.item("epcis_out", str(number))
            item = item or self.registry.lists.item("epcis_out", kind.kind)
            if item is None:
                continue
            told = [tuple(str(item.attrs.get(k, "")) for k in ("event", "action", "step", "disposition"))]
            if number == 1:
                told.append(("AggregationEvent", "ADD", "packing", "in_progress"))
            elif number > 5:
                told.append(("AggregationEvent", "DELETE", "unpacking", "in_progress"))
            asked = (query.types, query.actions, query.steps, query.dispositions)
            if any(all(a is None or v in a for a, v in zip(asked, one, strict=True)) for one in told):
                found.append(number)
        # a captured event that was taken back by a bill is told by that bill, whatever its words are
        return None if query.declared else found

    async def _ids(self) -> list[int] | None:
        """Bills that may tell such an event by its id or its packages; None for all."""
        query = self.query
        if query.event_ids is not None:
            own = [p[0] for t in query.event_ids if (p := parsed_id(t)) is not None]
            rows = await self.conn.fetch(store_bills.REVERSALS_OF, own, query.event_ids)
            return sorted({*own, *(r["id"] for r in rows)})
        if not query.patterns or not all(set(letters) & set("epio") for letters, _ in query.patterns):
            return None
        codes = [to_code(inner) for _, inner in query.patterns]
        if any("*" in inner or _class(inner) for _, inner in query.patterns):
            return None
        drugs, texts, labels = [], [], [c for c in codes if c is not None]
        for code in labels:
            for drug in await self._drugs_of(code):
                drugs.append(drug)
                texts.append(code)
        rows = await self.conn.fetch(store_bills.BILLS_OF_CODES, drugs, texts, labels)
        return sorted({r["bill_id"] for r in rows if r["bill_id"]})

    async def _drugs_of(self, code: str) -> Sequence[int]:
        read = parse(code, self.registry.customs)
        if isinstance(read, NotACode):
            return ()
        if code.startswith("(00)"):
            return [r["d"] for r in await self.conn.fetch(store_bills.CONTAINER_DRUGS, [code])]
        drug = self.registry.resolve(read).drug_id
        return () if drug is None else (drug,)

    def _drugs(self) -> list[int] | None:
        """Products that all asked classes name; None when something else is asked too."""
        found = set()
        for _, inner in self.query.patterns:
            goods = to_goods(inner)
            drug = self.registry.resolve_prefix(goods.prefix).drug_id if goods is not None else None
            if drug is None:
                return None
            found.add(drug)
        return sorted(found) or None


def _class(inner: str) -> bool:
    return inner.startswith(f"{GS1}/01/") and inner.count("/") == 4


def _order_key(event: Shown, name: str) -> tuple[int, Any]:
    """Sorting key: events without the field come last, values of one kind compare with each other."""
    value: object
    if name in ("eventTime", "recordTime"):
        value = event.body.get(name)
    else:
        uri = expand(name, event.prefixes) or name
        values = values_of(event.body, event.prefixes, "", False, plain(uri))
        value = values[0] if values else None
    if value is None:
        return (-1, "")
    one = comparable(value)
    if isinstance(one, datetime):
        return (2, one.timestamp())
    return (1, one) if isinstance(one, float) else (0, str(one))


async def by_id(conn: Connection, subject: Subject, registry: Registry, event_id: str) -> list[Shown]:
    """All events of one id that the reader may see: the event, and the declaration that it was wrong."""
    query = Query(event_ids=[event_id])
    query.tests.append(lambda b, _p, _k: b.get("eventID") == event_id)
    found = await Answering(conn, subject, registry, query).page(100, "")
    return found.events
