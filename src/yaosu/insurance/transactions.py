"""What each 医保 transaction does once it is verified: 3501–3507 with their `A` forms, 3513, 2204, 2207, 2208 (R-C7).

A row that is not in order is refused by itself, with field and row named; the others are taken. The same record again
(its 批次流水号 and content) is a repeat and does nothing; with other content it is refused until 3507 withdrew it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError, message
from yaosu.insurance import check, fields, looking, store, store_message
from yaosu.insurance.model import CHINA, Act, Institution, Line, Outcome, Verdict
from yaosu.insurance.profiles import Profile
from yaosu.insurance.weights import limit
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import Registry
from yaosu.trace.verify import BatchMemory

PAGE_MAX = 100
MSG_MAX = 500
SHOWN_MAX = 20
"""Findings named in err_msg or warn_msg; rows carry their own."""
OUTSIDE_TABLES = ("2204", "2208")
"""Transactions without trace codes that settle what others mean: fee lines, and taking a settlement back."""


@dataclass
class Taken:
    """What became of a call. `whole` is the finding that refuses all of it."""

    output: dict[str, Any] = field(default_factory=dict)
    whole: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rows: int = 0
    refused: int = 0
    kept: bool = True
    failed: str = ""
    """err_msg of a call that was taken in and answered with a refusal (a settlement that is not paid)."""


@dataclass(frozen=True)
class Call:
    """One verified call and all that its handling needs."""

    conn: Connection
    registry: Registry
    memory: BatchMemory
    keeper: Keeper
    institution: Institution
    profile: Profile
    infno: str
    message: Mapping[str, Any]
    sent_at: datetime
    now: datetime

    @property
    def body(self) -> Any:
        """The `input` node."""
        return self.message.get("input")

    def person(self, row: Mapping[str, Any]) -> bytes | None:
        """A keyed hash of the person a row names, or None. psn_no first: one person has one."""
        for name in ("psn_no", "certno"):
            value = str(row.get(name) or "").strip()
            if value:
                return self.keeper.match(f"insurance {name} {value}")
        return None

    def hashed(self, value: object) -> bytes:
        """A keyed hash of content: says whether two are equal, and nothing more."""
        return self.keeper.match(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str).decode())


def served(infno: str) -> bool:
    """Whether a transaction is one of ours."""
    return infno in OUTSIDE_TABLES or fields.transaction(infno) is not None


async def take(call: Call, message_id: int) -> Taken:
    """Do what the call says. Every refusal is in the answer; nothing is raised for what the caller sent."""
    if call.infno == "2204":
        return await _fees(call)
    if call.infno == "2208":
        return await _cancel(call)
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
    node = one.batch_node if fields.is_batch(call.infno) else one.node
    found: dict[int, list[Finding]] = {}
    for n, row in enumerate(rows):
        where = f"input.{node}" + (f"[{n}]" if fields.is_batch(call.infno) or one.many else "")
        findings = fields.check_row(call.infno, row, call.profile, where)
        if findings:
            found[n] = findings
    if one.query:
        return Taken(whole=found[0], kept=False, rows=1, refused=1) if found else await _sales(call, rows[0])
    if one.infno == "2207":
        if found:
            whole = [f for n in sorted(found) for f in found[n]]
            return Taken(whole=whole, kept=False, rows=len(rows), refused=len(found))
        return await _settle(call, rows)
    handler = _Rows(call, one, rows, found, message_id)
    return await handler.take()


class _Rows:
    """Rows of 3501–3507: each taken or refused by itself."""

    def __init__(
        self,
        call: Call,
        one: fields.Transaction,
        rows: Sequence[Mapping[str, Any]],
        found: dict[int, list[Finding]],
        message_id: int,
    ) -> None:
        self.call = call
        self.one = one
        self.rows = rows
        self.found = found
        self.message_id = message_id
        self.said: dict[int, list[str]] = defaultdict(list)

    async def take(self) -> Taken:
        """All rows."""
        if len(self.found) < len(self.rows):
            if self.one.infno == "3507":
                await self._delete()
            else:
                await self._report()
        return self._answer()

    def _answer(self) -> Taken:
        refused = sorted(self.found)
        taken = Taken(rows=len(self.rows), refused=len(refused), kept=len(refused) < len(self.rows))
        if not taken.kept:
            taken.whole = [f for n in refused for f in self.found[n]]
            return taken
        text = "；".join(t for n in sorted(self.said) for t in self.said[n])
        if fields.is_batch(self.call.infno):
            good = len(self.rows) - len(refused)
            text = f"共{len(self.rows)}条，成功{good}条，失败{len(refused)}条" + (f"；{text}" if text else "")
        taken.output = {"result": {"retRslt": "1", "msgRslt": text[:MSG_MAX] or "成功"}}
        if refused:
            taken.output[self.one.errors_node] = [self._error(n) for n in refused]
            taken.warnings = [f"第{n + 1}行 {words(f)}" for n in refused for f in self.found[n]][:SHOWN_MAX]
        taken.warnings += [f"第{n + 1}行 {t}" for n in sorted(self.said) for t in self.said[n]][:SHOWN_MAX]
        return taken

    def _error(self, n: int) -> dict[str, Any]:
        row = self.rows[n]
        return {
            "row": n + 1,
            "fixmedins_bchno": str(row.get("fixmedins_bchno") or "")[:30],
            "med_list_codg": str(row.get("med_list_codg") or "")[:50],
            "retRslt": "0",
            "msgRslt": "；".join(words(f) for f in self.found[n])[:MSG_MAX],
        }

    async def _report(self) -> None:
        call, stage = self.call, self.one.infno
        fresh: dict[str, int] = {}
        hashes = {n: call.hashed(row) for n, row in enumerate(self.rows) if n not in self.found}
        keys = sorted({str(self.rows[n]["fixmedins_bchno"]) for n in hashes})
        standing = {
            r["key"]: r["content"]
            for r in await call.conn.fetch(store_message.STANDING, call.institution.id, stage, keys)
        }
        for n, content in hashes.items():
            key = str(self.rows[n]["fixmedins_bchno"])
            known = standing.get(key) or (hashes[fresh[key]] if key in fresh else None)
            if known is None:
                fresh[key] = n
            elif known != content:
                self.found[n] = [Finding("insurance_in_key_used", {"key": key}, f"[{n}].fixmedins_bchno")]
            else:
                self.said[n].append("重复上传，已按首次处理")
        if stage == "3506":
            await self._returns(fresh)
        numbers = await self._add(fresh, hashes)
        if stage == "3505":
            await self._sales(list(fresh.values()))
        if stage == "3506":
            for key, back in self.returned.items():
                if key in numbers:
                    await call.conn.execute(store_message.NOTE_RETURNED, numbers[key], back)

    returned: dict[str, list[list[Any]]]

    async def _add(self, fresh: Mapping[str, int], hashes: Mapping[int, bytes]) -> dict[str, int]:
        call = self.call
        records, asked = [], {}
        for key, n in fresh.items():
            if n in self.found:
                continue
            row = self.rows[n]
            billed = looking.billed(call.registry, str(row["med_list_codg"]))
            person = call.person(row)
            moment = moment_of(row.get(self.one.time)) or call.sent_at
            codes = fields.codes_of(row, self.one.codes_node)
            asked[key] = looking.ask(call.registry, [(code, moment) for code in codes])
            records.append(
                {
                    "key": key,
                    "drug_id": billed[0].id if len(billed) == 1 else 0,
                    "happened_at": moment,
                    "med_list_codg": str(row["med_list_codg"]),
                    "content": hashes[n].hex(),
                    "person": person.hex() if person is not None else None,
                    "data": self._plain(row),
                    "codes": [s.code for s in asked[key]],
                }
            )
        if not records:
            return {}
        made = await call.conn.fetch(
            store_message.ADD_REPORTS, records, self.message_id, call.institution.id, self.one.infno
        )
        numbers = {r["key"]: r["id"] for r in made}
        scans = [(s.drug_id, s.code, numbers[key]) for key, seen in asked.items() for s in seen]
        if scans:
            await call.conn.execute(store_message.ADD_CODES, *(list(c) for c in zip(*scans, strict=True)))
        return numbers

    def _plain(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The fields of the table that name no person."""
        known = fields.tables().fields
        wanted = set(self.one.names) | set(self.call.profile.also)
        return {
            n: str(v) for n, v in row.items()
            if n in wanted and n in known and not known[n].person and v not in (None, "")
        }  # fmt: skip

    async def _sales(self, numbers: Sequence[int]) -> None:
        """3505: each row is a sale that happened; what the rules refuse is disputed, not lost."""
        call = self.call
        lines = []
        for n in numbers:
            row = self.rows[n]
            keys = {
                "bch": str(row["fixmedins_bchno"]),
                "setl": str(row.get("setl_id") or ""),
                "visit": str(row.get("mdtrt_sn") or ""),
                "mdtrt": str(row.get("mdtrt_id") or ""),
                "doc": str(row.get("rtal_docno") or ""),
            }
            keys = {kind: value for kind, value in keys.items() if value}
            lines.append(
                Line(
                    n,
                    fields.codes_of(row, self.one.codes_node),
                    keys,
                    str(row["med_list_codg"]),
                    fields.as_number(row.get("sel_retn_cnt")),
                    str(row.get("trdn_flag")) == "1",
                    None,
                    None,
                    moment_of(row.get("sel_retn_time")),
                    call.person(row),
                    check.act_number(keys) or keys["bch"],
                )
            )
        if not lines:
            return
        latest = max((line.sold_at for line in lines if line.sold_at), default=call.now)
        act = Act(str(call.message.get("msgid", "")), "collect", latest, lines)
        outcome = await check.check(
            call.conn, call.registry, call.memory, call.institution, act, record=True, now=call.now
        )
        for n, said in remarks(outcome).items():
            self.said[n] += said

    async def _returns(self, fresh: Mapping[str, int]) -> None:
        """3506: the sale of each code at this institution is taken back; of an opened box, so many units."""
        self.returned = {}
        for key, n in fresh.items():
            row = self.rows[n]
            codes = fields.codes_of(row, self.one.codes_node)
            units = fields.as_number(row.get("sel_retn_cnt")) or Decimal(0)
            split = str(row.get("trdn_flag")) == "1"
            sale = {
                "bch": str(row.get("medins_prod_sel_no") or ""),
                "setl": str(row.get("setl_id") or ""),
                "visit": str(row.get("mdtrt_sn") or ""),
            }
            seen = looking.ask(self.call.registry, [(code, self.call.now) for code in codes])
            back, missing = await take_back(self.call, seen, sale, int(units) if split else 0)
            if missing:
                self.found[n] = [
                    Finding("insurance_in_nothing_to_return", {"code": code}, f"[{n}].drugtracinfo")
                    for code in missing
                ]
            elif back:
                self.returned[key] = back

    async def _delete(self) -> None:
        """3507: the record no longer stands, nor what followed from it."""
        call = self.call
        for n, row in enumerate(self.rows):
            if n in self.found:
                continue
            key = str(row["fixmedins_bchno"])
            stages = [i for i, t in fields.tables().transactions.items() if t.infno == i and t.kind]
            kind = str(row["inv_data_type"])
            wanted = [i for i in stages if fields.tables().transactions[i].kind == kind]
            gone = await call.conn.fetch(store_message.DELETE_REPORT, call.institution.id, key, wanted)
            if not gone:
                self.found[n] = [
                    Finding("insurance_in_nothing_to_delete", {"key": key}, f"[{n}].fixmedins_bchno")
                ]
                continue
            for report in gone:
                if report["stage"] == "3505":
                    await call.conn.fetch(
                        store_message.WITHDRAW, store.keys_of(call.institution.id, {"bch": key})[0]
                    )
                back = report["data"].get("returned")
                if report["stage"] == "3506" and back:
                    columns = [[b[0] for b in back], [b[1] for b in back], [b[2] for b in back]]
                    await call.conn.execute(store_message.RESTORE, *columns)


async def take_back(
    call: Call, seen: Sequence[looking.Seen], sale: Mapping[str, str], units: int
) -> tuple[list[list[Any]], list[str]]:
    """Sales of these codes at the institution that no longer count; and the codes without any.

    The sale named by number goes first, else the latest. `units` above 0: parts of opened boxes.
    """
    pairs = sorted({(d, s.code) for s in seen for d in (s.drug_id, 0)})
    rows = await call.conn.fetch(
        store.BY_CODES, call.institution.id, [p[0] for p in pairs], [p[1] for p in pairs]
    )
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
            await call.conn.execute(store.REDUCE, row["drug_id"], row["code"], row["id"], rest)
            continue
        whole.append((row["drug_id"], row["code"], row["id"]))
        back.append([row["drug_id"], row["code"], row["id"]])
    await store.finish(call.conn, whole, "B")
    return back, []


async def _settle(call: Call, rows: Sequence[Mapping[str, Any]]) -> Taken:
    """2207: the codes of a settlement, judged before it is paid; paid whole or not at all."""
    data = call.body.get("data") if isinstance(call.body, Mapping) else None
    data = data if isinstance(data, Mapping) else {}
    fees = {
        r["feedetl_sn"]: r
        for r in await call.conn.fetch(
            store_message.FEES, call.institution.id, sorted({str(r["feedetl_sn"]) for r in rows})
        )
    }
    by_line: dict[str, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for n, row in enumerate(rows):
        by_line[str(row["feedetl_sn"])].append((n, row))
    lines, of_row = [], {}
    for number, (sn, group) in enumerate(by_line.items()):
        first = group[0][1]
        fee = fees.get(sn)
        billed = str(first.get("med_list_codg") or (fee["med_list_codg"] if fee else "") or "")
        codes = [str(row["drug_trac_codg"]).strip() for _, row in group]
        split = str(first["trdn_flag"]) == "1"
        count = fee["cnt"] if fee else None
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
            call.conn, call.registry, call.memory, call.institution, act, record=True, now=call.now
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


async def _fees(call: Call) -> Taken:
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
    await call.conn.execute(
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


async def _cancel(call: Call) -> Taken:
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
    count = await take_back_act(call.conn, call.institution, number, visit)
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


async def _sales(call: Call, row: Mapping[str, Any]) -> Taken:
    """3513: what this institution reported as sold, one record per code; persons are never given back."""
    begin, end = fields.as_time(row.get("begndate"), "date"), fields.as_time(row.get("enddate"), "date")
    size = min(int(fields.as_number(row.get("page_size")) or PAGE_MAX) or PAGE_MAX, PAGE_MAX)
    page = max(int(fields.as_number(row.get("page_num")) or 1), 1)
    code = str(row.get("drug_trac_codg") or "").strip()
    if code:
        code = looking.ask(call.registry, [(code, call.now)])[0].code
    found = await call.conn.fetch(
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


def words(finding: Finding) -> str:
    """A finding as err_msg says it: text, place, code."""
    place = f"（{finding.where}）" if finding.where else ""
    return f"{finding.text('zh')}{place}[{finding.code}]"


def told(verdict: Verdict) -> list[str]:
    """What is said of a code, in Chinese, with the next step."""
    found = []
    for said in verdict.said:
        entry = message(f"ins_{said.rule}")
        params = {"code": verdict.code, **said.params}
        found.append(entry.text("zh", params))
    return found


def remarks(outcome: Outcome) -> dict[int, list[str]]:
    """By row, what is said of codes and lines that are not simply in order."""
    found: dict[int, list[str]] = defaultdict(list)
    for verdict in (*outcome.codes, *outcome.lines):
        if verdict.severity == "ok":
            continue
        lead = f"{verdict.code}：" if verdict.code else ""
        found[verdict.row].append(lead + "；".join(told(verdict)))
    return found


def moment_of(value: object) -> datetime | None:
    """A time of the interface (wall clock of China) as a moment; None when it is none."""
    found = fields.as_time(value) if value not in (None, "") else None
    return found.replace(tzinfo=CHINA) if found is not None else None
