"""What is wrong with an event beyond its schema: every problem with its field (EPCIS 2.0 §7.4, CBV 2.0 §7).

`check` also brings the words of the standard into their bare form, so that whatever comes after compares one spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from yaosu.errors import Finding
from yaosu.exchange.epcis import shape
from yaosu.exchange.epcis.identifiers import NotAnIdentifierError, canonical
from yaosu.exchange.epcis.model import EVENT_TYPES, Event, Read
from yaosu.exchange.epcis.times import moment, offset
from yaosu.exchange.epcis.vocabulary import expand, is_uri, word

SKEW = timedelta(minutes=10)
"""How far a sender's clock may be ahead (as circulation.prepare allows)."""
EARLIEST = datetime(1998, 1, 1, tzinfo=UTC)
TEXT_MAX = 4_000
LIST_MAX = 200_000
_UOM = re.compile(r"[A-Z0-9]{2,3}")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_ACTIONS = ("ADD", "OBSERVE", "DELETE")
_PLAIN = frozenset(["type", "@context", "rdfs:comment"])


class _Check:
    """One event under examination."""

    def __init__(self, read: Read) -> None:
        self.read, self.body = read, read.body
        self.prefixes = read.prefixes
        self.found: list[Finding] = list(read.findings)

    def say(self, code: str, where: str, **params: object) -> None:
        """Note one problem."""
        self.found.append(Finding(code, params, where))

    # -- single values -------------------------------------------------------------------------------------

    def text(self, value: object, where: str, maximum: int = TEXT_MAX) -> str | None:
        """A text within limits, or None after saying what is wrong."""
        if not isinstance(value, str) or not value or len(value) > maximum:
            self.say("epcis_field_form", where, field=where)
            return None
        return value

    def uri(self, value: object, where: str) -> str | None:
        """An absolute URI; a CURIE must have a declared prefix."""
        text = self.text(value, where, 1_000)
        if text is None:
            return None
        if not is_uri(text):
            self.say("epcis_uri_invalid", where, given=text[:100])
            return None
        if expand(text, self.prefixes) is None:
            self.say("epcis_prefix_undeclared", where, prefix=text.partition(":")[0][:60])
            return None
        return text

    def epc(self, value: object, where: str) -> str | None:
        """An identifier of an object or class, in its inner form."""
        text = self.uri(value, where)
        if text is None:
            return None
        try:
            return canonical(text)
        except NotAnIdentifierError:
            self.say("epcis_epc_invalid", where, given=text[:100])
            return None

    def word(self, name: str, value: object, where: str) -> str:
        """A word of a vocabulary in its inner form."""
        text = self.text(value, where, 500)
        if text is None:
            return ""
        result = word(name, text, self.prefixes, not self.read.from_xml)
        if result.problem:
            self.say(result.problem, where, given=text[:100], prefix=text.partition(":")[0][:60])
        return result.value

    def time(self, value: object, where: str) -> datetime | None:
        """A time with its offset."""
        at = moment(value) if isinstance(value, str) else None
        if at is None:
            self.say("epcis_time_form", where, given=str(value)[:60])
        return at

    def extensions(
        self, value: Mapping[str, Any], where: str, known: frozenset[str] | tuple[str, ...]
    ) -> None:
        """Every field that is none of the standard has a prefix, and the prefix is declared."""
        for key in value:
            if key in known:
                continue
            at = f"{where}/{key[:80]}" if where else key[:80]
            if ":" not in key:
                self.say("epcis_field_unknown", at, field=key[:60])
            elif expand(key, self.prefixes) is None:
                self.say("epcis_prefix_undeclared", at, prefix=key.partition(":")[0][:60])

    # -- the event -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Everything about the event."""
        kind = self.body.get("type")
        if not isinstance(kind, str) or not kind:
            self.say("epcis_field_missing", "type", field="type")
            return
        if kind not in EVENT_TYPES:
            self._other_type(kind)
            return
        allowed = frozenset(shape.ORDER[kind]) | _PLAIN
        known = frozenset(shape.FORMS)
        for key in self.body:
            if key in known and key not in allowed:
                self.say("epcis_field_not_here", key, field=key, type=kind)
        self.extensions(self.body, "", known | _PLAIN)
        self._times()
        self._identity()
        for name in shape.ORDER[kind]:
            if name in self.body:
                self._field(name)
        self._kind(kind)

    def _other_type(self, kind: str) -> None:
        """Event types of somebody's own: only what every event has."""
        if ":" not in kind:
            self.say("epcis_event_type", "type", given=kind[:60])
        elif expand(kind, self.prefixes) is None:
            self.say("epcis_prefix_undeclared", "type", prefix=kind.partition(":")[0][:60])
        self.extensions(self.body, "", frozenset(shape.FORMS) | _PLAIN)
        self._times()
        self._identity()
        for name in shape.FORMS:
            if name in self.body:
                self._field(name)

    def _times(self) -> None:
        if "eventTime" not in self.body:
            self.say("epcis_field_missing", "eventTime", field="eventTime")
        else:
            at = self.time(self.body["eventTime"], "eventTime")
            if at is not None and at > datetime.now(UTC) + SKEW:
                self.say("epcis_time_future", "eventTime", given=str(self.body["eventTime"])[:60])
            elif at is not None and at < EARLIEST:
                self.say("epcis_time_past", "eventTime", given=str(self.body["eventTime"])[:60])
        given = self.body.get("eventTimeZoneOffset")
        if given is None:
            self.say("epcis_field_missing", "eventTimeZoneOffset", field="eventTimeZoneOffset")
        elif not isinstance(given, str) or offset(given) is None:
            self.say("epcis_offset_form", "eventTimeZoneOffset", given=str(given)[:40])
        if "recordTime" in self.body:
            self.time(self.body["recordTime"], "recordTime")

    def _identity(self) -> None:
        if "eventID" in self.body:
            self.uri(self.body["eventID"], "eventID")
        if "certificationInfo" in self.body:
            given = self.body["certificationInfo"]
            for n, one in enumerate(given if isinstance(given, list) else [given]):
                self.uri(one, f"certificationInfo/{n}" if isinstance(given, list) else "certificationInfo")

    def _field(self, name: str) -> None:
        value = self.body[name]
        match shape.FORMS[name]:
            case "epcs":
                self._epcs(name, value)
            case "quantities":
                self._quantities(name, value)
            case "place":
                self._place(name, value)
            case "pairs":
                self._pairs(name, value)
            case "sensors":
                self._sensors(value)
            case "persistent":
                self._persistent(value)
            case "ilmd":
                if not isinstance(value, dict):
                    self.say("epcis_field_form", name, field=name)
                else:
                    self.extensions(value, name, ())
            case "error":
                self._error(value)
            case _:
                self._single(name, value)

    def _single(self, name: str, value: object) -> None:
        if name in ("bizStep", "disposition"):
            self.body[name] = self.word(name, value, name)
        elif name == "action":
            if value not in _ACTIONS:
                self.say("epcis_action", name, given=str(value)[:40])
        elif name == "parentID":
            self.epc(value, name)
        elif name == "transformationID":
            self.uri(value, name)

    def _list(self, name: str, value: object) -> list[Any] | None:
        if not isinstance(value, list) or len(value) > LIST_MAX:
            self.say("epcis_field_form", name, field=name)
            return None
        return value

    def _epcs(self, name: str, value: object) -> None:
        seen: set[str] = set()
        for n, one in enumerate(self._list(name, value) or ()):
            inner = self.epc(one, f"{name}/{n}")
            if inner is not None and inner in seen:
                self.say("epcis_epc_twice", f"{name}/{n}", given=str(one)[:100])
            if inner is not None:
                seen.add(inner)

    def _quantities(self, name: str, value: object) -> None:
        for n, one in enumerate(self._list(name, value) or ()):
            where = f"{name}/{n}"
            if not isinstance(one, dict):
                self.say("epcis_field_form", where, field=where)
                continue
            for key in one:
                if key not in ("epcClass", "quantity", "uom"):
                    self.say("epcis_field_unknown", f"{where}/{key[:40]}", field=key[:40])
            if "epcClass" not in one:
                self.say("epcis_field_missing", f"{where}/epcClass", field="epcClass")
            else:
                self.epc(one["epcClass"], f"{where}/epcClass")
            amount, unit = one.get("quantity"), one.get("uom")
            if "quantity" not in one:
                if "uom" in one:
                    self.say("epcis_uom_without_quantity", f"{where}/uom")
                continue
            if isinstance(amount, bool) or not isinstance(amount, (int, float)):
                self.say("epcis_number_form", f"{where}/quantity", given=str(amount)[:40])
            elif amount < 0 or ("uom" not in one and (amount == 0 or amount != int(amount))):
                # without a unit of measure a quantity counts things, and things come in whole numbers
                self.say("epcis_quantity_count", f"{where}/quantity", given=str(amount)[:40])
            if "uom" in one and (not isinstance(unit, str) or _UOM.fullmatch(unit) is None):
                self.say("epcis_uom_form", f"{where}/uom", given=str(unit)[:40])

    def _place(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            self.say("epcis_field_form", name, field=name)
            return
        if "id" not in value:
            self.say("epcis_field_missing", f"{name}/id", field="id")
        else:
            self.epc(value["id"], f"{name}/id")
        self.extensions(value, name, ("id",))

    def _pairs(self, name: str, value: object) -> None:
        inner = shape.PAIRS[name]
        for n, one in enumerate(self._list(name, value) or ()):
            where = f"{name}/{n}"
            if not isinstance(one, dict):
                self.say("epcis_field_form", where, field=where)
                continue
            if "type" in one:
                one["type"] = self.word(shape.PAIR_WORDS[name], one["type"], f"{where}/type")
            elif name != "bizTransactionList":
                self.say("epcis_field_missing", f"{where}/type", field="type")
            for key in one:
                if key not in ("type", inner):
                    self.say("epcis_field_unknown", f"{where}/{key[:40]}", field=key[:40])
            if inner not in one:
                self.say("epcis_field_missing", f"{where}/{inner}", field=inner)
            elif name == "bizTransactionList":
                self.uri(one[inner], f"{where}/{inner}")
            else:
                self.epc(one[inner], f"{where}/{inner}")

    def _persistent(self, value: object) -> None:
        if not isinstance(value, dict) or not value or set(value) - {"set", "unset"}:
            self.say("epcis_field_form", "persistentDisposition", field="persistentDisposition")
            return
        for key, words in value.items():
            where = f"persistentDisposition/{key}"
            items = [words] if isinstance(words, str) else words
            if not isinstance(items, list) or not items:
                self.say("epcis_field_form", where, field=key)
                continue
            value[key] = [self.word("disposition", w, f"{where}/{n}") for n, w in enumerate(items)]
        sides = [value.get(k) for k in ("set", "unset")]
        if all(isinstance(s, list) for s in sides) and set(sides[0] or ()) & set(sides[1] or ()):
            self.say("epcis_persistent_both", "persistentDisposition")

    def _error(self, value: object) -> None:
        if not isinstance(value, dict):
            self.say("epcis_field_form", "errorDeclaration", field="errorDeclaration")
            return
        where = "errorDeclaration"
        if "declarationTime" not in value:
            self.say("epcis_field_missing", f"{where}/declarationTime", field="declarationTime")
        else:
            at = self.time(value["declarationTime"], f"{where}/declarationTime")
            if at is not None and at > datetime.now(UTC) + SKEW:
                self.say(
                    "epcis_time_future", f"{where}/declarationTime", given=str(value["declarationTime"])[:60]
                )
        if "reason" in value:
            value["reason"] = self.word("er", value["reason"], f"{where}/reason")
        ids = value.get("correctiveEventIDs", [])
        for n, one in enumerate(ids if isinstance(ids, list) else [None]):
            self.uri(one, f"{where}/correctiveEventIDs/{n}")
        self.extensions(value, where, ("declarationTime", "reason", "correctiveEventIDs"))

    def _sensors(self, value: object) -> None:
        for n, one in enumerate(self._list("sensorElementList", value) or ()):
            where = f"sensorElementList/{n}"
            if not isinstance(one, dict):
                self.say("epcis_field_form", where, field=where)
                continue
            self.extensions(one, where, ("type", "sensorMetadata", "sensorReport"))
            if "sensorMetadata" in one:
                self._report(one["sensorMetadata"], f"{where}/sensorMetadata", shape.METADATA)
            reports = one.get("sensorReport")
            if not isinstance(reports, list) or not reports:
                self.say("epcis_field_missing", f"{where}/sensorReport", field="sensorReport")
                continue
            for r, report in enumerate(reports):
                self._report(report, f"{where}/sensorReport/{r}", shape.REPORT)
                if isinstance(report, dict) and not {"type", "exception"} & set(report):
                    self.say("epcis_field_missing", f"{where}/sensorReport/{r}/type", field="type")

    def _report(self, value: object, where: str, known: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            self.say("epcis_field_form", where, field=where)
            return
        self.extensions(value, where, known)
        for name, given in value.items():
            at = f"{where}/{name}"
            if name in shape.TIMES:
                self.time(given, at)
            elif name in shape.NUMBERS:
                if isinstance(given, bool) or not isinstance(given, (int, float)):
                    self.say("epcis_number_form", at, given=str(given)[:40])
            elif name in ("type", "exception", "component"):
                kind = {"type": "measurement", "exception": "alert", "component": "component"}[name]
                # the standard writes them gs1:Temperature in XML, where other words are whole URIs
                value[name] = self.word(kind, given, at)
            elif name == "booleanValue":
                if not isinstance(given, bool):
                    self.say("epcis_field_form", at, field=name)
            elif name == "hexBinaryValue":
                if not isinstance(given, str) or _HEX.fullmatch(given) is None:
                    self.say("epcis_field_form", at, field=name)
            elif name == "uom":
                if not isinstance(given, str) or not re.fullmatch(r"[A-Z0-9]{2,3}", given):
                    self.say("epcis_uom_form", at, given=str(given)[:40])
            elif name == "stringValue":
                if not isinstance(given, str) or len(given) > TEXT_MAX:
                    self.say("epcis_field_form", at, field=name)
            elif name in known:
                self.uri(given, at)
        if "startTime" in value and "endTime" in value:
            begin, end = moment(str(value["startTime"])), moment(str(value["endTime"]))
            if begin is not None and end is not None and end < begin:
                self.say("epcis_times_crossed", f"{where}/endTime")

    # -- what belongs together -----------------------------------------------------------------------------

    def _filled(self, *names: str) -> bool:
        return any(self.body.get(n) for n in names)

    def _kind(self, kind: str) -> None:
        body = self.body
        if kind == "TransformationEvent":
            if "action" in body:
                self.say("epcis_action_not_here", "action")
            if "transformationID" not in body:
                for side in ("input", "output"):
                    if not self._filled(f"{side}EPCList", f"{side}QuantityList"):
                        self.say("epcis_transformation_side", f"{side}EPCList", side=side)
            elif not self._filled("inputEPCList", "inputQuantityList", "outputEPCList", "outputQuantityList"):
                self.say("epcis_transformation_side", "inputEPCList", side="input")
            return
        action = body.get("action")
        if action is None:
            self.say("epcis_field_missing", "action", field="action")
        if kind == "ObjectEvent" and not self._filled("epcList", "quantityList", "sensorElementList"):
            self.say("epcis_nothing_named", "epcList")
        if kind == "ObjectEvent" and body.get("ilmd") and action != "ADD":
            self.say("epcis_ilmd_action", "ilmd")
        if kind == "TransactionEvent":
            if not self._filled("bizTransactionList"):
                self.say("epcis_field_missing", "bizTransactionList", field="bizTransactionList")
            if not self._filled("epcList", "quantityList", "parentID"):
                self.say("epcis_nothing_named", "epcList")
        if kind in ("AggregationEvent", "AssociationEvent"):
            self._together(kind, action)

    def _together(self, kind: str, action: object) -> None:
        body = self.body
        named = self._filled("childEPCs", "childQuantityList")
        if not body.get("parentID") and (action in ("ADD", "DELETE") or kind == "AssociationEvent"):
            self.say("epcis_parent_missing", "parentID", action=str(action))
        if action in ("ADD", "OBSERVE") and not named:
            self.say("epcis_children_missing", "childEPCs", action=str(action))
        parent = body.get("parentID")
        children = body.get("childEPCs")
        if isinstance(parent, str) and isinstance(children, list):
            try:
                own = canonical(parent)
                for n, child in enumerate(children):
                    if isinstance(child, str) and canonical(child) == own:
                        self.say("epcis_parent_inside", f"childEPCs/{n}", given=child[:100])
            except NotAnIdentifierError:
                return


def check(read: Read) -> list[Finding]:
    """Everything wrong with an event; its words are in their inner form afterwards."""
    one = _Check(read)
    if one.body or not one.found:
        one.run()
    return one.found


def cycles(events: list[tuple[int, Event]]) -> dict[int, Finding]:
    """Aggregations of one document by which a package would end up inside itself, by index."""
    inside: dict[str, str] = {}
    found: dict[int, Finding] = {}
    for index, body in events:
        if body.get("type") != "AggregationEvent" or not isinstance(body.get("parentID"), str):
            continue
        try:
            parent = canonical(body["parentID"])
            children = [canonical(c) for c in body.get("childEPCs") or ()]
        except (NotAnIdentifierError, TypeError, AttributeError):
            continue  # what is no text is told by `check`
        for n, child in enumerate(children):
            if body.get("action") == "ADD":
                above: str | None = parent
                steps = 0
                while above is not None and above != child and steps < 64:
                    above, steps = inside.get(above), steps + 1
                if above == child:
                    found[index] = Finding("epcis_parent_inside", {"given": child[:100]}, f"childEPCs/{n}")
                    break
                inside[child] = parent
            elif body.get("action") == "DELETE":
                inside.pop(child, None)
        if body.get("action") == "DELETE" and not children:
            # everything comes out
            inside = {child: around for child, around in inside.items() if around != parent}
    return found
