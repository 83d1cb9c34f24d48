"""Temperatures of vaccines in store and on the way (`drug.kyt.dr.…`): uploaded by who has them, read by who receives.

The published interface names the readings `content` and says no more; what is known of them is time, lowest and
highest. They are taken as a JSON list of objects, under the names below, in degrees Celsius and China time. The same
moment again is the same reading, so an upload may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.exchange.top import store_cold as store
from yaosu.exchange.top import store_query
from yaosu.exchange.top.fields import moment
from yaosu.exchange.top.methods_query_flow import bill_ids, events_of
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit, text

P = "alibaba.alihealth.drug.kyt.dr."
READINGS_MAX = 10_000
"""In one upload: a week at one a minute."""
SHOWN_MAX = 1_000
TIMES = ("time", "temperature_time", "temperatureTime")
LOWS = ("min_value", "minValue", "min", "low")
HIGHS = ("max_value", "maxValue", "max", "high")
COLDEST, WARMEST = Decimal(-200), Decimal(200)
STORED, CARRIED = "存储温度", "运输温度"
IN_USE = "1"


@dataclass(frozen=True, slots=True)
class Readings:
    """What one piece of equipment measured."""

    at: list[datetime]
    low: list[Decimal]
    high: list[Decimal]


def _first(one: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((one[name] for name in names if one.get(name) not in (None, "")), None)


def _degrees(value: Any) -> Decimal | None:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return round(found, 2) if found.is_finite() and COLDEST <= found <= WARMEST else None


def readings(call: Call) -> Readings:
    """The readings of `content`. Refused (41) with the place of what cannot be read."""
    given = call.json("content")
    rows = given if isinstance(given, list) else [given]
    if not 1 <= len(rows) <= READINGS_MAX:
        raise call.invalid("content", f"温度信息应有 1 到 {READINGS_MAX} 条")
    found: dict[datetime, tuple[Decimal, Decimal]] = {}
    for n, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise call.invalid("content", f"第 {n} 条温度信息应为对象：time、min_value、max_value")
        at = moment(str(_first(row, TIMES) or ""))
        low, high = _degrees(_first(row, LOWS)), _degrees(_first(row, HIGHS))
        if at is None:
            raise call.invalid("content", f"第 {n} 条温度信息的 time 应为 yyyy-MM-dd HH:mm:ss")
        if low is None or high is None or low > high:
            raise call.invalid(
                "content", f"第 {n} 条温度信息的 min_value、max_value 应为摄氏度，且最低不高于最高"
            )
        found[at] = (low, high)
    return Readings(list(found), [low for low, _ in found.values()], [high for _, high in found.values()])


async def _owner(call: Call) -> tuple[int, int]:
    """(whose equipment and bill, who uploads). The agent is the key's own side; that it may upload for the owner comes
    from a delegation, or from carrying the bill."""
    if not call.text("agent_ref_ent_id"):
        owner = await call.ref_org()
        return owner, owner
    agent = await call.ref_org("agent_ref_ent_id")
    named = await call.party("ref_ent_id")
    if named is not None and call.text("bill_code"):
        rows = await call.pool.fetch(store.NUMBERS, named, [call.text("bill_code")])
        if any(row["carrier"] == agent for row in rows):
            return named, agent
    return await call.ref_org(), agent


def _equipment(call: Call) -> tuple[str, str]:
    code, name = call.text("equipment_code"), call.text("equipment_name")
    for field, value in (("equipment_code", code), ("equipment_name", name)):
        if len(value) > 100:
            raise call.invalid(field)
    return code, name


async def _kept(call: Call, owner: int, uploader: int, bill_no: str, carrier: int | None) -> Reply:
    found = readings(call)
    code, name = _equipment(call)
    async with call.conn() as conn:
        equipment = await conn.fetchval(store.EQUIPMENT, owner, code, name)
        await conn.execute(
            store.ADD, equipment, bill_no, found.at, found.low, found.high, carrier,
            call.text("transport_ref_ent_name")[:200], uploader,
        )  # fmt: skip
    return Reply(True)


@method(P + "storageupload", scope="bill.write")
async def stored(call: Call) -> Reply:
    """Temperatures of a cold store."""
    owner, uploader = await _owner(call)
    return await _kept(call, owner, uploader, "", None)


@method(P + "transportupload", scope="bill.write")
async def carried(call: Call) -> Reply:
    """Temperatures on the way of a bill, by its owner or by the carrier that it names."""
    owner, uploader = await _owner(call)
    number = call.text("bill_code")
    if not await call.pool.fetch(store.NUMBERS, owner, [number]):
        raise Failed("FAIL_BIZ_NO_PAT_INFO", f"单据不存在：{number[:64]}")
    return await _kept(call, owner, uploader, number, await call.party("transport_ref_ent_id"))


@method(P + "associateequi", scope="bill.write")
async def bound(call: Call) -> Reply:
    """Bills go with a piece of equipment: what it measured in store is told with them."""
    owner = await call.ref_org()
    numbers = list(dict.fromkeys(call.strings("bill_codes")))
    if not 1 <= len(numbers) <= 500:
        raise call.invalid("bill_codes")
    equipment = call.number("va_equipment_id")
    async with call.conn() as conn:
        if not 0 < equipment < 2**31 or await conn.fetchval(store.OWN_EQUIPMENT, owner, equipment) is None:
            raise Failed("FAIL_BIZ_NO_PAT_INFO", "设备不存在")
        known = {row["bill_no"] for row in await conn.fetch(store.NUMBERS, owner, numbers)}
        missing = [n for n in numbers if n not in known]
        if missing:
            raise Failed("FAIL_BIZ_NO_PAT_INFO", f"单据不存在：{'、'.join(n[:64] for n in missing[:20])}")
        await conn.execute(store.BIND, owner, numbers, equipment)
    return Reply(True)


@method(P + "vaequipment.list", scope="bill.read")
async def equipment(call: Call) -> Reply:
    """Cold-chain equipment of the own organisation, or of one the key acts for."""
    await call.ref_org()
    owner = await call.ref_org("target_ref_ent_id")
    offset, limit = call.page()
    rows: list[Record] = []
    if call.text("status") in ("", IN_USE):
        rows = await call.pool.fetch(store.LIST, owner, call.text("equipment_code_or_name"), limit, offset)
    total = rows[0]["total"] if rows else 0
    ref = await call.ref_ent_id(owner)
    found = [
        {
            "va_equipment_id": row["id"],
            "equipment_code": row["code"],
            "equipment_name": row["name"] or None,
            "ref_ent_id": ref,
            "status": IN_USE,
            "associated_status": "1" if row["bound"] else "0",
            "crt_date": row["first_at"],
            "mod_date": row["last_at"],
        }
        for row in rows
    ]
    pages = -(-total // limit)
    model = {
        "list": found,
        "total_num": total,
        "pages": pages,
        "page_size": limit,
        "page": offset // limit + 1,
    }
    return Reply(fit(call, model))


def _shown(call: Call, row: Record) -> dict[str, Any]:
    return {
        "time": text(row["at"]),
        "min_value": str(row["low"].normalize() if row["low"] else 0),
        "max_value": str(row["high"].normalize() if row["high"] else 0),
        "equipment_code": row["code"],
        "equipment_name": row["name"] or None,
        "upload_ent_name": call.name_of(row["uploader"]),
        "bill_code": row["bill_no"],
        "type": STORED if row["stored"] else CARRIED,
    }


@method(P + "getupteminfo", scope="trace.read")
async def upstream(call: Call) -> Reply:
    """Temperatures of the shipment by which a code came, or is coming, to us."""
    receiver = await call.ref_org()
    history = await events_of(call, call.text("code"))
    async with call.conn() as conn:
        sight = visible(call.subject)
        bills = await store_query.shipments_to(conn, sight, bill_ids(history), receiver)
        rows = await store.of_shipments(conn, sight, [b["id"] for b in bills[:1]], SHOWN_MAX)
    return Reply(fit(call, {"list": [_shown(call, row) for row in rows]}))


@method(P + "getproteminfo", scope="trace.read")
async def of_maker(call: Call) -> Reply:
    """Temperatures that the product's firm has of the shipment of a batch, for those who had goods of that batch."""
    caller = await call.ref_org() if call.text("ref_ent_id") else call.org
    product = None
    number = call.text("drug_ent_base_info_id")
    if number.isascii() and number.isdigit() and len(number) < 10:
        product = call.registry.product(int(number))
    if product is None:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "药品不存在")
    firms = [o for o in (product.mah_id, product.manufacturer_id) if o]
    rows = await call.pool.fetch(
        store.OF_BATCH,
        call.text("bill_out_code"),
        SHOWN_MAX,
        product.id,
        call.text("batch_no"),
        firms,
        caller,
    )
    found = [(row["stored"], _shown(call, row)) for row in rows]
    return Reply(
        fit(
            call,
            {
                "storage_temperature_list": [one for in_store, one in found if in_store],
                "transport_temperature_list": [one for in_store, one in found if not in_store],
            },
        )
    )
