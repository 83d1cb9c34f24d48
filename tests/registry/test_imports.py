"""Bulk import and export: an error per cell, all rows or none, nothing a spreadsheet would run."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from typer.testing import CliRunner

from registry.helpers import OPERATOR, make_filing, make_org, subject_of, uscc
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.registry import columns, commands, exports, imports, service, sheets
from yaosu.registry.resolver import load_registry

ORG_HEAD = ["企业名称*", "企业类型*", "行政区划代码*", "统一社会信用代码", "细分类型", "上级企业", "联系电话"]


def xlsx(rows: list[list[object]]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def product_row(mah: str, *identifiers: str, **more: str) -> list[str]:
    values = {
        "generic_name": "导入胶囊",
        "dosage_form": "胶囊剂",
        "strength": "0.3g",
        "package_size": "24粒/盒",
        "prep_units_per": "24",
        "shelf_life": "24",
        "shelf_life_unit": "月",
        "approval_no": "国药准字Z45021428",
        "approval_expires": "2029年12月31日",
        "registration_class": "中药",
        "prescription": "处方药",
        "essential": "是",
        "flags": "集采中选；冷链药品",
        "mah_id": mah,
        "manufacturer_id": mah,
        "ratio": "1:10:200",
        "identifiers": "；".join(identifiers),
        "retail_barcode": "6924561884074",
        **more,
    }
    return [values.get(c.key, "") for c in columns.PRODUCTS]


PRODUCT_HEAD = [c.heading for c in columns.PRODUCTS]


async def test_stores_are_imported_with_their_headquarters_from_one_file(db: Connection) -> None:
    head, store = uscc(71_000_001), uscc(71_000_002)
    rows = [
        ORG_HEAD,
        ["说明：本行可保留"],
        ["导入连锁总部", "零售企业", "370102", head, "连锁总部", "", "0531-8888888"],
        ["导入门店", 4, 370102, store, 42, head, ""],
    ]
    preview = await imports.preview(db, OPERATOR, "orgs", xlsx(rows), "a.xlsx")
    assert preview.errors == () and preview.id is not None and preview.rows == 2
    assert await service.find_org(db, OPERATOR, head) is None
    assert await imports.confirm(db, OPERATOR, preview.id) == ("orgs", 2)
    parent, child = await service.find_org(db, OPERATOR, head), await service.find_org(db, OPERATOR, store)
    assert parent is not None and child is not None and child.parent_id == parent.id


async def test_every_wrong_cell_is_named_with_row_column_problem_and_fix(db: Connection) -> None:
    taken = uscc(71_000_003)
    await make_org(db, 2, uscc=taken, name="已登记医药")
    rows = [
        ORG_HEAD,
        ["", "批发", "370102", uscc(71_000_004), "", "", ""],
        ["甲医药", "批发企业", "999999", "91370102000000015X", "", "没有的企业", "abc"],
        ["乙医药", "批发企业", "370102", taken, "", "", ""],
        ["丙医药", "批发企业", "370102", uscc(71_000_005), "", "", ""],
        ["丙 医药", "批发企业", "370102", uscc(71_000_006), "", "", ""],
    ]
    preview = await imports.preview(db, OPERATOR, "orgs", xlsx(rows), "a.xlsx")
    assert preview.id is None
    seen = {(e.row, e.column, e.finding.code) for e in preview.errors}
    assert seen == {
        (2, "企业名称", "value_missing"),
        (2, "企业类型", "import_value_label"),
        (3, "行政区划代码", "region_unknown"),
        (3, "统一社会信用代码", "uscc_check_digit"),
        (3, "上级企业", "import_org_unknown"),
        (3, "联系电话", "value_shape"),
        (4, "统一社会信用代码", "org_taken"),
        (6, "企业名称", "import_row_twice"),
    }
    assert all(e.finding.text("zh") and e.finding.next_step("zh") for e in preview.errors)


async def test_one_wrong_row_leaves_no_row_behind(db: Connection) -> None:
    rows = [ORG_HEAD, ["好医药", "批发企业", "370102", uscc(71_000_007)], ["坏医药", "批发企业", "1", ""]]
    before = await db.fetchval("SELECT count(*) FROM org")
    with pytest.raises(YaosuError) as refused:
        await imports.import_file(db, OPERATOR, "orgs", xlsx(rows), "a.xlsx")
    assert refused.value.code == "import_has_errors"
    assert await db.fetchval("SELECT count(*) FROM org") == before


async def test_a_preview_that_became_wrong_meanwhile_is_refused_as_a_whole(db: Connection) -> None:
    number = uscc(71_000_008)
    rows = [
        ORG_HEAD,
        ["先来医药", "批发企业", "370102", number],
        ["后到医药", "批发企业", "370102", uscc(71_000_009)],
    ]
    preview = await imports.preview(db, OPERATOR, "orgs", xlsx(rows), "a.xlsx")
    assert preview.id is not None
    await make_org(db, 2, uscc=number, name="抢先医药")
    with pytest.raises(YaosuError) as refused:
        await imports.confirm(db, OPERATOR, preview.id)
    assert {f.code for f in refused.value.findings} == {"org_taken"}
    assert await service.find_org(db, OPERATOR, uscc(71_000_009)) is None


async def test_products_come_in_from_gb18030_with_ladder_flags_and_linked_codes(db: Connection) -> None:
    number = uscc(71_000_010)
    mah = await make_org(db, uscc=number)
    await make_filing(db, mah, ["8500001", "8500002", "8500003"])
    text = "\r\n".join(
        ",".join(row) for row in (PRODUCT_HEAD, product_row(number, "8500001", "8500002", "8500003"))
    )
    mine = subject_of(mah, 1)
    preview = await imports.preview(db, mine, "products", text.encode("gb18030"), "a.csv")
    assert preview.errors == () and preview.id is not None
    await imports.confirm(db, mine, preview.id)
    product = (await service.find_product(db, mine, "6924561884074"))[0]
    assert product.ratio == "1:10:200" and [v.units_per for v in product.levels] == [1, 20, 200]
    assert product.flags == {"vbp", "cold_chain"} and product.essential
    assert product.approval_expires is not None and product.approval_expires.isoformat() == "2029-12-31"
    registry = await load_registry(db)
    assert registry.resolve_prefix("8500003").level == 3


async def test_wrong_product_cells_are_named(db: Connection) -> None:
    number, other = uscc(71_000_011), uscc(71_000_012)
    mine = subject_of(await make_org(db, uscc=number), 1)
    await make_org(db, uscc=other)
    rows = [
        PRODUCT_HEAD,
        product_row(number, "8500001", retail_barcode="6924561884075"),
        product_row(
            number, "8500001", "8500002", "8500003", retail_barcode="", shelf_life="两年", flags="好药"
        ),
        product_row(number, "8500001", "8500012", "8500013", retail_barcode="", approval_expires="明天"),
        product_row(other, "8500021", "8500022", "8500023", retail_barcode="", ratio="1:3:10"),
    ]
    preview = await imports.preview(db, mine, "products", xlsx([list(r) for r in rows]), "a.xlsx")
    seen = {(e.row, e.column, e.finding.code) for e in preview.errors}
    assert seen == {
        (2, "各级药品标识码", "import_identifiers_count"),
        (2, "商品条码", "gtin_check_digit"),
        (3, "药品有效期", "import_value_number"),
        (3, "品种标识", "import_value_label"),
        (4, "批准文号有效期", "import_value_date"),
        (4, "各级药品标识码", "import_row_twice"),
        (5, "上市许可持有人", "product_not_yours"),
        (5, "包装比例", "ladder_ratio_step"),
    }


async def test_a_long_number_that_a_spreadsheet_has_rounded_is_not_taken_silently(db: Connection) -> None:
    rows: list[list[object]] = [ORG_HEAD, ["圆整医药", "批发企业", "370102", 913701020000000151.0]]
    preview = await imports.preview(db, OPERATOR, "orgs", xlsx(rows), "a.xlsx")
    assert [(e.column) for e in preview.errors] == ["统一社会信用代码"]


async def test_wrong_headings_are_named_before_any_row_is_read(db: Connection) -> None:
    rows: list[list[object]] = [["企业名称", "企业名称", "颜色"], ["a", "b", "c"]]
    with pytest.raises(YaosuError) as refused:
        await imports.preview(db, OPERATOR, "orgs", xlsx(rows), "a.xlsx")
    assert [f.code for f in refused.value.findings] == [
        "import_heading_twice",
        "import_heading_unknown",
        "import_heading_missing",
        "import_heading_missing",
    ]


async def test_nobody_confirms_the_preview_of_another(db: Connection) -> None:
    rows = [ORG_HEAD, ["某医药", "批发企业", "370102", uscc(71_000_013)]]
    preview = await imports.preview(db, OPERATOR, "orgs", xlsx(rows), "a.xlsx")
    assert preview.id is not None
    with pytest.raises(YaosuError) as refused:
        await imports.confirm(db, subject_of(await make_org(db), 1), preview.id)
    assert refused.value.code == "import_preview_gone"


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (20 << 20))
    return out.getvalue()


def with_doctype() -> bytes:
    source = io.BytesIO(xlsx([["a"]]))
    out = io.BytesIO()
    with zipfile.ZipFile(source) as packed, zipfile.ZipFile(out, "w") as made:
        for part in packed.infolist():
            data = packed.read(part)
            if part.filename == "xl/workbook.xml":
                data = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + data
            made.writestr(part.filename, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bomb(), "import_too_large"),
        (with_doctype(), "import_file_unreadable"),
        (b"PK\x03\x04 not a zip", "import_file_unreadable"),
        (b"\xff\xfe\x00\x01\x81", "import_file_unreadable"),
        (b"a,b\n\x00,c", "import_file_unreadable"),
        (b'"open quote', "import_file_unreadable"),
        (("," * 100).encode(), "ok"),
        ((",".join("abcdefgh" for _ in range(70))).encode(), "import_too_large"),
        (b"a\n" * (sheets.ROWS_MAX + 2), "import_too_large"),
        (b"x" * 5000, "import_too_large"),
        (xlsx([[f"c{n}" for n in range(70)]]), "import_too_large"),
        (b"", "ok"),
    ],
)
def test_a_hostile_file_is_refused_with_a_reason(data: bytes, code: str) -> None:
    try:
        sheets.read(data, "x")
    except YaosuError as error:
        assert error.code == code
    else:
        assert code == "ok"


@pytest.mark.parametrize(
    "text", ["=1+1", "+8613800000000", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("x")', "普通"]
)
def test_exported_text_is_never_a_formula_and_reads_back_unchanged(text: str) -> None:
    written = sheets.write_xlsx("a", ["h"], [[text]])
    cell = load_workbook(io.BytesIO(written)).active["A2"]  # type: ignore[index]
    assert cell.data_type == "s"
    as_csv = sheets.write_csv(["h"], [[text]]).decode("utf-8-sig")
    assert not as_csv.splitlines()[1].strip('"').startswith(("=", "+", "-", "@", "\t"))
    if not text.startswith("\t"):
        for data in (written, sheets.write_csv(["h"], [[text]])):
            assert sheets.read(data, "x")[1][1] == [text]


async def test_an_export_of_products_is_an_import_of_products(db: Connection) -> None:
    number = uscc(71_000_014)
    mah = await make_org(db, uscc=number)
    rows = [PRODUCT_HEAD, product_row(number, "8500001", "8500002", "8500003", trade_name="=康")]
    await imports.import_file(db, OPERATOR, "products", xlsx([list(r) for r in rows]), "a.xlsx")
    headings, table = await exports.table(db, OPERATOR, "products")
    before = (await service.find_product(db, OPERATOR, "8500001"))[0]
    for written in (sheets.write_xlsx("p", headings, table), sheets.write_csv(headings, table)):
        await db.execute("DELETE FROM product_link")
        await db.execute("DELETE FROM package_level")
        await db.execute("DELETE FROM product")
        await imports.import_file(db, OPERATOR, "products", written, "b")
        after = (await service.find_product(db, OPERATOR, "8500001"))[0]
        assert (after.levels, after.links, after.flags, after.trade_name) == (
            before.levels,
            before.links,
            before.flags,
            "=康",
        )
    assert mah == after.mah_id


async def test_an_ordinary_organisation_exports_the_directory_without_contacts(db: Connection) -> None:
    mine = subject_of(await make_org(db, contact_phone="13900001111"), 1)
    headings, rows = await exports.table(db, mine, "orgs")
    assert "联系电话" not in headings
    assert not any("13900001111" in str(cell) for row in rows for cell in row)


def test_the_template_has_the_headings_and_comes_back_empty() -> None:
    for kind, table in columns.KINDS.items():
        rows = sheets.read(imports.template(kind), "t.xlsx")
        assert rows[0][1] == [c.heading for c in table]
        assert rows[1][1][0].startswith(columns.NOTE_MARK)


@pytest.mark.parametrize("table", columns.KINDS.values(), ids=columns.KINDS)
def test_whoever_reads_english_is_told_of_a_column_what_the_chinese_note_says(
    table: tuple[columns.Column, ...],
) -> None:
    for column in table:
        assert bool(column.note) == bool(column.note_en), column.key
        # no Chinese but what is written into a cell as an example
        assert not column.note_en or column.note_en[0].isascii(), column.key


def test_the_command_line_imports_and_exports_with_exit_codes(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    runner = CliRunner()
    good, bad, out = tmp_path / "good.csv", tmp_path / "bad.csv", tmp_path / "out.csv"
    head = ",".join(ORG_HEAD[:4])
    good.write_text(f"{head}\n命令行医药,批发企业,370102,{uscc(71_000_015)}\n", "utf-8")
    bad.write_text(f"{head}\n命令行医药二,批发企业,1,{uscc(71_000_016)}\n", "utf-8")
    refused = runner.invoke(commands.import_app, ["orgs", str(bad)])
    assert refused.exit_code == 1 and "2:行政区划代码" in refused.output
    done = runner.invoke(commands.import_app, ["orgs", str(good)])
    assert done.exit_code == 0, done.output
    assert runner.invoke(commands.export_app, ["orgs", str(out)]).exit_code == 0
    text = out.read_text("utf-8-sig")
    assert "命令行医药" in text and "命令行医药二" not in text
    assert runner.invoke(commands.export_app, ["orgs", str(tmp_path / "x.pdf")]).exit_code == 2
