"""`yaosu bill list|notices|checks|quarantine|direct|types`: what there is, as its organisation sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from yaosu.access.visibility import visible
from yaosu.circulation import direct as direct_shipments
from yaosu.circulation import store_read as store
from yaosu.circulation import views
from yaosu.circulation.commands_common import DataOption, JsonOption, OrgOption, run, subject_of
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Pool
from yaosu.edge.pages import china
from yaosu.edge.terminal import out, print_json
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable

LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many 最多条数.")]


def add_to(app: typer.Typer) -> None:
    """Make the lists commands of `app`."""
    app.command("list")(list_bills)
    for command in (notices, checks, quarantine, direct, types):
        app.command()(command)


def _print(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table()
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) if cell is not None else "—" for cell in row))
    out.print(table)


def _name(org: dict[str, Any] | None) -> str:
    return f"{org['name']} (#{org['id']})" if org else "—"


def list_bills(
    org: OrgOption,
    type_: Annotated[
        list[int] | None, typer.Option("--type", min=1, max=999, help="Bill type 单据类型; repeat.")
    ] = None,
    bill_no: Annotated[str, typer.Option("--bill-no", help="Exact number 单据编号.")] = "",
    partner: Annotated[int | None, typer.Option("--partner", min=1, help="Other party 往来单位编号.")] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List bills, newest first 单据列表: own ones and those that name the organisation."""

    async def work(pool: Pool, registry: Registry, committer: Committer) -> list[dict[str, Any]]:
        sight = visible(subject_of(registry, org))
        async with pool.acquire() as conn:
            rows = await store.bills(
                conn, sight, types=type_, bill_no=bill_no or None, partner=partner, limit=limit
            )
        return [views.bill_view(registry, r, "zh") for r in rows]

    found = run(data, work)
    if as_json:
        print_json(found)
        return
    _print(
        (
            "#",
            "单据编号 number",
            "类型 type",
            "状态 status",
            "货主 owner",
            "收货方 to",
            "盒 boxes",
            "时间 at",
        ),
        [
            (
                b["id"],
                f"{b['bill_no']} · {b['revision']}",
                f"{b['type']} {b['type_name']}",
                b["status"],
                _name(b["owner"]),
                _name(b["to_org"]),
                b["qty"],
                china(b["happened_at"]),
            )
            for b in found
        ],
    )


def notices(
    org: OrgOption,
    sent: Annotated[
        bool, typer.Option("--sent", help="From the organisation instead of to it 本单位发出.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Closed ones too 含已办结.")] = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Goods on their way and what is still to be received 上游出库信息."""

    async def work(pool: Pool, registry: Registry, committer: Committer) -> list[dict[str, Any]]:
        sight = visible(subject_of(registry, org))
        side = {"from_org": org} if sent else {"to_org": org}
        states = None if every else ["open", "part"]
        async with pool.acquire() as conn:
            rows = await store.notices(conn, sight, **side, states=states, limit=limit)
        return [views.notice_view(registry, r, "zh") for r in rows]

    found = run(data, work)
    if as_json:
        print_json(found)
        return
    columns = (
        "#",
        "单号 number",
        "类型 type",
        "发货方 from",
        "收货方 to",
        "状态 state",
        "应收",
        "已收",
        "未到",
    )
    _print(
        columns,
        [
            (
                n["bill_id"],
                n["bill_no"],
                n["type_name"],
                _name(n["from_org"]),
                _name(n["to_org"]),
                n["state"],
                n["expected"],
                n["received"],
                n["outstanding"],
            )
            for n in found
        ],
    )


def checks(
    org: OrgOption,
    mismatch: Annotated[
        bool, typer.Option("--mismatch", help="Only those that do not match 仅不符.")
    ] = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Receipt checks 验收核对: own receipts, and what buyers found in own shipments.

    A mismatch becomes a case with `yaosu exception open --check NUMBER`.
    """

    async def work(pool: Pool, registry: Registry, committer: Committer) -> list[dict[str, Any]]:
        sight = visible(subject_of(registry, org))
        async with pool.acquire() as conn:
            outcomes = ["mismatch", "refused"] if mismatch else None
            rows = await store.checks(conn, sight, outcomes=outcomes, limit=limit)
        return [views.check_view(registry, r) for r in rows]

    found = run(data, work)
    if as_json:
        print_json(found)
        return
    _print(
        (
            "#",
            "入库单 receipt",
            "出库单 shipment",
            "购方 buyer",
            "供方 seller",
            "结果 outcome",
            "状态 state",
            "数量 counts",
        ),
        [
            (
                c["id"],
                c["receipt_no"],
                c["notice_no"],
                _name(c["buyer"]),
                _name(c["seller"]),
                c["outcome"],
                c["state"],
                " ".join(f"{k}={v}" for k, v in (c["counts"] or {}).items() if v),
            )
            for c in found
        ],
    )


def quarantine(
    org: OrgOption,
    every: Annotated[bool, typer.Option("--all", help="Settled ones too 含已处理.")] = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Goods in quarantine 待处理药品, with the reason and what to do.

    They leave it by a bill (6 release, 202 return, 205 destruction …) or by a case (`yaosu exception open
    --quarantine NUMBER`).
    """

    async def work(pool: Pool, registry: Registry, committer: Committer) -> list[dict[str, Any]]:
        sight = visible(subject_of(registry, org))
        async with pool.acquire() as conn:
            rows = await store.quarantine(conn, sight, None, None if every else True, None, limit)
        return [views.quarantine_view(registry, r, "zh") for r in rows]

    found = run(data, work)
    if as_json:
        print_json(found)
        return
    _print(
        ("#", "追溯码 code", "药品 product", "盒 boxes", "原因 reason", "下一步 next", "单据 bill"),
        [
            (q["id"], q["code"] or q["raw"], q["product"], q["qty"], q["message"], q["next"], q["bill_no"])
            for q in found
        ],
    )


def direct(
    org: OrgOption, limit: LimitOption = 50, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Direct shipments 直调 that the organisation directs, sends or receives, with the receiver's check.

    The firm that holds the goods makes one with `yaosu bill submit`: type 207, to_org the receiver, direct_org the
    seller that directs it.
    """

    async def work(pool: Pool, registry: Registry, committer: Committer) -> list[dict[str, Any]]:
        async with pool.acquire() as conn:
            return await direct_shipments.listed(conn, registry, subject_of(registry, org), "zh", None, limit)

    found = run(data, work)
    if as_json:
        print_json(found)
        return
    roles = {"directs": "直调方 directs", "sends": "发货 sends", "receives": "收货 receives"}
    _print(
        (
            "#",
            "单号 number",
            "类型 type",
            "本单位 role",
            "销售方 seller",
            "发货 from",
            "收货 to",
            "盒",
            "已收",
            "核对 check",
        ),
        [
            (
                d["id"],
                d["bill_no"],
                d["type_name"],
                roles[d["role"]],
                _name(d["seller"]),
                _name(d["from_org"]),
                _name(d["to_org"]),
                d["qty"],
                d["received"],
                d["outcome"],
            )
            for d in found
        ],
    )


def types(as_json: JsonOption = False) -> None:
    """List the bill types and what each needs 单据类型. Reasons of 205 and others: `yaosu export code-list FILE`."""
    found: list[dict[str, Any]] = [
        {
            "type": code,
            "zh": kind.zh,
            "en": kind.en,
            "needs": sorted(kind.needs),
            "actors": sorted(kind.actors),
            "parts": kind.parts,
        }
        for code, kind in sorted(submittable().items())
    ]
    if as_json:
        print_json(found)
        return
    _print(
        ("类型 type", "名称", "Name", "需要 needs", "单位类型 organisations", "拆零 parts"),
        [
            (
                t["type"],
                t["zh"],
                t["en"],
                ", ".join(t["needs"]),
                " ".join(map(str, t["actors"])),
                t["parts"] or "",
            )
            for t in found
        ],
    )
