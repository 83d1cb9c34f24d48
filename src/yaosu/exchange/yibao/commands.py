"""`yaosu yibao …`: 医保 from the institution's side, from the server's own command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from yaosu.db.engine import Connection
from yaosu.edge.terminal import DataOption, JsonOption, out, print_json
from yaosu.exchange.yibao import service
from yaosu.exchange.yibao.api import view
from yaosu.insurance.fields import codes_of
from yaosu.papers import xlsx
from yaosu.papers.model import Paper
from yaosu.papers.model import Table as PaperTable
from yaosu.registry import lists
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, run_as
from yaosu.subject import Subject

app = typer.Typer(
    name="yibao", help="Medical insurance, the institution's side 医保上报.", no_args_is_help=True
)
BillArgument = Annotated[int, typer.Argument(min=1, help="Number of the bill 单据序号 (bill_id).")]


@app.command("preview")
def preview(bill: BillArgument, org: OrgOption, data: DataOption = None, json: JsonOption = False) -> None:
    """Rows a bill gives, what is missing, and what already went out 单据的上报预览."""
    made = run_as(data, org, lambda conn, registry, subject: service.preview(conn, registry, subject, bill))
    if json:
        print_json(view(made, "zh"))
        return
    table = Table(title=f"#{made.bill.id} {made.bill.bill_no} · {made.profile.code}", title_justify="left")
    for name in ("交易 infno", "批号 batch", "数量 count", "拆零 split", "追溯码 codes", "缺漏 findings"):
        table.add_column(name, overflow="fold")
    for row in made.rows:
        count = next(
            (str(row.fields[n]) for n in ("sel_retn_cnt", "purc_retn_cnt", "cnt") if n in row.fields), ""
        )
        codes = codes_of(row.fields)
        listed = "\n".join(codes[:5]) + (f"\n… {len(codes)}" if len(codes) > 5 else "")
        wrong = "\n".join(f.text("zh") for f in row.findings)
        table.add_row(
            row.infno,
            str(row.fields.get("manu_lotnum", "")),
            count,
            str(row.fields.get("trdn_flag", "")),
            listed,
            wrong,
        )
    out.print(table)
    for finding in made.skipped:
        out.print(finding.text("zh"))
    for sent in made.sent:
        doubt = f" 有疑点：{sent['warned']}" if sent["warned"] else ""
        out.print(f"{sent['bchno']} {sent['infno']} {sent['state']} {sent['said']}{doubt}")


@app.command("rows")
def rows(
    bill: BillArgument,
    org: OrgOption,
    settlement: Annotated[
        bool, typer.Option("--settlement", help="drug_trac_info of 2207 随结算上报.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--to", help="File (.json or .xlsx) 输出文件.")] = None,
    data: DataOption = None,
) -> None:
    """Rows of a bill for a HIS that reports itself 导出上报数据."""

    async def work(
        conn: Connection, registry: Registry, subject: Subject
    ) -> tuple[object, list[str], list[list[str]]]:
        if settlement:
            listed = await service.settlement_rows(conn, registry, subject, bill, {})
            columns = ["feedetl_sn", "drug_trac_codg", "trdn_flag", "min_prcunt_type"]
            return {"drug_trac_info": listed}, columns, [[one[c] for c in columns] for one in listed]
        made = await service.preview(conn, registry, subject, bill)
        return service.as_input(made), *service.as_table(made)

    value, columns, lines = run_as(data, org, work)
    if to is None:
        print_json(value)
    elif to.suffix == ".xlsx":
        to.write_bytes(
            xlsx.render(Paper("医保追溯码上报数据", blocks=[PaperTable(columns, lines)], landscape=True))
        )
    else:
        to.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))


@app.command("mapping")
def mapping(org: OrgOption, data: DataOption = None, json: JsonOption = False) -> None:
    """Catalogue numbers of products, those without one first 目录对照."""
    found = run_as(data, org, service.mapping)
    if json:
        print_json({"items": found})
        return
    table = Table()
    for name in (
        "产品 drug_id",
        "名称 name",
        "医疗目录编码 med_list_codg",
        "机构目录编号 fixmedins_hilist_id",
    ):
        table.add_column(name, overflow="fold")
    for row in found:
        table.add_row(
            str(row["drug_id"]), row["name"], row["med_list_codg"] or "—", row["fixmedins_hilist_id"] or "—"
        )
    out.print(table)


@app.command("map")
def put(
    org: OrgOption,
    drug: Annotated[int, typer.Option("--drug", min=1, help="Product 产品编号.")],
    number: Annotated[str, typer.Option("--number", help="Catalogue number 机构目录编号.")],
    national: Annotated[str, typer.Option("--national", help="National code 医疗目录编码.")] = "",
    price: Annotated[str, typer.Option("--price", help="Unit price 单价.")] = "",
    data: DataOption = None,
) -> None:
    """Enter the catalogue number of a product 填写目录对照."""
    line = service.Mapped(drug, number, national, "", price)
    run_as(data, org, lambda conn, registry, subject: service.put_mapping(conn, registry, subject, [line]))
    out.print("ok")


@app.command("stock")
def stock(org: OrgOption, data: DataOption = None) -> None:
    """Report what is in stock now (3501), once a day 盘存上报."""
    made = run_as(data, org, service.report_stock)
    out.print(f"{made} 行 rows")


@app.command("profiles")
def profiles(json: JsonOption = False) -> None:
    """Profiles of provinces 地区配置."""
    found = [
        {"code": i.code, "zh": i.zh, "region": i.region, "source": i.source, **i.attrs}
        for i in lists.delivered().whole("yibao_profile").items
    ]
    if json:
        print_json({"items": found})
        return
    for one in found:
        out.print(f"{one['code']:<12} {one['zh']}  {one.get('signtype') or '—'} {one.get('enc_type') or ''}")
