"""What of a bill was not processed: whole uploads that were refused, and single codes, each with its reason (R-X2)."""

from __future__ import annotations

from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.errors import message
from yaosu.exchange.top import store_refusals, words
from yaosu.exchange.top import store_trade as store
from yaosu.exchange.top.protocol import Call, Failed
from yaosu.exchange.top.shaping import names_of
from yaosu.exchange.top.store_trade import Wanted
from yaosu.exchange.top.values_bills import FAILED, sides, type_name

REFUSED_MAX = 10_000


async def refusals(conn: Connection, wanted: Wanted) -> list[Record]:
    """Uploads of which nothing moved."""
    args = wanted.args()[:9]
    rows: list[Record] = await conn.fetch(store_refusals.REFUSALS, *args)
    return rows


async def refusal_rows(call: Call, conn: Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """The same in the form of bills: result_type 4 and the reason word for word."""
    rows = await refusals(conn, wanted)
    orgs: list[int | None] = []
    for row in rows:
        orgs += [row["owner"], *sides(row), row["submitter"]]
    names = await names_of(call, orgs)
    found = []
    for row in rows:
        owner, (sender, receiver) = row["owner"], sides(row)
        found.append(
            {
                "bill_code": row["bill_no"],
                "bill_type": row["type"],
                "bill_type_name": type_name(row["type"]),
                "bill_time": row["happened_at"],
                "crt_date": row["at"],
                "process_date": row["at"],
                "from_user_id": names.ent(sender),
                "from_ref_user_id": names.ref(sender),
                "from_user_name": names.name(sender),
                "to_user_id": names.ent(receiver),
                "to_ref_user_id": names.ref(receiver),
                "to_user_name": names.name(receiver),
                "ref_user_id": names.ref(owner),
                "ref_user_name": names.name(owner),
                "user_id": names.ent(owner),
                "result_type": FAILED,
                "process_flag": FAILED,
                "upload_flag": "1",
                "process_info": row["reason"],
                "note_info": row["reason"],
                "task_status": FAILED,
                "gmt_create": row["at"],
                "gmt_modified": row["at"],
                "oper_ent_id": names.ent(owner),
            }
        )
    return found


async def refused_codes(
    call: Call, owner: int, bill_no: str, error_type: str, code: str, offset: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Codes of a bill that were not processed, by page: of a bill in force, or of an upload refused as a whole.

    Failed (`FAIL_BIZ_NO_PAT_INFO`) for a number the owner never used.
    """
    if not bill_no:
        raise Failed("FAIL_BIZ_PARAM_ERROR", "请填写单据号 bill_code")
    async with call.conn() as conn:
        sight = visible(call.subject)
        row = await store.by_number(conn, sight, owner, bill_no)
        if row is None:
            return _of_refusal(await refusals(conn, Wanted(owner, list(range(1, 1000)), bill_no=bill_no)),
                               error_type, code, offset, limit)  # fmt: skip
        # the type is a group of verdicts: what is asked for is chosen here, few as refused codes are
        notes = await store.refused_codes(conn, sight, row["id"], code, (), 0, REFUSED_MAX)
    rows = [
        _row(
            n["code"] or n["raw"], n["verdict"], _why(n["verdict"], n["code"], n["params"]), n["recorded_at"]
        )
        for n in notes
    ]
    rows = [r for r in rows if not error_type or r["error_code"] == error_type]
    return rows[offset : offset + limit], len(rows)


def _of_refusal(
    found: list[Record], error_type: str, code: str, offset: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    if not found:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    rows = [_row(c, verdict, why, found[0]["at"]) for c, verdict, why in found[0]["codes"]]
    rows = [r for r in rows if (not error_type or r["error_code"] == error_type) and code in ("", r["code"])]
    return rows[offset : offset + limit], len(rows)


def _why(verdict: str, code: str, params: dict[str, Any]) -> str:
    entry = message(verdict)
    filled = {"code": code, **(params or {})}
    return f"{entry.text('zh', filled)}{entry.next_step('zh', filled)}"


def _row(code: str, verdict: str, why: str, at: Any) -> dict[str, Any]:
    kind = words.kind_of(verdict)
    return {
        "code": code,
        "error_code": kind,
        "error_code_desc": words.words().names.get(kind, ""),
        "process_status_reason_desc": why,
        "last_process_date_desc": at,
    }
