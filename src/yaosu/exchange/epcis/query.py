"""SimpleEventQuery (EPCIS 2.0 §8.2.7.1): parameters to conditions, as much as possible for the database, the rest here.

The rest is judged on the event as it would be shown, so that captured events and bills told as events obey one rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from yaosu.errors import YaosuError
from yaosu.exchange.epcis.fields import indexed
from yaosu.exchange.epcis.model import EVENT_TYPES, Event
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.query_master import Described, described
from yaosu.exchange.epcis.query_sensors import quantity, sensor
from yaosu.exchange.epcis.query_values import (
    COMPARE,
    Test,
    comparable,
    is_class,
    matches,
    place_test,
    plain,
    strings,
    time_of,
    truth,
    values_of,
    whole,
    words,
    wrong,
)
from yaosu.exchange.epcis.times import moment
from yaosu.exchange.epcis.vocabulary import YAOSU, expand

PER_PAGE, PER_PAGE_MAX = 30, 1_000

CONTROL = frozenset(
    [
        "perPage",
        "nextPageToken",
        "lang",
        "minute",
        "second",
        "hour",
        "dayOfMonth",
        "month",
        "dayOfWeek",
        "stream",
        "reportIfEmpty",
        "initialRecordTime",
    ]
)
_LISTS = {
    "EQ_action": "action",
    "EQ_bizStep": "bizStep",
    "EQ_disposition": "disposition",
    "EQ_eventID": "eventID",
    "EQ_transformationID": "transformationID",
}
NOT_OF_NEWS = frozenset(["@context", "orderBy", "orderDirection", "eventCountLimit", "maxEventCount"])
"""Parts of a definition that say nothing of what is new."""
_MATCH = {
    "MATCH_epc": "e",
    "MATCH_parentID": "p",
    "MATCH_inputEPC": "i",
    "MATCH_outputEPC": "o",
    "MATCH_anyEPC": "epio",
    "MATCH_epcClass": "c",
    "MATCH_inputEPCClass": "j",
    "MATCH_outputEPCClass": "k",
    "MATCH_anyEPCClass": "cjk",
}


@dataclass(slots=True)
class Query:
    """A query: what the database is asked, and the tests that remain."""

    types: list[str] | None = None
    ge_event: datetime | None = None
    lt_event: datetime | None = None
    ge_record: datetime | None = None
    lt_record: datetime | None = None
    actions: list[str] | None = None
    steps: list[str] | None = None
    dispositions: list[str] | None = None
    read_points: list[str] | None = None
    biz_locations: list[str] | None = None
    event_ids: list[str] | None = None
    declared: bool | None = None
    any_of: list[str] | None = None
    """Indexed identifiers of which one must be there; None when no exact one was asked for."""
    patterns: list[tuple[str, str]] = field(default_factory=list)
    """(letters, inner identifier or pattern) of the match that `any_of` comes from."""
    within: dict[str, list[str]] = field(default_factory=dict)
    """WD_readPoint and WD_bizLocation: places whose hierarchy is looked up before asking."""
    described: list[Described] = field(default_factory=list)
    """HASATTR_ and EQATTR_: what master data must say; looked up before asking."""
    tests: list[Test] = field(default_factory=list)
    order_by: str = ""
    descending: bool = True
    limit: int | None = None
    """eventCountLimit: only the first so many."""
    most: int | None = None
    """maxEventCount: more than this is refused."""

    def fits(self, body: Event, prefixes: Mapping[str, str], epcs: Sequence[str] | None = None) -> bool:
        """Whether an event fits everything that was asked."""
        keys = epcs if epcs is not None else indexed(body)
        return all(test(body, prefixes, keys) for test in self.tests)


def page_size(given: object) -> int:
    """`perPage`, at least 1; more than PER_PAGE_MAX gives pages of PER_PAGE_MAX, as the standard lets a server do."""
    return min(whole("perPage", given, 1, 10**9), PER_PAGE_MAX)


class Parser:
    """Reads the parameters of one query. `prefixes` are those of the header GS1-Extensions or the query's context."""

    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self.prefixes = prefixes
        self.query = Query()

    def read(self, given: Mapping[str, object]) -> Query:
        """The query; raises `epcis_query_parameter`, `epcis_query_unknown_parameter`."""
        for name, value in given.items():
            if name in CONTROL or name == "@context":
                continue
            self._one(name, value)
        query = self.query
        if query.limit is not None and query.most is not None:
            raise wrong("eventCountLimit", "maxEventCount")
        if query.limit is not None and not query.order_by:
            raise wrong("eventCountLimit", "orderBy")
        return query

    def _one(self, name: str, value: object) -> None:
        query = self.query
        match name:
            case "eventType":
                types = [
                    t if t in EVENT_TYPES else expand(t, self.prefixes) or t for t in strings(name, value)
                ]
                unknown = [t for t in types if t not in EVENT_TYPES and ":" not in t]
                if unknown:
                    raise wrong(name, unknown[0][:60])
                query.types = types
                query.tests.append(lambda b, p, _: b["type"] in types or expand(str(b["type"]), p) in types)
            case "GE_eventTime" | "LT_eventTime" | "GE_recordTime" | "LT_recordTime":
                self._time(name, value)
            case "EQ_bizStep" | "EQ_disposition":
                key = _LISTS[name]
                found = words(key, name, value, self.prefixes)
                if key == "bizStep":
                    query.steps = found
                else:
                    query.dispositions = found
                query.tests.append(lambda b, _p, _k: b.get(key) in found)
            case "EQ_persistentDisposition_set" | "EQ_persistentDisposition_unset":
                side, wanted = name.rpartition("_")[2], words("disposition", name, value, self.prefixes)
                query.tests.append(
                    lambda b, _p, _k: bool(
                        set((b.get("persistentDisposition") or {}).get(side) or ()) & set(wanted)
                    )
                )
            case "EQ_action":
                query.actions = strings(name, value)
                if set(query.actions) - {"ADD", "OBSERVE", "DELETE"}:
                    raise wrong(name, "ADD, OBSERVE, DELETE")
                actions = query.actions
                query.tests.append(lambda b, _p, _k: b.get("action") in actions)
            case "EQ_eventID":
                query.event_ids = ids = strings(name, value)
                query.tests.append(lambda b, _p, _k: b.get("eventID") in ids)
            case "EQ_transformationID":
                found = strings(name, value)
                query.tests.append(lambda b, _p, _k: b.get("transformationID") in found)
            case "EQ_readPoint" | "EQ_bizLocation":
                self._place(name, value)
            case "WD_readPoint" | "WD_bizLocation":
                query.within[name.partition("_")[2]] = [inner_of(v) for v in strings(name, value)]
            case "EXISTS_errorDeclaration":
                if truth(name, value):
                    query.declared = True
                    query.tests.append(lambda b, _p, _k: b.get("errorDeclaration") is not None)
            case "EQ_errorReason":
                found = words("er", name, value, self.prefixes)
                query.tests.append(lambda b, _p, _k: (b.get("errorDeclaration") or {}).get("reason") in found)
            case "EQ_correctiveEventID":
                found = strings(name, value)
                query.tests.append(
                    lambda b, _p, _k: bool(
                        set((b.get("errorDeclaration") or {}).get("correctiveEventIDs") or ()) & set(found)
                    )
                )
            case "orderBy":
                self._order(str(value))
            case "orderDirection":
                if value not in ("ASC", "DESC"):
                    raise wrong(name, "ASC, DESC")
                query.descending = value == "DESC"
            case "eventCountLimit":
                query.limit = whole(name, value, 1, 1_000_000)
            case "maxEventCount":
                query.most = whole(name, value, 1, 1_000_000)
            case _ if name in _MATCH:
                self._match(name, value)
            case _:
                self._flexible(name, value)

    def _time(self, name: str, value: object) -> None:
        at, query = time_of(name, value), self.query
        setattr(
            query,
            {
                "GE_eventTime": "ge_event",
                "LT_eventTime": "lt_event",
                "GE_recordTime": "ge_record",
                "LT_recordTime": "lt_record",
            }[name],
            at,
        )

    def _place(self, name: str, value: object) -> None:
        key = name.partition("_")[2]
        found = [inner_of(v) for v in strings(name, value)]
        if key == "readPoint":
            self.query.read_points = found
        else:
            self.query.biz_locations = found
        self.query.tests.append(place_test(key, found))

    def _order(self, given: str) -> None:
        if given not in ("eventTime", "recordTime") and ":" not in given:
            raise wrong("orderBy", given[:60])
        self.query.order_by = given

    def _match(self, name: str, value: object) -> None:
        letters = _MATCH[name]
        asked = [inner_of(v) for v in strings(name, value)]
        self.query.tests.append(lambda _b, _p, keys: any(matches(k, letters, a) for k in keys for a in asked))
        if self.query.any_of is not None:
            return
        self.query.patterns = [(letters, a) for a in asked]
        if not any("*" in a or is_class(a, letters) for a in asked):
            self.query.any_of = [f"{letter}|{a}" for a in asked for letter in letters]

    def _flexible(self, name: str, value: object) -> None:
        """Parameters whose name holds a type, a unit or the full name of a field."""
        for start, key, inner, kind in (
            ("EQ_bizTransaction_", "bizTransactionList", "bizTransaction", "btt"),
            ("EQ_source_", "sourceList", "source", "sdt"),
            ("EQ_destination_", "destinationList", "destination", "sdt"),
        ):
            if name.startswith(start):
                self._pair(name, name[len(start) :], key, inner, kind, value)
                return
        about = described(name, value, self.prefixes)
        if about is not None:
            self.query.described.append(about)
            return
        test = quantity(name, value) or sensor(name, value, self.prefixes)
        if test is not None:
            self.query.tests.append(test)
            return
        found = re.fullmatch(r"(GE|LT)_errorDeclaration_?Time", name)
        if found is not None:
            self._declared(found[1], time_of(name, value))
            return
        found = re.fullmatch(
            r"(EQ|GT|GE|LT|LE|EXISTS)_(INNER_)?(ILMD_|SENSORELEMENT_|SENSORMETADATA_|SENSORREPORT_|"
            r"ERROR_DECLARATION_|readPoint_|bizLocation_)?(.+)",
            name,
        )
        if found is None or ":" not in found[4]:
            raise YaosuError("epcis_query_unknown_parameter", {"name": name[:100]})
        self._named(name, found[1], bool(found[2]), found[3] or "", found[4], value)

    def _pair(self, name: str, kind: str, key: str, inner: str, vocabulary: str, value: object) -> None:
        (wanted,) = words(vocabulary, name, kind, self.prefixes)
        values = {inner_of(v) for v in strings(name, value)}
        self.query.tests.append(
            lambda b, _p, _k: any(
                one.get("type") == wanted and inner_of(str(one.get(inner))) in values
                for one in b.get(key) or ()
            )
        )

    def _declared(self, sign: str, at: datetime) -> None:
        compare = COMPARE[sign]
        self.query.declared = True

        def test(body: Event, _p: Mapping[str, str], _k: Sequence[str]) -> bool:
            told = moment(str((body.get("errorDeclaration") or {}).get("declarationTime", "")))
            return told is not None and compare(told, at)

        self.query.tests.append(test)

    def _named(self, name: str, sign: str, inner: bool, place: str, full: str, value: object) -> None:
        """EQ_<field>, EQ_ILMD_<field>, EQ_INNER_<field>, EXISTS_… with the field's full name or CURIE."""
        uri = expand(full, self.prefixes) if not full.startswith("yaosu:") else YAOSU + full[6:]
        if uri is None:
            raise wrong(name, full.partition(":")[0][:60])
        wanted = plain(uri)
        if sign == "EXISTS":
            self.query.tests.append(lambda b, p, _k: bool(values_of(b, p, place, inner, wanted)))
            return
        compare = COMPARE[sign]
        asked = [comparable(v) for v in (strings(name, value) if sign == "EQ" else [str(value)])]

        def test(body: Event, prefixes: Mapping[str, str], _k: Sequence[str]) -> bool:
            for given in values_of(body, prefixes, place, inner, wanted):
                for limit in asked:
                    one = comparable(given)
                    if type(one) is type(limit) and compare(one, limit):
                        return True
            return False

        self.query.tests.append(test)
