"""What each 医保 transaction does once it is verified: 3501–3507 with their `A` forms, 3513, 2204, 2207, 2208 (R-C7).

A row that is not in order is refused by itself, with field and row named; the others are taken. The same record again
(its 批次流水号 and content) is a repeat and does nothing; with other content it is refused until 3507 withdrew it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from yaosu.errors import Finding
from yaosu.insurance import check, fields, looking, settling, store, store_message
from yaosu.insurance.calls import MSG_MAX, SHOWN_MAX, Call, Taken, moment_of, remarks, words
from yaosu.insurance.model import Act, Line
from yaosu.insurance.weights import limit

OUTSIDE_TABLES = ("2204", "2208")
"""Transactions without trace codes that settle what others mean: fee lines, and taking a settlement back."""


def served(infno: str) -> bool:
    """Whether a transaction is one of ours."""
    return infno in OUTSIDE_TABLES or fields.transaction(infno) is not None


async def take(call: Call, message_id: int) -> Taken:
    """Do what the call says. Every refusal is in the answer; nothing is raised for what the caller sent."""
    if call.infno == "2204":
        return await settling.fees(call)
    if call.infno == "2208":
        return await settling.cancel(call)
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
        return (
            Taken(whole=found[0], kept=False, rows=1, refused=1)
            if found
            else await settling.sales(call, rows[0])
        )
    if one.infno == "2207":
        if found:
            whole = [f for n in sorted(found) for f in found[n]]
            return Taken(whole=whole, kept=False, rows=len(rows), refused=len(found))
        return await settling.settle(call, rows)
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
