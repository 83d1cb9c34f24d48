"""An event of moving goods as a `Movement`: parties, codes, number, papers and our own fields."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from yaosu.circulation.model import Movement, Quantity
from yaosu.circulation.store_read import NOTICE_BY_NUMBER
from yaosu.codes import NotACode, Scheme, parse
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.fields import Item
from yaosu.exchange.epcis.identifiers import to_code, to_goods
from yaosu.exchange.epcis.lots import read_date
from yaosu.exchange.epcis.parties import Parties, inner_of
from yaosu.exchange.epcis.plan import Act
from yaosu.exchange.epcis.times import moment
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types

_NUMBERS = {"ship": ("desadv", "inv", "bol"), "receive": ("recadv",), "use": ("inv",)}
"""Business transactions whose id is the bill's own number, best first."""
_PAPERS = {
    "po": "order_code",
    "inv": "invoice_no",
    "bol": "bill_of_lading",
    "rma": "return_no",
    "desadv": "despatch_no",
}
"""Header fields that other papers fill."""
BILL = "urn:yaosu:bill:"


def tail(text: str) -> str:
    """The number inside a business transaction id: what stands after its last separator."""
    if text.startswith(BILL):
        return unquote(text[len(BILL) :].partition(":")[2] or text[len(BILL) :])
    for mark in ("urn:epcglobal:cbv:bt:",):
        if text.startswith(mark):
            return unquote(text[len(mark) :].partition(":")[2])
    if text.startswith("urn:uuid:"):
        return text[9:]
    cut = max(text.rfind("/"), text.rfind(":"), text.rfind("#"))
    return unquote(text[cut + 1 :])


def papers(item: Item) -> dict[str, str]:
    """Numbers of the papers named by an event, by type; the first of each."""
    found: dict[str, str] = {}
    for one in item.body.get("bizTransactionList") or ():
        number = tail(str(one["bizTransaction"]))
        if one.get("type") in _PAPERS | {"recadv": ""} and number:
            found.setdefault(str(one["type"]), number)
    return found


async def movement_of(
    conn: Connection, registry: Registry, parties: Parties, act: Act, revises: Mapping[str, Any] | None
) -> Movement:
    """The movement that an act of kind `move` asks for. Raises YaosuError with findings at the event's fields."""
    item, kind = act.items[0], bill_types()[act.bill_type]
    happened = moment(item.body["eventTime"])
    assert happened is not None, "checked"
    found = papers(item)
    codes, wrong = _codes(item, kind.by_quantity)
    quantities = _quantities(registry, item, wrong) if kind.by_quantity else []
    if wrong:
        raise YaosuError("invalid_request", {"count": len(wrong)}, wrong)
    other = act.other
    if kind.kind == "receive" and other is None and not item.own.get("notice"):
        other = await _sender(conn, registry, act.owner, codes)
    notice = str(item.own.get("notice", ""))[:64]
    if notice and "billNo" in item.own and "from" not in item.own:
        # our own word of a receipt that named its notice and no sender
        other = None
    if kind.kind == "receive" and not notice and "desadv" in found:
        rows = await conn.fetch(NOTICE_BY_NUMBER, act.owner, found["desadv"][:64], other)
        notice = found["desadv"][:64] if rows else ""
    if revises is not None:
        number, revision = revises["bill_no"], revises["revision"] + 1
    else:
        number, revision = await _number(conn, act, item, found)
    return Movement(
        type=kind.code,
        bill_no=number,
        owner=act.owner,
        happened_at=happened,
        codes=codes,
        revision=revision,
        from_org=other if kind.kind == "receive" else _party(parties, item, "from"),
        to_org=other if kind.kind == "ship" else _party(parties, item, "to"),
        principal=_party(parties, item, "principal"),
        carrier=_party(parties, item, "carrier"),
        direct_org=_party(parties, item, "direct"),
        # an event is one fact: it holds for all its packages or is refused; a receipt tells what is wrong with some
        mode="per_code" if kind.kind == "receive" else "atomic",
        notice=notice,
        header=_header(item, found),
        body=orjson.dumps(item.body),
        parts=_parts(item),
        quantities=quantities,
    )


def _codes(item: Item, by_quantity: bool) -> tuple[list[str], list[Finding]]:
    codes, wrong = [], []
    for n, inner in enumerate(item.epcs("epcList")):
        code = to_code(inner)
        if code is None:
            params = {"given": str(item.body["epcList"][n])[:100], "what": str(item.body.get("bizStep", ""))}
            wrong.append(Finding("epcis_not_a_code", params, f"epcList/{n}"))
        else:
            codes.append(code)
    return ([] if by_quantity else codes), wrong


def _quantities(registry: Registry, item: Item, wrong: list[Finding]) -> list[Quantity]:
    found = []
    known = {str(b.get("lot", "")): b for b in _entries(item.own.get("batches"))}
    for n, one in enumerate(item.body.get("quantityList") or ()):
        goods = to_goods(inner_of(one["epcClass"]))
        drug = registry.resolve_prefix(goods.prefix).drug_id if goods is not None else None
        if goods is None or drug is None or not goods.batch_no or not isinstance(one.get("quantity"), int):
            params = {"given": str(one["epcClass"])[:100]}
            wrong.append(Finding("epcis_level_unknown", params, f"quantityList/{n}/epcClass"))
            continue
        more = known.get(goods.batch_no, {})
        made, expires = read_date(str(more.get("producedOn", ""))), read_date(str(more.get("expiresOn", "")))
        found.append(Quantity(drug, goods.batch_no, one["quantity"], made, expires))
    return found


def _party(parties: Parties, item: Item, name: str) -> int | None:
    given = item.own.get(name)
    if not isinstance(given, str) or not given:
        return None
    org = parties.org(inner_of(given))
    if org is None:
        params = {"field": f"yaosu:{name}", "given": given[:100]}
        wrong = [Finding("epcis_party_unknown", params, f"yaosu:{name}")]
        raise YaosuError("invalid_request", {"count": 1}, wrong)
    return org


def _entries(given: object) -> list[dict[str, Any]]:
    """A list of structures of ours, with plain names."""
    items = given if isinstance(given, list) else [given] if isinstance(given, dict) else []
    return [{str(k).rpartition(":")[2]: v for k, v in one.items()} for one in items if isinstance(one, dict)]


def _header(item: Item, found: Mapping[str, str]) -> dict[str, object]:
    """Header fields: told by `yaosu:header` (a list of name and value), else the numbers of the papers."""
    if "header" in item.own:
        header: dict[str, object] = {}
        for one in _entries(item.own["header"])[:40]:
            name, value = str(one.get("name", ""))[:64], one.get("value")
            if name and isinstance(value, (str, int, float)) and len(str(value)) <= 2000:
                header[name] = value
        return header
    if "billNo" in item.own:
        return {}
    return {_PAPERS[kind]: number[:200] for kind, number in found.items() if kind in _PAPERS}


def _parts(item: Item) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in _entries(item.own.get("parts")):
        code = to_code(inner_of(str(one.get("epc", ""))))
        units = str(one.get("units", ""))
        if code is not None and units.isdigit():
            found[code] = int(units)
    return found


async def _number(conn: Connection, act: Act, item: Item, found: Mapping[str, str]) -> tuple[str, int]:
    """Number and revision: told by our own field, else the paper's number, else made of the event's digest."""
    own = str(item.own.get("billNo", ""))[:64]
    made = f"EP{item.content.hex()[:20]}"
    if own:
        latest = await conn.fetchrow(store.LATEST, act.owner, own)
        if latest is None:
            return own, 1
        try:
            revision = int(str(item.own.get("revision", 1)))
        except ValueError:
            revision = 1
        if revision == latest["revision"] + 1 and latest["status"] != "V" and latest["type"] == act.bill_type:
            return own, revision
        return f"{own[:53]}-{item.content.hex()[:10]}", 1
    kind = bill_types()[act.bill_type].kind
    for name in _NUMBERS.get(kind, ()):
        number = found.get(name, "")[:64]
        if number and await conn.fetchval(store.NUMBER_TAKEN, act.owner, number) is None:
            return number, 1
    if await conn.fetchval(store.NUMBER_TAKEN, act.owner, made) is not None:
        # the same was said before, declared wrong, and is now said again as another event
        made = f"{made[:14]}-{hashlib.sha256(item.event_id.encode()).hexdigest()[:10]}"
    return made, 1


async def _sender(conn: Connection, registry: Registry, owner: int, codes: list[str]) -> int | None:
    """Who sent goods that are on their way to the owner, where the event names no source."""
    keys: list[tuple[int, str]] = []
    for code in codes[:1_000]:
        read = parse(code, registry.customs)
        if isinstance(read, NotACode):
            continue
        if read.scheme is Scheme.SSCC:
            for row in await conn.fetch(store.CONTAINER_DRUGS, [read.text]):
                keys += [(d, read.text) for d in row["drug_ids"]]
        else:
            drug = registry.resolve(read).drug_id
            if drug is not None:
                keys.append((drug, read.text))
    rows = await conn.fetch(store.SENDERS, [k[0] for k in keys], [k[1] for k in keys], owner) if keys else []
    return rows[0]["holder"] if len(rows) == 1 else None
