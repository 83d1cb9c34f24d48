"""What each 医保 transaction does once it is verified: 3501–3507 with their `A` forms, 3513, 2204, 2207, 2208,
9001, 9002 (R-C7).

3501 to 3505 only report and are taken in by `desk`, many at once; the others change what stands and go one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.insurance import fields, looking, settling, signing, store, store_message
from yaosu.insurance.calls import Call, Taken
from yaosu.insurance.reports import Rows
from yaosu.insurance.weights import limit

REPORTS = frozenset({"3501", "3502", "3503", "3504", "3505"})
"""Transactions whose rows are only kept and, for sales, judged."""
SETTLING = frozenset({"3505", "3506", "2207"})
"""Transactions that write the settlement ledger by code."""
OUTSIDE_TABLES = {
    "2204": settling.fees,
    "2208": settling.cancel,
    signing.SIGN_IN: signing.sign_in,
    signing.SIGN_OUT: signing.sign_out,
}
"""Transactions without trace codes that the others need: fee lines, taking a settlement back, signing in and out."""


def served(infno: str) -> bool:
    """Whether a transaction is one of ours."""
    return infno in OUTSIDE_TABLES or fields.transaction(infno) is not None


def read(call: Call) -> Rows | Taken | None:
    """The rows of a call with what is wrong with each, or the refusal of all of it; None: it has no rows of ours."""
    if call.infno in OUTSIDE_TABLES:
        return None
    rows, wrong = fields.rows_of(call.infno, call.body)
    if wrong:
        return Taken(whole=wrong, kept=False)
    most = limit(call.registry.lists, "rows", call.institution.region)
    if len(rows) > most:
        return Taken(
            whole=[Finding("yibao_rows_many", {"got": len(rows), "limit": most}, "input")], kept=False
        )
    one = fields.transaction(call.infno)
    assert one is not None
    batch = fields.is_batch(call.infno)
    node = one.batch_node if batch else one.node
    found: dict[int, list[Finding]] = {}
    for n, row in enumerate(rows):
        where = f"input.{node}[{n}]" if batch or one.many else f"input.{node}"
        findings = fields.check_row(call.infno, row, call.profile, where)
        if findings:
            found[n] = findings
    if found and (one.query or one.many):
        # a settlement is taken whole or not at all
        whole = [f for n in sorted(found) for f in found[n]]
        return Taken(whole=whole, kept=False, rows=len(rows), refused=len(found))
    return Rows(call, one, rows, found)


def numbers(call: Call, rows: Rows | Taken | None) -> list[int]:
    """What a call locks until its transaction ends: its own number, its records' and the codes it settles."""
    name = str(call.institution.id)
    own = [f"message {name} {call.message.get('msgid', '')}"]
    if isinstance(rows, Rows) and not rows.one.query and not rows.one.many:
        own += [f"report {name} {key}" for key in rows.keys]
    found = [store.lock_number(text) for text in own]
    if isinstance(rows, Rows) and rows.one.infno in SETTLING:
        found += [store.lock_number(code) for code in rows.codes]
    return sorted(set(found))


async def take(conn: Connection, call: Call, rows: Rows | None, message_id: int) -> Taken:
    """Do what a call says that is no mere report. Every refusal of what was sent is in the answer, not raised."""
    if rows is None:
        return await OUTSIDE_TABLES[call.infno](conn, call)
    if rows.one.query:
        return await settling.sales(conn, call, rows.rows[0])
    if rows.one.many:
        return await settling.settle(conn, call, rows.rows)
    if rows.good:
        await (_delete(conn, rows) if rows.one.infno == "3507" else _return(conn, rows, message_id))
    return rows.answer()


async def _return(conn: Connection, rows: Rows, message_id: int) -> None:
    """3506: the sale of each code at this institution is taken back; of an opened box, so many units."""
    call = rows.call
    rows.compare(await _standing(conn, call, rows))
    for key, n in rows.fresh.items():
        row = rows.rows[n]
        units = fields.as_number(row.get("sel_retn_cnt")) or Decimal(0)
        split = str(row.get("trdn_flag")) == "1"
        sale = {
            "bch": str(row.get("medins_prod_sel_no") or ""),
            "setl": str(row.get("setl_id") or ""),
            "visit": str(row.get("mdtrt_sn") or ""),
        }
        back, missing = await take_back(conn, call, rows.scans[n], sale, int(units) if split else 0)
        if missing:
            rows.found[n] = [
                Finding("insurance_in_nothing_to_return", {"code": code}, f"[{n}].drugtracinfo")
                for code in missing
            ]
        elif back:
            rows.returned[key] = back
    ids = await store_message.new_report_ids(conn, len(rows.fresh))
    await store_message.add_reports(conn, *rows.records(message_id, ids))


async def _standing(conn: Connection, call: Call, rows: Rows) -> dict[str, bytes]:
    found = await conn.fetch(store_message.STANDING, call.institution.id, rows.one.infno, rows.keys)
    return {r["key"]: r["content"] for r in found}


async def _delete(conn: Connection, rows: Rows) -> None:
    """3507: the record no longer stands, nor what followed from it."""
    institution = rows.call.institution
    stages = [i for i, t in fields.tables().transactions.items() if t.infno == i and t.kind]
    for n in rows.good:
        key, kind = rows.key(n), str(rows.rows[n]["inv_data_type"])
        wanted = [i for i in stages if fields.tables().transactions[i].kind == kind]
        gone = await conn.fetch(store_message.DELETE_REPORT, institution.id, key, wanted)
        if not gone:
            rows.found[n] = [
                Finding("insurance_in_nothing_to_delete", {"key": key}, f"[{n}].fixmedins_bchno")
            ]
            continue
        for report in gone:
            if report["stage"] == "3505":
                await conn.fetch(store_message.WITHDRAW, store.keys_of(institution.id, {"bch": key})[0])
            back = report["data"].get("returned")
            if report["stage"] == "3506" and back:
                columns = [[b[0] for b in back], [b[1] for b in back], [b[2] for b in back]]
                await conn.execute(store_message.RESTORE, *columns)


async def take_back(
    conn: Connection, call: Call, seen: Sequence[looking.Seen], sale: Mapping[str, str], units: int
) -> tuple[list[list[Any]], list[str]]:
    """Sales of these codes at the institution that no longer count; and the codes without any.

    The sale named by number goes first, else the latest. `units` above 0: parts of opened boxes.
    """
    pairs = sorted({(d, s.code) for s in seen for d in (s.drug_id, 0)})
    rows = await conn.fetch(store.BY_CODES, call.institution.id, [p[0] for p in pairs], [p[1] for p in pairs])
    by_code: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_code[row["code"]].append(row)
    named = set(store.keys_of(call.institution.id, sale))
    chosen, missing = [], []
    for one in seen:
        found = sorted(by_code.get(one.code, ()), key=lambda r: not named.intersection(r["keys"]))
        if found:
            chosen.append(found[0])
        else:
            missing.append(one.code)
    if missing:
        return [], missing
    back, whole = [], []
    for row in chosen:
        if units and row["split"] and row["units"] > units:
            rest = row["units"] - units
            await conn.execute(store.REDUCE, row["drug_id"], row["code"], row["id"], rest)
            continue
        whole.append((row["drug_id"], row["code"], row["id"]))
        back.append([row["drug_id"], row["code"], row["id"]])
    await store.finish(conn, whole, "B")
    return back, []
