"""Rows of 3501–3507: each taken or refused by itself, with field and row named (R-C7).

The same record again (its 批次流水号 and content) is a repeat and does nothing; with other content it is refused until
3507 withdrew it. Everything here is read and decided; what is written is handed back as rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from yaosu.errors import Finding
from yaosu.insurance import check, fields, looking
from yaosu.insurance.calls import MSG_MAX, SHOWN_MAX, Call, Taken, moment_of, remarks, words
from yaosu.insurance.looking import Seen
from yaosu.insurance.model import Act, Line, Outcome

REPEATED = "重复上传，已按首次处理"


class Rows:
    """The rows of one call. `found` are the findings of rows that are refused, by row number from 0."""

    def __init__(
        self,
        call: Call,
        one: fields.Transaction,
        rows: Sequence[Mapping[str, Any]],
        found: dict[int, list[Finding]],
    ) -> None:
        self.call = call
        self.one = one
        self.rows = rows
        self.found = found
        self.said: dict[int, list[str]] = defaultdict(list)
        self.good = [n for n in range(len(rows)) if n not in found]
        self.hashes = {n: call.hashed(rows[n]) for n in self.good} if one.codes_node else {}
        self.fresh: dict[str, int] = {}
        """Records that are new, by 批次流水号."""
        self.scans: dict[int, list[Seen]] = {}
        self.marks: dict[int, list[tuple[int, str]]] = {}
        """Codes of each row as they are stored, with the product that their prefix names."""
        self.returned: dict[str, list[list[Any]]] = {}
        if one.codes_node or one.many:
            for n in self.good:
                moment = moment_of(rows[n].get(one.time)) or call.sent_at
                codes = fields.codes_of(rows[n], one.codes_node)
                self.scans[n] = looking.ask(call.registry, [(code, moment) for code in codes])
                self.marks[n] = [(scan.drug_id, scan.code) for scan in self.scans[n]]

    def key(self, n: int) -> str:
        """The number of a row's record."""
        return str(self.rows[n]["fixmedins_bchno"])

    @property
    def keys(self) -> list[str]:
        """The numbers of the records that may be taken."""
        return sorted({self.key(n) for n in self.good})

    @property
    def codes(self) -> list[str]:
        """The codes that are settled or taken back, for locks."""
        return [code for seen in self.scans.values() for code in looking.lockable(seen)]

    def compare(self, standing: Mapping[str, bytes]) -> None:
        """Tell new records from repeats and from numbers used for something else. `standing`: content by number."""
        for n in self.good:
            key, content = self.key(n), self.hashes[n]
            known = standing.get(key) or (self.hashes[self.fresh[key]] if key in self.fresh else None)
            if known is None:
                self.fresh[key] = n
            elif known != content:
                self.found[n] = [Finding("insurance_in_key_used", {"key": key}, f"[{n}].fixmedins_bchno")]
            else:
                self.said[n].append(REPEATED)

    def act(self) -> check.Begun | None:
        """3505: the sales among the new records, to be judged; None where there is none."""
        call, lines, seen = self.call, [], []
        for key, n in self.fresh.items():
            row = self.rows[n]
            numbers = {
                "bch": key,
                "setl": str(row.get("setl_id") or ""),
                "visit": str(row.get("mdtrt_sn") or ""),
                "mdtrt": str(row.get("mdtrt_id") or ""),
                "doc": str(row.get("rtal_docno") or ""),
            }
            numbers = {kind: value for kind, value in numbers.items() if value}
            lines.append(
                Line(
                    n,
                    [scan.asked.raw for scan in self.scans[n]],
                    numbers,
                    str(row["med_list_codg"]),
                    fields.as_number(row.get("sel_retn_cnt")),
                    str(row.get("trdn_flag")) == "1",
                    None,
                    None,
                    moment_of(row.get(self.one.time)) or call.sent_at,
                    call.person(row),
                    check.act_number(numbers) or key,
                )
            )
            seen += self.scans[n]
        if not lines:
            return None
        latest = max(line.sold_at for line in lines if line.sold_at)
        act = Act(str(call.message.get("msgid", "")), "collect", latest, lines)
        return check.begin(call.registry, call.institution, act, call.now, seen)

    def judged(self, outcome: Outcome) -> None:
        """What the rules say of a sale stands in the answer; what they refuse is disputed, never lost."""
        for n, said in remarks(outcome).items():
            self.said[n] += said

    def records(
        self, message_id: int, ids: Sequence[int]
    ) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
        """The reported rows to keep under the given numbers, and their codes."""
        call = self.call
        made: list[dict[str, Any]] = []
        codes: list[tuple[Any, ...]] = []
        kept = [(key, n) for key, n in self.fresh.items() if n not in self.found]
        for number, (key, n) in zip(ids, kept, strict=False):
            row = self.rows[n]
            billed = looking.billed(call.registry, str(row["med_list_codg"]))
            data: dict[str, Any] = self._plain(row)
            if key in self.returned:
                data["returned"] = self.returned[key]
            made.append(
                {
                    "id": number,
                    "message_id": message_id,
                    "institution": call.institution.id,
                    "stage": self.one.infno,
                    "key": key,
                    "drug_id": billed[0].id if len(billed) == 1 else 0,
                    "happened_at": moment_of(row.get(self.one.time)) or call.sent_at,
                    "med_list_codg": str(row["med_list_codg"]),
                    "content": self.hashes[n],
                    "person": call.person(row),
                    "data": data,
                    "codes": [code for _, code in self.marks[n]],
                }
            )
            codes += [(drug_id, code, number) for drug_id, code in dict.fromkeys(self.marks[n])]
        return made, codes

    def _plain(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The fields of the table that name no person."""
        known = fields.tables().fields
        wanted = {*self.one.names, *self.call.profile.also}
        return {
            n: str(v) for n, v in row.items()
            if n in wanted and n in known and not known[n].person and v not in (None, "")
        }  # fmt: skip

    def answer(self) -> Taken:
        """What is answered."""
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
