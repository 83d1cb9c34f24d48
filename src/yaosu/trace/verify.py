"""Verify: what is known of a scanned code, for one or a thousand in a handful of statements (issue 2 §6).

In three steps, so that concurrent single questions can share the second: `ask` reads the scan (no I/O), `look`
fetches everything for any number of questions, `answer` judges and writes the answer for one reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from yaosu.access.visibility import Sight
from yaosu.codes import NotACode, Scheme, TraceCode, parse
from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.production import requests
from yaosu.registry.model import Product, Resolution
from yaosu.registry.resolver import Registry
from yaosu.rules.states import label
from yaosu.stops.model import Stop
from yaosu.stops.service import Memory as StopMemory
from yaosu.subject import Subject
from yaosu.trace import store
from yaosu.trace.model import BatchFacts, Found, Key, UnitRow

CHINA = ZoneInfo("Asia/Shanghai")
QUERIES_NOTABLE = 3
"""From this many public queries on, they are worth a warning."""
BATCHES_KEPT_MAX = 100_000
RAW_SHOWN_MAX = 200

_ODD = {
    "S": ("trace_sold", "refused"),
    "Q": ("trace_in_quarantine", "refused"),
    "C": ("trace_cancelled", "refused"),
    "X": ("trace_destroyed", "refused"),
    "N": ("trace_disabled", "refused"),
    "O": ("trace_in_transit", "info"),
    "A": ("trace_not_stocked", "warn"),
}

_STOPPED = {"recall": "recalled", "lock": "locked", "suspension": "suspended"}

Json = dict[str, object]


@dataclass(slots=True)
class Asked:
    """One scan, read and resolved. `keys` are the units it may stand for; `container` a logistics code."""

    raw: str
    code: TraceCode | None = None
    refusal: NotACode | None = None
    resolution: Resolution | None = None
    keys: list[Key] = field(default_factory=list)
    container: str = ""


@dataclass(slots=True)
class Looked:
    """What the database says to any number of questions. `seen`: roots whose holder the reader may know."""

    found: dict[Key, Found] = field(default_factory=dict)
    batches: dict[int, BatchFacts] = field(default_factory=dict)
    mixed: dict[Key, dict[int, int]] = field(default_factory=dict)
    stops: dict[Key, list[Stop]] = field(default_factory=dict)
    """Recalls, locks and suspensions on a unit (R-E4)."""


class BatchMemory:
    """Facts of batches by id, kept between calls: a batch never changes once it exists.

    `stops` is the process's memory of recalls and locks; without it answers say nothing of them.
    """

    def __init__(self, stops: StopMemory | None = None) -> None:
        self._facts: dict[int, BatchFacts] = {}
        self._stops = stops

    async def get(self, conn: Connection, wanted: Mapping[int, int]) -> dict[int, BatchFacts]:
        """Facts of the batches in `wanted` (batch id → product)."""
        facts = self._facts
        missing = [(drug_id, batch_id) for batch_id, drug_id in wanted.items() if batch_id not in facts]
        if missing:
            if len(facts) > BATCHES_KEPT_MAX:
                facts.clear()
                missing = [(drug_id, batch_id) for batch_id, drug_id in wanted.items()]
            facts.update(await store.batches(conn, missing))
        return {b: facts[b] for b in wanted if b in facts}

    async def stopped(self, conn: Connection, looked: Looked) -> dict[Key, list[Stop]]:
        """Stops on what was found: by its batch, its code, a package around it, or something inside it.

        Costs a look at the version once a second, and a statement for products of which single codes are stopped.
        """
        if self._stops is None:
            return {}
        return await stops_on(await self._stops.fresh(conn), conn, looked.found, looked.mixed)


async def stops_on(
    stops: StopMemory,
    conn: Connection,
    units: Mapping[Key, Found],
    mixed: Mapping[Key, Mapping[int, int]],
) -> dict[Key, list[Stop]]:
    """Stops on each of `units`, whoever they bind; `mixed` are the batches of mixed containers."""
    if not stops.by_id:
        return {}
    holding = await stops.holding(conn, list(units))
    found: dict[Key, list[Stop]] = {}
    for key, one in units.items():
        batches = [one.unit.batch_id] if one.unit.batch_id else list(mixed.get(key, ()))
        on = [s for b in batches for s in stops.batches.get((key[0], b), ())]
        on += holding.get(key, ())
        on += [s for row in one.path for s in stops.codes.get((row.drug_id, row.code), ())]
        if on:
            found[key] = sorted(dict.fromkeys(on), key=lambda s: (s.kind != "recall", s.id))
    return found


def ask(registry: Registry, raw: str) -> Asked:
    """Read and resolve one scan; never fails."""
    code = parse(raw, registry.customs)
    if isinstance(code, NotACode):
        return Asked(raw[:RAW_SHOWN_MAX], refusal=code)
    if code.scheme is Scheme.SSCC:
        return Asked(raw[:RAW_SHOWN_MAX], code, container=code.text)
    found = registry.resolve(code)
    asked = Asked(raw[:RAW_SHOWN_MAX], code, resolution=found)
    # a code of another system may have been taken in here (R-B9)
    if found.kind in ("known", "elsewhere") and found.drug_id is not None:
        asked.keys.append((found.drug_id, code.text))
    return asked


async def look(conn: Connection, asked: Sequence[Asked], memory: BatchMemory) -> Looked:
    """Everything about the units of `asked`: at most four statements, however many there are."""
    looked = Looked()
    boxes = list({a.container for a in asked if a.container})
    if boxes:
        inside = await store.containers(conn, boxes)
        for one in asked:
            one.keys += [(drug_id, one.container) for drug_id in inside.get(one.container, ())]
    keys = list({key for one in asked for key in one.keys})
    if not keys:
        return looked
    looked.found = await store.climb(conn, keys)
    mixed = [key for key, found in looked.found.items() if not found.unit.batch_id]
    if mixed:
        looked.mixed = await store.container_batches(conn, mixed)
    wanted = {f.unit.batch_id: f.unit.drug_id for f in looked.found.values() if f.unit.batch_id}
    for (drug_id, _), held in looked.mixed.items():
        wanted.update(dict.fromkeys(held, drug_id))
    looked.batches = await memory.get(conn, wanted)
    looked.stops = await memory.stopped(conn, looked)
    return looked


async def known(conn: Connection, sight: Sight, found: Sequence[Found]) -> set[Key]:
    """Keys of the outermost packages whose holder the reader may know; one statement, none for own goods."""
    roots = {(f.root.drug_id, f.root.code): f.root for f in found}
    if sight.kind == "public":
        return set()
    seen = {key for key, root in roots.items() if sight.owns(root.holder)}
    rest = [root for key, root in roots.items() if key not in seen]
    if rest:
        told = await store.known_holders(conn, sight, rest)
        seen.update((root.drug_id, root.code) for root, yes in zip(rest, told, strict=True) if yes)
    return seen


def answer(
    registry: Registry,
    asked: Asked,
    looked: Looked,
    seen: set[Key],
    lang: str,
    now: datetime | None = None,
    reader: int | None = None,
) -> Json:
    """The verdict on one scan in the form of the API. Always complete: what is not known is null.

    `reader` is the organisation that asks: its own suspensions of sale are told to nobody else.
    """
    if asked.refusal is not None or asked.code is None:
        refusal = asked.refusal or NotACode("code_unknown", {"length": "0"})
        return _refused(asked, "not_a_code", Finding(refusal.code, refusal.params), lang)
    resolution = asked.resolution
    home = home_of(resolution)
    found = found_of(asked, looked)
    if home is not None and not found:
        finding = Finding("trace_elsewhere", {"system": home["name"], "url": home["url"] or "—"})
        body = _refused(asked, "elsewhere", finding, lang)
        body["home_system"] = home
        return body
    if resolution is not None and resolution.kind == "unknown":
        finding = Finding("prefix_unknown", {"prefix": asked.code.prefix, "code": asked.code.text})
        return _refused(asked, "unknown", finding, lang)
    if not found:
        body = _refused(asked, "not_activated", Finding("trace_no_unit", {"code": asked.code.text}), lang)
        if resolution is not None and resolution.drug_id is not None:
            body["product"] = product_json(registry, resolution.drug_id)
            body["level"] = level_json(registry, resolution.drug_id, resolution.level or 0)
        return body
    when = now or datetime.now(UTC)
    body = _unit(registry, asked, found[0], looked, seen, lang, when, reader)
    body["home_system"] = home
    if len(found) > 1:
        body["others"] = [_unit(registry, asked, f, looked, seen, lang, when, reader) for f in found[1:]]
    return body


def found_of(asked: Asked, looked: Looked) -> list[Found]:
    """What a scan stands for: one unit, or a row for each product in a logistics container. Rows of products that are
    not in it any more stay where they were emptied; they are told only where nothing else is left of it."""
    found = [looked.found[key] for key in asked.keys if key in looked.found]
    return [f for f in found if f.unit.qty] or found


def home_of(resolution: Resolution | None) -> Json | None:
    """Name and query page of the other trace system a code lives in (R-A4); None for our own."""
    if resolution is None or resolution.kind != "elsewhere":
        return None
    system = resolution.system.name if resolution.system is not None else "—"
    return {"name": system, "url": resolution.query_url}


async def tell_origin(
    conn: Connection, registry: Registry, subject: Subject, master: bytes, body: Json, lang: str
) -> None:
    """Add to the verdict on a code without a unit whether this system issued it (R-X8), for whoever may know.

    A code printed for a maker and never activated is a different finding from one nobody ever issued.
    """
    if body["kind"] != "not_activated" or not subject.can("production.read"):
        return
    origin = await requests.whose(conn, subject, master, str(body["code"]), tuple(registry.customs))
    body["issued"] = {
        "here": origin.issued,
        "request_id": origin.request_id,
        "number": origin.number,
        "made_at": origin.made_at.isoformat() if origin.made_at is not None else None,
    }
    if origin.issued:
        params = {"time": minute(origin.made_at), "request": origin.request_id or "—"}
        finding = Finding("trace_issued_not_activated", params)
    else:
        finding = Finding("trace_not_issued_here")
    body["warnings"] = [{**_short(finding, lang), "severity": "info" if origin.issued else "warn"}]


def _refused(asked: Asked, kind: str, finding: Finding, lang: str) -> Json:
    entry = finding.as_json(lang)
    return {
        "raw": asked.raw
        if kind != "not_a_code" or asked.refusal is None
        else asked.refusal.raw[:RAW_SHOWN_MAX],
        "code": asked.code.text if asked.code is not None else None,
        "scheme": asked.code.scheme.value if asked.code is not None else None,
        "found": False,
        "kind": kind,
        "verdict": finding.code,
        "message": entry["message"],
        "next": entry["next"],
        "product": None,
        "level": None,
        "batches": [],
        "qty": None,
        "status": None,
        "since": None,
        "inside": None,
        "holder": None,
        "destination": None,
        "holder_hidden": False,
        "queries": {"count": 0, "first_at": None},
        "warnings": [],
        "explanation": "",
        "home_system": None,
        "issued": None,
        "others": [],
    }


def _unit(
    registry: Registry,
    asked: Asked,
    found: Found,
    looked: Looked,
    seen: set[Key],
    lang: str,
    now: datetime,
    reader: int | None,
) -> Json:
    unit, root = found.unit, found.root
    held = looked.mixed.get((unit.drug_id, unit.code)) if not unit.batch_id else {unit.batch_id: unit.qty}
    facts = [(looked.batches[b], qty) for b, qty in (held or {}).items() if b in looked.batches]
    is_seen = (root.drug_id, root.code) in seen
    status = root.status or ""
    stops = [s for s in looked.stops.get((unit.drug_id, unit.code), ()) if s.binds(reader or 0)]
    warnings = [{**_short(Finding(_STOPPED[s.kind], s.params), lang), "severity": "refused"} for s in stops]
    warnings += _warnings(asked, found, [f for f, _ in facts], status, lang, now)
    worst = next((w for w in warnings if w["severity"] == "refused"), None)
    return {
        "raw": asked.raw,
        "code": unit.code,
        "scheme": asked.code.scheme.value if asked.code is not None else None,
        "found": True,
        "kind": "unit",
        "verdict": worst["code"] if worst else "ok",
        "message": worst["message"] if worst else label(status, lang),
        "next": worst["next"] if worst else "",
        "product": product_json(registry, unit.drug_id),
        "level": level_json(registry, unit.drug_id, unit.level),
        "batches": [
            {
                "batch_no": f.batch_no,
                "produced_on": f.produced_on.isoformat(),
                "expires_on": f.expires_on.isoformat(),
                "qty": qty,
            }
            for f, qty in facts
        ],
        "qty": unit.qty,
        "status": {"code": status, "label": label(status, lang)},
        "since": root.since.isoformat() if root.since is not None and (is_seen or status == "S") else None,
        "inside": {"code": root.code, "parent": unit.parent} if is_seen and unit.parent is not None else None,
        "holder": org_json(registry, root.holder) if is_seen else None,
        "destination": org_json(registry, root.dest) if is_seen and status == "O" else None,
        "holder_hidden": not is_seen,
        "queries": {
            "count": found.queries,
            "first_at": found.first_query.isoformat() if found.first_query else None,
        },
        "warnings": warnings,
        "explanation": explain(registry, unit, root, [f for f, _ in facts], is_seen, lang, stops),
        "home_system": None,
        "issued": None,
        "others": [],
    }


def _warnings(
    asked: Asked, found: Found, facts: Sequence[BatchFacts], status: str, lang: str, now: datetime
) -> list[Json]:
    unit, root = found.unit, found.root
    made: list[tuple[Finding, str]] = []
    odd = _ODD.get(status)
    if odd is not None:
        made.append((Finding(odd[0], {"time": minute(root.since)}), odd[1]))
    today = now.astimezone(CHINA).date()
    gone = [f for f in facts if f.expires_on < today]
    if gone:
        made.append((Finding("trace_expired", {"date": gone[0].expires_on.isoformat()}), "refused"))
    if not unit.qty and root.status != "C":  # a replaced code is empty because its box has another one
        made.append((Finding("trace_empty", {}), "refused"))
    if root.since is not None and facts and root.since.astimezone(CHINA).date() < facts[0].produced_on:
        params = {"time": minute(root.since), "date": facts[0].produced_on.isoformat()}
        made.append((Finding("trace_before_production", params), "warn"))
    code = asked.code
    if code is not None and len(facts) == 1:
        if code.batch and code.batch != facts[0].batch_no:
            params = {"scanned": code.batch, "recorded": facts[0].batch_no}
            made.append((Finding("trace_carrier_batch", params), "refused"))
        if code.expiry is not None and code.expiry != facts[0].expires_on:
            params = {"scanned": code.expiry.isoformat(), "recorded": facts[0].expires_on.isoformat()}
            made.append((Finding("trace_carrier_expiry", params), "refused"))
    if found.queries >= QUERIES_NOTABLE:
        params2 = {"count": found.queries, "time": minute(found.first_query)}
        made.append((Finding("trace_queried", params2), "warn"))
    if code is not None:
        made += [(Finding(note, {}), "info") for note in code.notes]
    return [{**_short(finding, lang), "severity": severity} for finding, severity in made]


def _short(finding: Finding, lang: str) -> Json:
    body = finding.as_json(lang)
    body.pop("where")
    return body


def explain(
    registry: Registry,
    unit: UnitRow,
    root: UnitRow,
    facts: Sequence[BatchFacts],
    seen: bool,
    lang: str,
    stops: Sequence[Stop] = (),
) -> str:
    """The current state in one paragraph (R-X1); organisations are named only where the reader may know."""
    product = registry.product(unit.drug_id)
    somebody = Finding("explain_somebody").text(lang)
    level = level_json(registry, unit.drug_id, unit.level)
    parts = [
        Finding(
            "explain_pack",
            {
                "holder_name": _name(registry, product.mah_id) if product else somebody,
                "product": product.generic_name if product else "—",
                "strength": product.strength if product else "—",
                "package": product.package_size if product else "—",
                "level": level["name"],
                "qty": unit.qty,
                "batch": "、".join(f.batch_no for f in facts) or "—",
                "expires": min((f.expires_on for f in facts), default=date.max).isoformat() if facts else "—",
            },
        ).text(lang)
    ]
    if root is not unit and seen:
        parts.append(Finding("explain_inside", {"package": root.code}).text(lang))
    if root.status:
        params = {
            "time": minute(root.since) if seen or root.status == "S" else "—",
            "holder": _name(registry, root.holder) if seen else somebody,
            "dest": _name(registry, root.dest) if seen else somebody,
        }
        # goods under a stop must not be told that they may be sold
        stopped = bool(stops) and root.status in ("A", "I")
        parts.append(Finding("explain_stopped" if stopped else f"explain_{root.status}", params).text(lang))
    return ("" if lang.startswith("zh") else " ").join(parts)


def product_json(registry: Registry, drug_id: int) -> Json | None:
    """The product in short, as every answer of this room names it."""
    product: Product | None = registry.product(drug_id)
    if product is None:
        return None
    return {
        "drug_id": product.id,
        "name": product.generic_name,
        "trade_name": product.trade_name or None,
        "dosage_form": product.dosage_form,
        "strength": product.strength,
        "package_size": product.package_size,
        "approval_no": product.approval_no or product.import_cert_no,
        "mah": _name(registry, product.mah_id),
        "manufacturer": _name(registry, product.manufacturer_id),
    }


def level_json(registry: Registry, drug_id: int, number: int) -> Json:
    """A package level with its name in the product's ladder (包装级别)."""
    product = registry.product(drug_id)
    found = product.level(number) if product is not None else None
    name = found.name if found is not None else ("物流单元" if number >= 90 else f"{number}")
    return {"number": number, "name": name}


def org_json(registry: Registry, org_id: int | None) -> Json | None:
    """An organisation in short."""
    if not org_id:
        return None
    org = registry.org(org_id)
    return {"org_id": org_id, "name": org.name if org else str(org_id), "type": org.type if org else None}


def _name(registry: Registry, org_id: int | None) -> str:
    org = registry.org(org_id) if org_id else None
    return org.name if org is not None else "—"


def minute(when: datetime | None) -> str:
    """A time as people in China read it; a dash for none."""
    return when.astimezone(CHINA).strftime("%Y-%m-%d %H:%M") if when is not None else "—"
