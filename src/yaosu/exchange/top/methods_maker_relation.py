"""Makers: relation files, which activate (R-A3, R-A5), and what became of them (interfaces §2.10, §2.11 a)."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.top import inout_xml
from yaosu.exchange.top import store_maker as store
from yaosu.exchange.top.inout_xml import NotReadableError
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit, is_number, names_of
from yaosu.exchange.top.values_goods import orgs_of_product, product_values
from yaosu.production import activation
from yaosu.production.activation import Activation, Options

P = "alibaba.alihealth."
DONE, FAILED = "3", "4"
STATES = {"A": "", "": "", DONE: "done", FAILED: "failed"}
OPERATOR = ("oper_ic_code", "oper_ic_name", "user_cert", "upload_flag", "crt_date", "business_type")
NOTE_MAX = 4_000
FINDINGS_SHOWN = 50
NAME_MAX = 200


@method(
    P + "drug.kyt.uploadrelation",
    aliases=(P + "drug.kyt.scqy.uploadrelation", P + "zy.uploadrelation"),
    scope="production.write",
)
async def upload(call: Call) -> Reply:
    """Activate a relation file, wholly or not at all; the same file again gets the same answer.

    Everything wrong with it is named with its line, in the answer and later in `codeprocess` and `relationdetail`.
    """
    org = await call.ref_org()
    given = call.json("save_code_relation") or {}
    if not isinstance(given, dict):
        raise call.invalid("save_code_relation")
    data = _content(call)
    name = str(given.get("upload_file_name") or "relation.xml").strip()[:NAME_MAX]
    operator = {k: str(given[k])[:100] for k in OPERATOR if given.get(k) not in (None, "")}
    try:
        done = await _activate(call, org, data, name)
    except YaosuError as error:
        if error.code == "forbidden":
            raise
        note = _note(error)
        async with call.conn() as conn:
            await _keep(conn, org, data, name, operator, None, note)
        model = {"flag": "false", "response_message": note}
        return Reply(fit(call, model), False, "FAIL_BIZ_RELATION_ERROR", note[:1_000])
    async with call.conn() as conn:
        if not done.repeated:
            await _keep(conn, org, data, name, operator, done.bill_id, "")
    said = f"激活成功：{done.codes} 个追溯码，{done.boxes} 个最小包装，编号 {done.bill_id}"
    return Reply(fit(call, {"flag": "true", "response_message": said}), msg_info="成功")


def _content(call: Call) -> bytes:
    text = call.text("file_content_string") or call.text("file_content")
    if not text:
        raise call.missing("file_content_string")
    if text.lstrip().startswith("<"):
        return text.encode()
    try:
        return inout_xml.unpacked(text)
    except NotReadableError as error:
        raise Failed(error.code, error.why) from None


async def _activate(call: Call, org: int, data: bytes, name: str) -> Activation:
    """Through the production room's own door; for a store or foreign holder that the key acts for as well (R-A7)."""
    if org != call.org:
        raise Failed("FAIL_BIZ_CODE_NO_AUTH", "关联关系由赋码企业自己的 AppKey 上传")
    master: bytes = call.app.parts["master_secret"]
    folder = call.app.settings.data / "incoming"
    await asyncio.to_thread(folder.mkdir, 0o700, True, True)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        path = Path(inside) / "relation"
        await asyncio.to_thread(path.write_bytes, data)
        async with call.conn() as conn:
            return await activation.activate(conn, call.subject, path, call.registry, master, Options(name))


def _note(error: YaosuError) -> str:
    """Every finding with its line, word for word."""
    found = [
        f"{f.where}：{f.text('zh')}" if f.where else f.text("zh") for f in error.findings[:FINDINGS_SHOWN]
    ]
    head = error.entry.text("zh", error.params)
    return "；".join([head, *found])[:NOTE_MAX]


async def _keep(
    conn: Connection,
    org: int,
    data: bytes,
    name: str,
    operator: Mapping[str, str],
    bill_id: int | None,
    note: str,
) -> None:
    state = "done" if bill_id is not None else "failed"
    digest = hashlib.sha256(data).digest()
    await conn.execute(store.ADD, org, name, digest, len(data), dict(operator), state, bill_id, note)


def _id(row: Record) -> str:
    """Our name of a file: the activation's bill, or F and the number of the failure."""
    return str(row["bill_id"]) if row["bill_id"] is not None else f"F{row['failed_id']}"


def _firsts(call: Call, row: Record) -> list[tuple[Mapping[str, Any], Any]]:
    """The batches of a file with their products."""
    return [(one, call.registry.product(one.get("drug_id") or 0)) for one in row["batches"] or ()]


@method(P + "drug.kyt.codeprocess", aliases=(P + "drug.kyt.scqy.codeprocess",), scope="production.read")
async def processed(call: Call) -> Reply:
    """Relation files of a period, each with a row per batch: 3 activated, 4 refused and why. None ever waits (1)."""
    org = await call.ref_org()
    offset, limit = call.page()
    since, until = call.days("start_date", "end_date")
    flag = call.text("process_flag").upper()
    if flag not in (*STATES, "1"):
        raise call.invalid("process_flag", "process_flag 应为 A、1、3 或 4")
    rows: Sequence[Record] = []
    if flag != "1":
        drug = call.text("drug_ent_base_info_id") or call.text("prod_seq_no")
        if drug and (not is_number(drug) or len(drug) > 9):
            raise call.invalid("drug_ent_base_info_id")
        async with call.conn() as conn:
            rows = await conn.fetch(
                store.FILES, org, since, until, STATES[flag], call.text("produce_batch_no"), int(drug or 0), limit,
                offset,
            )  # fmt: skip
    products = [p for row in rows for _, p in _firsts(call, row) if p is not None]
    names = await names_of(call, [org, *(o for p in products for o in orgs_of_product(p))])
    found: list[dict[str, Any]] = []
    for row in rows:
        operator = row["operator"] or {}
        about = {
            "file_name": row["file_name"],
            "upload_date": row["at"],
            "process_date": row["at"],
            "process_flag": DONE if row["state"] == "done" else FAILED,
            "process_des": row["note"] or "处理成功",
            "note_info": row["note"] or None,
            "upload_flag": operator.get("upload_flag", "1"),
            "oper_name": operator.get("oper_ic_name"),
            "ref_ent_id": names.ref(org),
            "active_info_seq_no": _id(row),
            "active_count": row["codes"],
            "small_num": row["boxes"],
            "other_num": row["codes"] - row["boxes"],
            # names of the older set
            "bill_code": _id(row),
            "gmt_create": row["at"],
            "gmt_modified": row["at"],
            "task_status": DONE if row["state"] == "done" else FAILED,
            "oper_ent_id": names.ent(org),
        }
        batches = _firsts(call, row)
        if not batches:
            found.append(about)
        for one, product in batches:
            goods = product_values(call.registry, product, names) if product is not None else {}
            found.append(
                goods
                | about
                | {
                    "produce_batch_no": one.get("batch_no"),
                    "active_count": one.get("codes"),
                    "small_num": one.get("boxes"),
                    "ref_ent_id": names.ref(org),
                }
            )
    model = {
        "result_list": found,
        "results": found,
        "total_num": rows[0]["total"] if rows else 0,
        "page": offset // limit + 1,
        "page_size": limit,
    }
    return Reply(fit(call, model))


@method(P + "drug.kyt.relationdetail", scope="production.read")
async def detail(call: Call) -> Reply:
    """One relation file with its batches, or why it was refused, every finding with its line."""
    org = await call.ref_org()
    given = call.text("code_active_info_id")
    number = given.removeprefix("F")
    if not is_number(number) or len(number) > 18:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    failed = given.startswith("F")
    async with call.conn() as conn:
        row = await conn.fetchrow(
            store.ONE_FILE, org, 0 if failed else int(number), int(number) if failed else 0
        )
        if row is None:
            raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
        batches = _firsts(call, row)
        made = await conn.fetch(store.BATCHES, org, [str(b.get("batch_no")) for b, _ in batches])
    lines = {(m["drug_id"], m["batch_no"]): m for m in made}
    names = await names_of(call, [org, *(o for _, p in batches if p for o in orgs_of_product(p))])
    operator = row["operator"] or {}
    details = []
    for one, product in batches:
        line = lines.get((one.get("drug_id"), one.get("batch_no")))
        goods = product_values(call.registry, product, names) if product is not None else {}
        boxes, codes = int(one.get("boxes") or 0), int(one.get("codes") or 0)
        details.append(
            goods
            | {
                "batch_num": boxes * (product.prep_units_per if product is not None else 1),
                "duty_man": line["line_manager"] if line else None,
                "produce_line": line["line_name"] if line else None,
                "produce_factory": line["workshop"] if line else None,
                "active_count": codes,
                "small_num": boxes,
                "other_num": codes - boxes,
                "produce_date": line["produced_on"] if line else None,
                "exprie_date": line["expires_on"] if line else None,
                "produce_batch_no": one.get("batch_no"),
                "code_active_info_id": _id(row),
                "code_active_info_list_id": f"{_id(row)}-{line['id']}" if line else None,
            }
        )
    info = {
        "process_date": row["at"],
        "process_flag": DONE if row["state"] == "done" else FAILED,
        "note": row["note"] or None,
        "user_cert": operator.get("user_cert"),
        "oper_ic_name": operator.get("oper_ic_name"),
        "oper_ic_code": operator.get("oper_ic_code"),
        "file_name": row["file_name"],
        "upload_flag": operator.get("upload_flag", "1"),
        "crt_date": row["at"],
        "active_date": row["at"] if row["state"] == "done" else None,
        "other_num": row["codes"] - row["boxes"],
        "small_num": row["boxes"],
        "active_count": row["codes"],
        "code_active_info_id": _id(row),
        "ent_id": names.ent(org),
    }
    return Reply(fit(call, {"code_relation_detail_list": details, "code_relation_detail_info": info}))
