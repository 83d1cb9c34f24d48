"""What became of every line: accepted, refused or ignored, each with its reason. Nothing is left out (R-X2)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from yaosu.circulation.model import MovementResult
from yaosu.errors import Finding, YaosuError, message
from yaosu.exchange.files.model import FileBill, FileContent, Problem, place

FINDINGS_KEPT = 20
_NONE: dict[str, Any] = {}


@dataclass(slots=True)
class Line:
    """One line of a file and its end: `outcome` accepted, refused or ignored, `code` of the message registry.

    (Not frozen: a frozen one takes four times as long to make.)
    """

    line: int
    column: str
    text: str
    outcome: str
    code: str
    params: dict[str, Any] = field(default_factory=dict)
    severity: str = ""
    qty: int = 0

    def reason(self, lang: str) -> str:
        """Why."""
        return message(self.code).text(lang, {"code": self.text, **self.params})

    def next_step(self, lang: str) -> str:
        """What to do now."""
        return message(self.code).next_step(lang, {"code": self.text, **self.params})


@dataclass(slots=True)
class BillAnswer:
    """A bill of a file after sending."""

    n: int
    bill_no: str
    type: int
    status: str
    lines: list[Line]
    bill_id: int | None = None
    error: dict[str, Any] | None = None

    def count(self, outcome: str) -> int:
        """Lines of one outcome."""
        return sum(1 for one in self.lines if one.outcome == outcome)

    def row(self, file_id: int) -> tuple[Any, ...]:
        """For the store."""
        counts = [self.count(o) for o in ("accepted", "refused", "ignored")]
        packed = pack(self.lines)
        return (
            *(file_id, self.n, self.bill_no, self.type, self.bill_id, self.status, len(self.lines)),
            *(*counts, self.error, packed),
        )


def pack(lines: Iterable[Line]) -> bytes:
    """Lines as a zlib stream of JSON rows."""
    rows = [[o.line, o.column, o.text, o.outcome, o.code, o.params, o.severity, o.qty] for o in lines]
    return zlib.compress(orjson.dumps(rows, default=str), 1)


def unpacked(answer: bytes) -> Iterator[Line]:
    """The lines again."""
    for row in orjson.loads(zlib.decompress(answer)):
        yield Line(*row)


def _plain(params: Any) -> dict[str, Any]:
    return {str(k): v if isinstance(v, int | bool) else str(v) for k, v in dict(params or {}).items()}


def _unread(problem: Problem) -> Line:
    finding = problem.finding
    return Line(
        problem.line, problem.column, problem.text, "refused", finding.code, _plain(finding.params), "refused"
    )


def of_result(bill: FileBill, problems: Sequence[Problem], result: MovementResult) -> BillAnswer:
    """A bill that was judged: a verdict per code, in the order of the file."""
    lines = [_unread(p) for p in problems]
    verdicts = iter(result.results)
    for counted, raw in zip(bill.lines, bill.codes, strict=True):
        one = next(verdicts, None)
        number, sheet = place(counted, bill.sheets) if bill.sheets else (counted, "")
        if one is None:
            # the judge answers every scan; a missing answer must not look like an accepted one
            lines.append(Line(number, sheet, raw, "refused", "file_interrupted", {}, "refused"))
            continue
        params = {"code": one.code or one.raw, **_plain(one.params)} if one.params else _NONE
        outcome = "accepted" if one.accepted else "refused"
        lines.append(Line(number, sheet, raw, outcome, one.verdict, params, one.severity, one.qty))
    moved = result.status != "refused"
    for quantity in bill.quantities:
        outcome, code = ("accepted", "accepted") if moved else ("refused", "file_interrupted")
        text = f"{quantity.product} {quantity.batch_no} × {quantity.qty}"
        number, sheet = place(quantity.line, bill.sheets)
        lines.append(Line(number, sheet, text, outcome, code, {}, "ok" if moved else "refused", quantity.qty))
    status = "partial" if problems and result.status == "accepted" else result.status
    return BillAnswer(bill.n, result.bill_no, 0, status, lines, result.bill_id or None)


def of_refusal(bill: FileBill, problems: Sequence[Problem], number: str, error: YaosuError) -> BillAnswer:
    """A bill refused as a whole: every line of it is, for the same reason, or for its own."""
    lines = [_unread(p) for p in problems]
    by_line = {f.where: f for f in error.findings if f.where.startswith("line ")}
    whole = error.findings[0] if len(error.findings) == 1 else Finding(error.code, error.params)
    for number_, text, qty in (
        *((n, c, 0) for n, c in zip(bill.lines, bill.codes, strict=True)),
        *((q.line, f"{q.product} {q.batch_no} × {q.qty}", q.qty) for q in bill.quantities),
    ):
        said = by_line.get(bill.where(number_), whole)
        at, sheet = place(number_, bill.sheets)
        lines.append(Line(at, sheet, text, "refused", said.code, _plain(said.params), "refused", qty))
    kept = YaosuError(error.code, error.params, error.findings[:FINDINGS_KEPT])
    return BillAnswer(
        bill.n,
        number,
        0,
        "refused",
        lines,
        error={
            "code": kept.code,
            "params": _plain(kept.params),
            "findings": [[f.code, _plain(f.params), f.where] for f in kept.findings],
        },
    )


def of_rest(content: FileContent) -> BillAnswer:
    """Lines that belong to no bill: headings, notes, and what could not be read."""
    lines = [_unread(p) for p in content.problems if not p.bill]
    lines += [
        Line(i.line, i.sheet, i.text, "ignored", f"file_line_{i.reason}", {"text": i.text}, "")
        for i in content.ignored
    ]
    return BillAnswer(0, "", 0, "refused" if any(x.outcome == "refused" for x in lines) else "ignored", lines)


def error_json(error: dict[str, Any] | None, lang: str) -> dict[str, Any] | None:
    """A kept refusal in the reader's language."""
    if error is None:
        return None
    findings = [Finding(code, params, where) for code, params, where in error["findings"]]
    return YaosuError(error["code"], error["params"], findings).as_json(lang)
