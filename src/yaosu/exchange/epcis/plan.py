"""Events to acts: which event becomes which bill, by list `epcis_map`, and in which order (docs/epcis.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from yaosu.errors import Finding
from yaosu.exchange.epcis.fields import Item
from yaosu.exchange.epcis.identifiers import to_code
from yaosu.exchange.epcis.parties import Parties, inner_of
from yaosu.exchange.epcis.times import moment
from yaosu.registry.groups import home
from yaosu.registry.model import Item as ListItem
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import BillType, submittable

PRODUCTION = {1: "activate", 2: "pack", 3: "unpack", 4: "replace", 5: "cancel"}
"""Acts of the production room, by our bill type."""
DEPTH_SEEN = 16
"""Logistics units inside one another that are put in order; far more than may be packed."""
_OWNERSHIP = ("owning_party", "possessing_party", "location")


@dataclass(slots=True)
class Act:
    """Something to be done for one event, or for several that only make sense together (activation)."""

    kind: str
    items: list[Item]
    bill_type: int = 0
    owner: int = 0
    other: int | None = None
    findings: list[tuple[Item, Finding]] = field(default_factory=list)
    """Why it cannot be done, with the event."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The organisations an event names as giver and taker; None where it names none that is known."""

    source: int | None
    target: int | None
    unknown_source: int | None = None
    """Place of a party in sourceList that nobody knows, when none there is known."""
    unknown_target: int | None = None


def sides(item: Item, parties: Parties) -> Sides:
    """Giver and taker of an event."""
    found: list[tuple[int | None, int | None]] = []
    for name, inner in (("sourceList", "source"), ("destinationList", "destination")):
        org, unknown = None, None
        for kind in _OWNERSHIP:
            for n, value in item.pairs(name, inner, kind):
                known = parties.org(value)
                if known is not None and org is None:
                    org = known
                elif known is None and unknown is None:
                    unknown = n
        found.append((org, None if org is not None else unknown))
    return Sides(found[0][0], found[1][0], found[0][1], found[1][1])


def place_of(item: Item, parties: Parties) -> int | None:
    """The organisation at whose place the event happened, by bizLocation or readPoint."""
    for name in ("bizLocation", "readPoint"):
        value = item.body.get(name)
        if isinstance(value, dict):
            org = parties.org(inner_of(str(value.get("id", ""))))
            if org is not None:
                return org
    return None


def ordered(items: Sequence[Item]) -> list[Item]:
    """Events in the order in which they are to be done.

    By record time when every event has one (an export of another repository), else by event time; a declaration of
    an error stands at its declaration time, and the events that correct it right after it. Equal times keep the
    order of the document.
    """
    recorded = [moment(str(i.body.get("recordTime", ""))) for i in items]
    if items and all(r is not None for r in recorded):
        return [
            i for _, _, i in sorted((r, n, i) for n, (r, i) in enumerate(zip(recorded, items, strict=True)))
        ]
    corrects: dict[str, datetime] = {}
    for one in items:
        if one.declared:
            at = moment(one.body["errorDeclaration"]["declarationTime"])
            for event_id in one.body["errorDeclaration"].get("correctiveEventIDs") or ():
                if at is not None:
                    corrects[event_id] = at

    def key(pair: tuple[int, Item]) -> tuple[datetime, int, int]:
        n, one = pair
        if one.declared:
            at = moment(one.body["errorDeclaration"]["declarationTime"])
            assert at is not None, "checked"
            return at, 1, n
        if one.event_id in corrects:
            return corrects[one.event_id], 2, n
        at = moment(one.body["eventTime"])
        assert at is not None, "checked"
        return at, 0, n

    return [one for _, one in sorted(enumerate(items), key=key)]


class Planner:
    """Makes acts of events for one capturing organisation."""

    def __init__(
        self, registry: Registry, parties: Parties, org: int, foreign: frozenset[int] = frozenset()
    ) -> None:
        self.registry, self.parties, self.org = registry, parties, org
        self.foreign = foreign
        """Indices of events about goods that nobody here handles."""
        card = registry.org(org)
        region = card.region if card is not None else ""
        self.rules: list[ListItem] = sorted(
            registry.lists.get("epcis_map", region=region), key=lambda r: r.code
        )

    def act(self, item: Item) -> Act:
        """What one event asks for."""
        if item.declared:
            return Act("undo", [item])
        if item.own.get("implied"):
            # told beside a movement of ours that does it itself
            return Act("keep", [item])
        given = item.own.get("billType")
        if given is not None:
            return self._by_type(item, given)
        seen = sides(item, self.parties)
        for rule in self.rules:
            act = self._fits(rule, item, seen)
            if act is not None and item.index in self.foreign:
                item.note = "foreign"
                break
            if act is not None:
                return act
        return Act("keep", [item])

    def _by_type(self, item: Item, given: object) -> Act:
        try:
            number = int(str(given))
        except ValueError:
            number = 0
        if number in PRODUCTION:
            return Act(PRODUCTION[number], [item], number, self.org)
        kind = submittable().get(number)
        if kind is None or item.body["type"] != "ObjectEvent":
            wrong = Finding("epcis_bill_type_unknown", {"given": str(given)[:20]}, "yaosu:billType")
            return Act("move", [item], 0, self.org, None, [(item, wrong)])
        return self._move(item, kind, sides(item, self.parties))

    def _fits(self, rule: ListItem, item: Item, seen: Sides) -> Act | None:
        attrs, body = rule.attrs, item.body
        if body["type"] not in _texts(attrs, "events") or body.get("action", "") not in _texts(
            attrs, "actions"
        ):
            return None
        if body.get("bizStep", "") not in _texts(attrs, "steps"):
            return None
        wanted = _texts(attrs, "dispositions")
        if wanted and body.get("disposition", "") not in wanted:
            return None
        act = str(attrs.get("act", ""))
        if act == "move":
            if not any(to_code(e) for e in item.epcs("epcList")):
                # classes and things without trace codes: nothing of ours moves
                return None
            kind = submittable()[int(str(attrs["bill_type"]))]
            made = self._move(item, kind, seen)
        else:
            made = Act(act, [item], owner=self._owner(item, seen))
        card = self.registry.org(made.owner)
        types = _texts(attrs, "org_types")
        if types and (card is None or str(card.type) not in types):
            return None
        if attrs.get("family") and not self._family(made):
            return None
        if attrs.get("no_sender") and (seen.source is not None or seen.unknown_source is not None):
            return None
        transactions = _texts(attrs, "transactions")
        if transactions and not any(
            t.get("type") in transactions for t in body.get("bizTransactionList") or ()
        ):
            return None
        return made

    def _family(self, act: Act) -> bool:
        if act.other is None or act.other == act.owner:
            return False
        one, two = home(self.registry, act.owner), home(self.registry, act.other)
        cards = self.registry.org(one), self.registry.org(two)
        parents = {c.parent_id for c in cards if c is not None}
        return one == two or one in parents or two in parents

    def _owner(self, item: Item, seen: Sides) -> int:
        return seen.source or place_of(item, self.parties) or self.org

    def _move(self, item: Item, kind: BillType, seen: Sides) -> Act:
        if kind.kind == "receive":
            owner = seen.target or place_of(item, self.parties) or self.org
            other, unknown, where = seen.source, seen.unknown_source, ("sourceList", "source")
        else:
            owner = self._owner(item, seen)
            other, unknown, where = seen.target, seen.unknown_target, ("destinationList", "destination")
        act = Act("move", [item], kind.code, owner, other)
        if other is None and unknown is not None and kind.kind in ("ship", "receive"):
            path = f"{where[0]}/{unknown}/{where[1]}"
            shown = str(item.body[where[0]][unknown].get(where[1], ""))[:100]
            act.findings.append(
                (item, Finding("epcis_party_unknown", {"field": where[0], "given": shown}, path))
            )
        elif other is None and kind.kind == "ship":
            params = {"field": "destinationList", "what": "owning_party / possessing_party / location"}
            act.findings.append((item, Finding("epcis_party_missing", params, "destinationList")))
        return act

    def acts(self, items: Sequence[Item]) -> list[Act]:
        """Acts in order; neighbouring events of commissioning and packing become one activation."""
        made: list[Act] = []
        for item in ordered(items):
            act = self.act(item)
            if act.kind == "activate" and not act.findings:
                run = _open_run(made)
                if run is not None and run.owner == act.owner:
                    run.items.append(item)
                    continue
            made.append(act)
        return inside_out(made)


def inside_out(acts: Sequence[Act]) -> list[Act]:
    """Acts with the packing of logistics units after that of what is in them, where nothing but packing lies between:
    an SSCC comes to be with its content, and makers also tell a pallet before its cartons."""
    found: list[Act] = []
    run: list[Act] = []
    for act in acts:
        if act.kind in ("activate", "pack", "keep") and not act.findings:
            run.append(act)
            continue
        found += [*_filled_first(run), act]
        run = []
    return found + _filled_first(run)


def _filled_first(run: list[Act]) -> list[Act]:
    filling: dict[str, int] = {}
    """Where each logistics unit is filled last."""
    inner: dict[int, list[str]] = {}
    for n, act in enumerate(run):
        if act.kind != "pack":
            continue
        body = act.items[0].body
        parents = _labels([body.get("parentID")])
        if not parents:
            continue
        filling[parents[0]] = n
        if labels := _labels(body.get("childEPCs") or ()):
            inner[n] = labels
    if not any(filling.get(c, -1) > n for n, labels in inner.items() for c in labels):
        return run
    # behind which act each stands, and how deep it is; what is told to be inside itself is refused when it is packed
    places = [(n, 0) for n in range(len(run))]
    for _ in range(DEPTH_SEEN):
        before = list(places)
        for n, labels in inner.items():
            below = [places[filling[c]] for c in labels if filling.get(c, n) != n]
            if below and max(below) >= places[n]:
                places[n] = (max(below)[0], max(below)[1] + 1)
        if places == before:
            break
    return [run[n] for n in sorted(range(len(run)), key=lambda n: (places[n], n))]


def _labels(values: Sequence[object]) -> list[str]:
    """The SSCCs among identifiers in any spelling; of a million others none is read for it."""
    told = [v for v in values if isinstance(v, str) and ("/00/" in v or "sscc" in v.lower())]
    return [code for v in told if (code := to_code(inner_of(v))) is not None and code.startswith("(00)")]


def _open_run(made: Sequence[Act]) -> Act | None:
    """The activation that an event of commissioning belongs to: nothing but packing came since."""
    for act in reversed(made):
        if act.kind == "activate" and not act.findings:
            return act
        if act.kind not in ("pack", "keep"):
            return None
    return None


def _texts(attrs: object, name: str) -> list[str]:
    value = attrs.get(name) if hasattr(attrs, "get") else None
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else []
