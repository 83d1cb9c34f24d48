"""Calls about settlements as a whole: 2204 fee lines, 2207 with its codes, 2208, and the query 3513 (R-C7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.insurance import check, fields, looking, store, store_message
from yaosu.insurance.calls import MSG_MAX, SHOWN_MAX, Call, Taken, told
from yaosu.insurance.model import CHINA, Act, Institution, Line

PAGE_MAX = 100


async def settle(conn: Connection, call: Call, rows: Sequence[Mapping[str, Any]]) -> Taken:
    """2207: the codes of a settlement, judged before it is paid; paid whole or not at all."""
    data = call.body.get("data") if isinstance(call.body, Mapping) else None
    data = data if isinstance(data, Mapping) else {}
    billed_by = {
        r["feedetl_sn"]: r
        for r in await conn.fetch(
            store_message.FEES, call.institution.id, sorted({str(r["feedetl_sn"]) for r in rows})
        )
    }
    # whole boxes and opened ones of one fee line are told apart; the line's count is then neither's
    by_line: dict[tuple[str, bool], list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for n, row in enumerate(rows):
        by_line[str(row["feedetl_sn"]), str(row["trdn_flag"]) == "1"].append((n, row))
    lines, of_row = [], {}
    for number, ((sn, split), group) in enumerate(by_line.items()):
        first = group[0][1]
        fee = billed_by.get(sn)
        billed = str(first.get("med_list_codg") or (fee["med_list_codg"] if fee else "") or "")
        codes = [str(row["drug_trac_codg"]).strip() for _, row in group]
        count = fee["cnt"] if fee and (sn, not split) not in by_line else None
        # parts of a box are billed as such, or as a fraction of the box
        unit = "pack" if split and count is not None and count != count.to_integral_value() else None
        lines.append(Line(number, codes, {"fee": sn}, billed, count, split, unit))  # type: ignore[arg-type]
        of_row.update({n: number for n, _ in group})
    keys = {"mdtrt": str(data.get("mdtrt_id") or ""), "setl": str(data.get("setl_id") or "")}
    keys = {kind: value[:30] for kind, value in keys.items() if value}
    name = check.act_number(keys) or str(call.message.get("msgid", ""))
    act = Act(name, "settle", call.sent_at, lines, keys, call.person(data))
    try:
        outcome = await check.check(
            conn, call.registry, call.memory, call.institution, act, record=True, now=call.now, locked=True
        )
    except YaosuError as error:
        return Taken(whole=[Finding(error.code, error.params)], kept=False, rows=len(rows), refused=len(rows))
    listed = []
    verdicts = {(v.row, v.raw.strip()): v for v in outcome.codes}
    bad_lines = {v.row: v for v in outcome.lines if v.severity == "refuse"}
    refused = []
    for n, row in enumerate(rows):
        code = str(row["drug_trac_codg"]).strip()
        verdict = verdicts.get((of_row[n], code)) or next(
            (v for v in outcome.codes if v.row == of_row[n] and v.code == code), None
        )
        texts = told(verdict) if verdict is not None else []
        bad = verdict is not None and verdict.severity == "refuse"
        if of_row[n] in bad_lines:
            texts += told(bad_lines[of_row[n]])
            bad = True
        if bad:
            refused.append((n, code, texts))
        listed.append(
            {
                "feedetl_sn": str(row["feedetl_sn"]),
                "drug_trac_codg": code,
                "retRslt": "0" if bad else "1",
                "msgRslt": "；".join(texts)[:MSG_MAX] or "核验通过",
            }
        )
    taken = Taken(rows=len(rows), refused=len(refused))
    ok = outcome.severity != "refuse"
    verdict_text = {"ok": "核验通过", "examine": "可以结算，列入核查", "refuse": "不予结算"}[outcome.severity]
    taken.output = {
        "result": {"retRslt": "1" if ok else "0", "msgRslt": verdict_text},
        "drug_trac_result": listed,
    }
    if not ok:
        named = [f"第{n + 1}行 {code}：{'；'.join(texts)}" for n, code, texts in refused[:SHOWN_MAX]]
        taken.failed = "追溯码核验未通过，不予结算：" + "；".join(named)
    return taken


async def fees(conn: Connection, call: Call) -> Taken:
    """2204: which product a fee line bills, so that a settlement's codes can be compared with it."""
    node = call.body.get("feedetail") if isinstance(call.body, Mapping) else None
    listed = node if isinstance(node, list) else [node] if isinstance(node, Mapping) else []
    if not listed or not all(isinstance(row, Mapping) for row in listed):
        return Taken(
            whole=[Finding("yibao_node_missing", {"node": "feedetail"}, "input.feedetail")], kept=False
        )
    wrong, found = [], {}
    for n, row in enumerate(listed):
        for name, most in (("feedetl_sn", 30), ("med_list_codg", 50)):
            value = row.get(name)
            if not isinstance(value, str) or not value.strip():
                wrong.append(_missing(name, n))
            elif len(value) > most:
                params = {**_missing(name, n).params, "got": len(value), "limit": most}
                wrong.append(Finding("yibao_field_long", params, f"input.feedetail[{n}].{name}"))
        count = fields.as_number(row.get("cnt"))
        if count is None or not 0 < count < 10**11:
            wrong.append(
                Finding(
                    "yibao_field_form",
                    {"field": "cnt", "name": "数量", "form": "数值(16,4)"},
                    f"input.feedetail[{n}].cnt",
                )
            )
        elif not wrong:
            found[row["feedetl_sn"].strip()] = (row["med_list_codg"].strip(), round(count, 4))
    if wrong:
        return Taken(whole=wrong, kept=False, rows=len(listed), refused=len(listed))
    found = dict(
        sorted(found.items())
    )  # one order for everybody, so that two calls wait and never block each other
    await conn.execute(
        store_message.ADD_FEES,
        call.institution.id,
        list(found),
        [v[0] for v in found.values()],
        [v[1] for v in found.values()],
    )
    return Taken(output={"result": {"retRslt": "1", "msgRslt": "成功"}}, rows=len(listed))


def _missing(name: str, n: int) -> Finding:
    zh = fields.tables().fields[name].zh
    return Finding("yibao_field_missing", {"field": name, "name": zh}, f"input.feedetail[{n}].{name}")


async def cancel(conn: Connection, call: Call) -> Taken:
    """2208: a settlement is taken back; its codes may be settled again."""
    data = call.body.get("data") if isinstance(call.body, Mapping) else None
    if not isinstance(data, Mapping):
        return Taken(whole=[Finding("yibao_node_missing", {"node": "data"}, "input.data")], kept=False)
    number = str(data.get("setl_id") or "").strip()
    visit = str(data.get("mdtrt_id") or "").strip()
    if not number and not visit:
        return Taken(
            whole=[
                Finding("yibao_field_missing", {"field": "setl_id", "name": "结算ID"}, "input.data.setl_id")
            ],
            kept=False,
            rows=1,
            refused=1,
        )
    count = await take_back_act(conn, call.institution, number, visit)
    if not count:
        finding = Finding("insurance_settlement_ended", {"act": (number or visit)[:30]}, "input.data.setl_id")
        return Taken(whole=[finding], kept=False, rows=1, refused=1)
    return Taken(output={"result": {"retRslt": "1", "msgRslt": f"已撤销{count}个追溯码的结算"}}, rows=1)


async def take_back_act(conn: Connection, institution: Institution, number: str, visit: str = "") -> int:
    """A whole act no longer counts; how many codes it had. By settlement number where it is known there, else visit."""
    for numbers in ({"setl": number}, {"mdtrt": visit, "doc": number}):
        keys = store.keys_of(institution.id, numbers)
        rows = await conn.fetch(store.OF_ACT, keys) if keys else []
        if rows:
            await store.finish(conn, [(r["drug_id"], r["code"], r["id"]) for r in rows], "B")
            return len(rows)
    return 0


async def sales(conn: Connection, call: Call, row: Mapping[str, Any]) -> Taken:
    """3513: what this institution reported as sold, one record per code; persons are never given back."""
    begin, end = fields.as_time(row.get("begndate"), "date"), fields.as_time(row.get("enddate"), "date")
    if end is not None and end.year == fields.YEAR_MAX:
        end = None
    size = min(int(fields.as_number(row.get("page_size")) or PAGE_MAX) or PAGE_MAX, PAGE_MAX)
    page = max(int(fields.as_number(row.get("page_num")) or 1), 1)
    code = str(row.get("drug_trac_codg") or "").strip()
    if code:
        code = looking.ask(call.registry, [(code, call.now)])[0].code
    found = await conn.fetch(
        store_message.SALES,
        call.institution.id,
        begin.replace(tzinfo=CHINA) if begin else None,
        (end + timedelta(days=1)).replace(tzinfo=CHINA) if end else None,
        str(row.get("med_list_codg") or ""),
        code,
        call.person(row),
        str(row.get("fixmedins_bchno") or ""),
        str(row.get("mdtrt_id") or ""),
        size,
        (page - 1) * size,
    )
    total = found[0]["total"] if found else 0
    data = [
        {
            "fixmedins_code": call.institution.code,
            "med_list_codg": r["data"].get("med_list_codg", ""),
            "fixmedins_bchno": r["key"],
            "mdtrt_id": r["data"].get("mdtrt_sn", ""),
            "mdtrt_setl_type": r["data"].get("mdtrt_setl_type", ""),
            "drug_trac_codg": one,
            "trdn_flag": r["data"].get("trdn_flag", ""),
            "memo": r["data"].get("memo", ""),
            "rid": str(r["id"]),
            "crte_time": f"{r['happened_at'].astimezone(CHINA):%Y-%m-%d %H:%M:%S}",
        }
        for r in found
        for one in (r["codes"] or [""])
    ]
    pages = -(-total // size)
    return Taken(
        output={"data": data, "pageNum": page, "pageSize": size, "recordCounts": total, "pages": pages},
        rows=1,
    )
