"""`yaosu bill correct` and `yaosu bill void`: what it would do is shown with --preview before it is done (R-X3)."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import typer
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from rich.table import Table

from yaosu.access.visibility import visible
from yaosu.circulation import service, views
from yaosu.circulation import store_read as store
from yaosu.circulation.amounts import amounts_of, as_fields
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.commands_common import DataOption, JsonOption, OrgOption, run, subject_of
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import CODES_MAX, Movement, Preview
from yaosu.circulation.schemas import MovementIn, OrgRef, RawCode, VoidIn, org_id
from yaosu.db.engine import Connection, Pool
from yaosu.edge.terminal import checked, explain, json_of, lines_of, out, print_json, read_file
from yaosu.errors import Finding, YaosuError
from yaosu.registry import uncoded_rules
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

PreviewOption = Annotated[
    bool, typer.Option("--preview", help="Only say what it would do 仅预览影响; changes nothing.")
]
_OF_ONE_REVISION = ("correct_reason", "void_reason")
"""Header fields that the next revision does not inherit."""
_PARTIES = ("from_org", "to_org", "principal", "carrier", "direct_org")


class _Shape(BaseModel):
    """What of a file is looked at before it is a whole movement."""

    model_config = ConfigDict(extra="allow")
    owner: OrgRef = None
    codes: list[RawCode] = Field(default_factory=list)
    header: dict[str, JsonValue] = Field(default_factory=dict)


def add_to(app: typer.Typer) -> None:
    """Make `correct` and `void` commands of `app`."""
    app.command()(correct)
    app.command()(void)


def correct(
    file: Annotated[
        str,
        typer.Argument(
            help="The bill as it should be: JSON, or codes one a line 文件; - for standard input."
        ),
    ],
    org: OrgOption,
    bill_no: Annotated[
        str, typer.Option("--bill-no", help="Bill to correct 单据编号; in JSON it may stand in the file.")
    ] = "",
    append: Annotated[
        bool, typer.Option("--append", help="The file's codes come on top of the bill's 补传漏扫的追溯码.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why 更正原因.")] = "",
    preview: PreviewOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Correct a bill as its next revision 更正单据: add late scans, correct the header or the codes.

    What the file leaves out stays as the revision in force has it. Codes that moved on since are left alone; a
    correction that would break a later fact is refused and names it. Look with --preview first.

    \b
    yaosu bill correct late.txt --org 3 --bill-no XS-1 --append --reason 漏扫 --preview
    echo '{"bill_no": "XS-1", "to_org": 9}' | yaosu bill correct - --org 3 --reason 收货方选错
    """
    content = read_file(file)

    async def work(pool: Pool, registry: Registry, committer: Committer) -> Preview:
        subject = subject_of(registry, org)
        given = _given(content, bill_no)
        async with pool.acquire() as conn:
            values = await _merged(conn, registry, subject_of(registry, org), given, append)
        header = dict(values.get("header") or {})
        if reason:
            header["correct_reason"] = reason
        body = orjson.dumps({**values, "header": header}, default=str)
        movement = checked(MovementIn, {**values, "header": header}).movement(registry, org, body)
        if preview:
            return await service.preview(pool, registry, BatchCache(), subject, movement)
        return Preview(await service.submit(pool, committer, registry, subject, movement), None)

    _answer(run(data, work), as_json, preview)


def void(
    bill_id: Annotated[
        int, typer.Argument(min=1, max=2**63 - 1, help="Our number of the bill 单据内部编号.")
    ],
    org: OrgOption,
    reason: Annotated[str, typer.Option("--reason", help="Why 作废原因; needed unless --preview.")] = "",
    preview: PreviewOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Void a bill with reversing entries 作废单据; refused when its goods have moved on since, naming them."""

    async def work(pool: Pool, registry: Registry, committer: Committer) -> Preview:
        subject = subject_of(registry, org)
        if preview:
            async with pool.acquire() as conn:
                movement = await _void_of(conn, subject, bill_id, reason)
            return await service.preview(pool, registry, BatchCache(), subject, movement)
        why = checked(VoidIn, {"reason": reason.strip()}).reason
        body = orjson.dumps({"void": bill_id, "reason": why})
        return Preview(await service.void(pool, committer, registry, subject, bill_id, why, body), None)

    _answer(run(data, work), as_json, preview)


async def _void_of(conn: Connection, subject: Subject, bill_id: int, reason: str) -> Movement:
    row = await store.bill(conn, visible(subject), bill_id)
    if row is None or row["revision"] < 1 or row["type"] not in submittable():
        raise YaosuError("not_found", {"what": f"单据 bill #{bill_id}"})
    if row["status"] == "V":
        raise YaosuError("bill_is_void", {"bill_no": row["bill_no"]})
    return service.void_of(dict(row), reason, b"")


def _given(content: bytes, bill_no: str) -> dict[str, Any]:
    """What the file says, with the bill's number."""
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        values: dict[str, Any] = json_of(content)
    else:
        values = {"codes": lines_of(content)}
    checked(_Shape, values)
    if bill_no:
        values["bill_no"] = bill_no
    if not values.get("bill_no"):
        raise typer.BadParameter("name the bill: --bill-no, or bill_no in the file 请指明单据编号")
    return values


async def _merged(
    conn: Connection, registry: Registry, subject: Subject, given: dict[str, Any], append: bool
) -> dict[str, Any]:
    """The next revision: what the file says, and for the rest what the revision in force says.

    Refused: `not_found`; `invalid_request` for codes given to a bill with parts of boxes or goods without codes, unless
    the file states how much of each.
    """
    sight = visible(subject)
    owner = org_id(registry, "owner", given.get("owner")) or subject.org
    rows = await store.revisions(conn, sight, owner, str(given["bill_no"]))
    if not rows:
        raise YaosuError("not_found", {"what": f"单据 bill {given['bill_no']}"})
    row = max(rows, key=lambda r: r["revision"])
    amounts = await amounts_of(conn, row["id"], row["drug_ids"])
    said = given.keys() & {"parts", "quantities"}
    # a list of codes alone does not say how much of each
    if (amounts.parts and "codes" in given and not append and not said) or (
        amounts.quantities and (append or ("codes" in given and not said))
    ):
        reason = (
            "该单据含拆零数量或无码药品，请在 JSON 中完整写明 codes 与 parts / quantities "
            "the bill has parts of boxes or goods without codes: state codes and parts or quantities in full"
        )
        raise YaosuError(
            "invalid_request",
            {"count": 1},
            [Finding("field_invalid", {"field": "codes", "reason": reason}, "codes")],
        )
    values: dict[str, Any] = {
        **({} if said else as_fields(amounts, row["type"] == uncoded_rules.PURCHASE)),
        "type": row["type"],
        "happened_at": row["happened_at"],
        "owner": owner,
        "revision": row["revision"] + 1,
        **{name: row[name] for name in _PARTIES if row[name] is not None},
    }
    if row["notice_bill"]:
        notice = await store.bill(conn, sight, row["notice_bill"])
        values["notice"] = notice["bill_no"] if notice is not None else ""
    if amounts.quantities:
        values["codes"] = []
    elif append or "codes" not in given:
        lines = await store.bill_lines(conn, sight, row["id"], None, CODES_MAX + 1) or []
        notes = await store.bill_notes(conn, sight, row["id"], -1, CODES_MAX) or []
        codes = [r["code"] for r in lines]
        seen = set(codes)
        # refused scans are judged again; what the receiver turned away stays turned away
        codes += [r["code"] or r["raw"] for r in notes if r["severity"] == "R" and r["code"] not in seen]
        rejects = [r["code"] for r in notes if r["verdict"] == "rejected_by_you"]
        values["codes"], values["rejects"] = codes, rejects
    header = {k: v for k, v in (row["header"] or {}).items() if k not in _OF_ONE_REVISION}
    merged = {**values, **given, "header": {**header, **dict(given.get("header") or {})}}
    if append:
        merged["codes"] = [*values["codes"], *given.get("codes", ())]
    return merged


def _answer(shown: Preview, as_json: bool, preview: bool) -> None:
    """Print the effects; exit code 1 when it is, or would be, refused or only in part."""
    result = shown.result
    if as_json:
        whole = (
            result.as_json("zh") if result is not None and not preview else views.preview_view(shown, "zh")
        )
        print_json(whole)
    elif result is not None:
        _print(shown, preview)
    if shown.error is not None and not as_json:
        explain(shown.error)
    raise typer.Exit(0 if result is not None and result.status in ("accepted", "void") else 1)


def _print(shown: Preview, preview: bool) -> None:
    result = shown.result
    assert result is not None
    state = "预览 preview: nothing was changed" if preview else f"#{result.bill_id}"
    out.print(
        f"{result.bill_no} · 第 {result.revision} 版 revision · {result.status} · {state}", markup=False
    )
    table = Table("追溯码 code", "影响 effect", "说明 explanation")
    for kept in result.kept:
        table.add_row(kept.code, "保留 kept", f"已被后续单据 #{kept.later_bill} 使用 moved on since")
    for code in shown.removed:
        table.add_row(code, "冲回 taken back", "")
    for one in shown.added:
        view = one.as_json("zh")
        table.add_row(one.code or one.raw, f"新增 added: {one.verdict}", f"{view['message']} {view['next']}")
    if table.row_count:
        out.print(table)
