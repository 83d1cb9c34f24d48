"""Files that follow the published formats and not our samples: what other software, other keyboards and other years
made of them (R-I1, R-X10; domain: interfaces §2.11)."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

import pytest

from exchange.files.world import HEADS, scan_xml, table, text_row, xlsx
from yaosu.errors import message
from yaosu.exchange.files.formats.cells import CHINA, moment
from yaosu.exchange.files.formats.read import content_of
from yaosu.exchange.files.model import FileContent, FileRefusedError

ONE, TWO, THREE = "83857940000879766660", "83857940000879766661", "83857940000879766662"
GS1 = "(01)06924561884074(21)ABC123"
ROW = ("A", "201", "2026-09-30 10:12:31", "示例医药有限公司", ONE)


def codes(content: FileContent) -> list[str]:
    return [c for b in content.bills for c in b.codes]


# -- encodings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "written", "said"),
    [
        ("GBK", "utf-8", True),
        ("ISO-8859-1", "utf-8", True),
        ("UTF-16", "utf-8", True),
        ("UTF-8", "gbk", True),
        ("gb2312", "gbk", False),
        ("windows-936", "gb18030", False),
        ("UTF-8", "utf-16", False),
        ("GBK", "utf-8-sig", False),
    ],
)
def test_a_name_is_right_whatever_the_declaration_says(declared: str, written: str, said: bool) -> None:
    text = scan_xml("SalesWareHouseOut", [("A", "示例医药有限公司", [ONE])]).decode()
    content = content_of(text.replace("UTF-8", declared, 1).encode(written))
    assert [b.receiver for b in content.bills] == ["示例医药有限公司"] and codes(content) == [ONE]
    assert ["file_note_encoding" in {n.code for n in content.notes}] == [said]


def test_chinese_in_gbk_is_never_taken_for_utf_8() -> None:
    for name in ("联通", "示例医药有限公司", "一号车间", "甲", "涓婃捣", "中国药科大学·附属", "江苏①号"):
        text = scan_xml("OA", [("A", name, [ONE])], encoding="GB18030")
        assert [b.receiver for b in content_of(text).bills] == [name.replace("①", "1")]


@pytest.mark.parametrize("end", [b"\x1a", b"\0\0\0\0", b"\r\n\x1a", b"\r\n  \r\n"])
def test_what_old_systems_leave_behind_the_end_is_nothing(end: bytes) -> None:
    txt = f"$示例医药有限公司,PT1\r\n{ONE},甲,1,2026-09-01\r\n#".encode()
    for data in (scan_xml("OA", [("A", "某", [ONE])]), txt, table([ROW]), f"{ONE}\r\n".encode()):
        assert codes(content_of(data + end)) == [ONE]


def test_several_documents_in_one_file_are_all_read() -> None:
    first = scan_xml("SalesWareHouseOut", [("A", "某", [ONE])])
    second = scan_xml("PurchaseWareHouseIn", [("B", "某", [TWO])])
    bare = second.split(b"?>", 1)[1]
    for data in (first + second, first.rstrip() + second, first + b"\n \n" + bare, first + first + bare):
        content = content_of(data)
        assert [(b.number, b.type) for b in content.bills] == [("A", 201), ("B", 102)]
        assert set(codes(content)) == {ONE, TWO}
        assert data.split(b"\n")[content.bills[1].lines[0] - 1].count(TWO.encode()) == 1
    with pytest.raises(FileRefusedError) as refused:
        content_of(first + second[:-30])
    assert (refused.value.code, refused.value.incomplete) == ("file_cut", True)
    assert refused.value.params["line"] == first.count(b"\n") + 4
    with pytest.raises(FileRefusedError) as other:
        content_of(first + b"<Relation/>")
    assert other.value.code == "file_xml_syntax"


def test_a_name_and_an_action_that_contradict_each_other_are_told() -> None:
    data = scan_xml("SalesWareHouseOut", [("A", "某", [ONE])]).replace(b'"WareHouseOut"', b'"WareHouseIn"')
    content = content_of(data)
    assert content.bills[0].type == 201 and [n.code for n in content.notes] == ["file_note_action"]


# -- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2026-09-30 13:05:09",
        "2026-9-30 13:5:9",
        "2026/9/30 下午 1:05:09",
        "2026/9/30 1:05:09 PM",
        "２０２６－０９－３０ １３：０５：０９",
        "2026-09-30T05:05:09.1234567Z",
        "2026-09-30T13:05:09.123456789+08:00",
        "2026年9月30日13时5分9秒",
        "20260930 13:05:09",
        "20260930130509",
    ],
)
def test_a_time_is_read_as_people_and_their_software_write_it(text: str) -> None:
    assert moment(text) == datetime(2026, 9, 30, 13, 5, 9, tzinfo=CHINA)
    content = content_of(scan_xml("OA", [("A", "某", [ONE])], at=text))
    assert content.bills[0].at == datetime(2026, 9, 30, 13, 5, 9, tzinfo=CHINA)


@pytest.mark.parametrize(
    "text", ["2026930", "9/30/2026", "2026-09-30 13:00 PM", "2026-09-30 24:00:00", "2026-09-30 101"]
)
def test_a_time_that_can_be_read_in_two_ways_is_none(text: str) -> None:
    assert moment(text) is None


# -- lists of codes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{ONE}\n{TWO}\n", [ONE, TWO]),
        (f"{ONE},{TWO}\n", [ONE, TWO]),
        (f"1,{ONE}\n2,{TWO}\n", [ONE, TWO]),
        (f"2026-09-30 10:12:31,{ONE}\n2026-09-30 10:12:30,{TWO}\n", [ONE, TWO]),
        (f"{ONE}\t1\n{TWO}\t1\n", [ONE, TWO]),
        (f'"{ONE}"\n"{TWO}"\n', [ONE, TWO]),
        (f"追溯码\n{ONE}\n", [ONE]),
        (f"{ONE}\n{TWO}\nabc\n", [ONE, TWO, "abc"]),
        (f"{ONE},阿莫西林\n{TWO},阿莫西林,{ONE}\n{ONE}\n{ONE}\n", [ONE, TWO, ONE, ONE, ONE]),
        (f"{GS1}(10)A,1\n", [f"{GS1}(10)A,1"]),
        (
            "010692456188407421ABC123\x1d10B1\n010692456188407421ABC124\x1d10B1\n",
            ["010692456188407421ABC123\x1d10B1", "010692456188407421ABC124\x1d10B1"],
        ),
    ],
)
def test_a_list_gives_every_code_on_every_line(text: str, expected: list[str]) -> None:
    content = content_of(text.encode())
    assert (content.format, codes(content), content.problems) == ("code_list", expected, [])
    if "10:12" in text:
        assert content.bills[0].at == datetime(2026, 9, 30, 10, 12, 31, tzinfo=CHINA)


# -- client TXT -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"＄示例医药有限公司，PT1\n{ONE}，甲，1，2026－09－01\n＃",
        f'"$示例医药有限公司","PT1"\n"{ONE}","甲","1","2026-09-01"\n"#"',
        f"$示例医药有限公司,PT1\n{ONE},甲,1,2026-09-01\n#20260930",
        f"$示例医药有限公司,PT1\n{ONE},甲,1,2026-09-01\n#END",
        f"$示例医药有限公司\tPT1\n\n {ONE} \t甲\n#0001",
    ],
)
def test_a_client_txt_is_read_whatever_stands_behind_its_end_mark(text: str) -> None:
    content = content_of(text.encode())
    (bill,) = content.bills
    assert (content.format, bill.partner, bill.number, bill.codes) == (
        "client_txt",
        "示例医药有限公司",
        "PT1",
        [ONE],
    )
    assert not content.problems


def test_a_number_behind_the_end_mark_that_counts_something_else_holds_the_bill_until_somebody_looks() -> (
    None
):
    content = content_of(f"$某,PT1\n{ONE},甲\n#3\n$某,PT2\n{TWO},甲\n#1\n".encode())
    assert [(b.bad, b.codes) for b in content.bills] == [(1, [ONE]), (0, [TWO])]
    (problem,) = content.problems
    assert (problem.line, problem.finding.code) == (3, "file_count_differs")
    assert content.items == 6


# -- tables ---------------------------------------------------------------------------------------------------------


def test_headings_with_remarks_and_in_full_width_are_the_same_headings() -> None:
    heads = ("*单据编号", "单据类型（必填）", "单据时间(选填)", " 往来 单位", "追溯码(文本格式)")
    content = content_of(table([ROW], heads))
    assert content.notes == [] and content.bills[0].partner == "示例医药有限公司"


@pytest.mark.parametrize(
    "row", [("合计", "", "", "", "1"), ("", "", "", "合计：", "1"), ("共计", "", "", "", "")]
)
def test_a_line_of_totals_is_no_bill(row: tuple[str, ...]) -> None:
    content = content_of(table([ROW, row]))
    assert len(content.bills) == 1 and content.ignored[-1].reason == "total"


def test_a_table_typed_with_a_chinese_keyboard_is_a_table() -> None:
    assert codes(content_of(table([ROW], sep="，"))) == [ONE]


def test_codes_that_were_floating_numbers_are_refused_whatever_their_last_digits() -> None:
    exact = [str(int(float(f"8385794{i:013d}"))) for i in range(879766660, 879800000, 16_500)]
    for sent in (exact, [f"{c}.0" for c in exact], [f"{exact[0]}.00"]):
        content = content_of(table([(*ROW[:4], c) for c in sent]))
        assert {p.finding.code for p in content.problems} == {"file_code_rounded"} and not codes(content)
    # one code in some ten thousand is such a number by chance, and a decimal of a database loses nothing
    assert codes(content_of(table([(*ROW[:4], exact[0]), ROW]))) == [exact[0], ONE]
    assert codes(content_of(table([(*ROW[:4], f"{ONE}.00")]))) == [f"{ONE}.00"]


def test_the_clients_export_takes_the_time_of_the_scans() -> None:
    heads = ("追溯码", "药品器械名称", "产品批号", "扫描时间")
    head = "扫码日期,2026-09-30\n单据类型,销售出库\n单据号,X1\n收货单位名称,某\n\n".encode()
    content = content_of(head + table([(ONE, "甲", "1", "2026-09-30 10:12:31")], heads))
    assert content.bills[0].at == datetime(2026, 9, 30, 10, 12, 31, tzinfo=CHINA)
    # a table with both times takes the first
    both = content_of(table([(*ROW, "x")], (*HEADS, "扫描时间")))
    assert [n.code for n in both.notes] == ["file_note_column"]


def _two_sheets(first: str, second: str, state: str = 'sheetId="2"') -> bytes:
    sheets = '<sheet name="一" sheetId="1" r:id="rId1"/>' + f'<sheet name="二" {state} r:id="rId2"/>'
    relations = "".join(f'<Relationship Id="rId{n}" Target="worksheets/sheet{n}.xml"/>' for n in (1, 2))
    other = f"<worksheet><sheetData>{second}</sheetData></worksheet>"
    more = {
        "xl/workbook.xml": f'<workbook xmlns:r="r"><sheets>{sheets}</sheets></workbook>'.encode(),
        "xl/_rels/workbook.xml.rels": f"<Relationships>{relations}</Relationships>".encode(),
        "xl/worksheets/sheet2.xml": other.encode(),
    }
    return xlsx(first, more=more)


def test_bills_on_several_sheets_are_all_read_and_a_bill_may_go_on_from_one_to_the_next() -> None:
    number, *rest = ROW[:4]
    first = text_row(1, HEADS) + text_row(2, (*ROW[:4], ONE))
    second = (
        text_row(1, ("导出", "清单"))
        + text_row(2, HEADS)
        + text_row(3, (*ROW[:4], TWO))
        + text_row(4, (f"{number}-2", *rest, THREE))
        + text_row(5, (f"{number}-2", *rest, "8.3857940000879E+19"))
    )
    content = content_of(_two_sheets(first, second))
    one, two = content.bills
    assert (one.codes, [one.where(n) for n in one.lines]) == ([ONE, TWO], ["line 2, 一", "line 3, 二"])
    assert (two.codes, two.where(two.line)) == ([THREE], "line 4, 二")
    (problem,) = content.problems
    assert (problem.where, problem.bill) == ("line 5, 二!E 追溯码", two.n)
    assert [(s.title, s.bills, s.lines, s.unreadable) for s in content.sheets] == [
        ("一", 1, 1, 0),
        ("二", 2, 2, 1),
    ]
    assert [(i.line, i.reason, i.sheet) for i in content.ignored] == [
        (1, "heading", "一"),
        (1, "title", "二"),
        (2, "heading", "二"),
    ]


def test_a_sheet_whose_bills_have_no_number_is_refused_beside_another_and_nothing_is_left_out() -> None:
    cells = text_row(1, HEADS) + text_row(2, (*ROW[:4], TWO))
    unnumbered = text_row(1, HEADS[1:]) + text_row(2, ROW[1:])
    with pytest.raises(FileRefusedError) as refused:
        content_of(_two_sheets(cells, unnumbered))
    assert (refused.value.code, refused.value.params) == ("file_two_tables", {"one": "一", "other": "二"})
    assert "“二”" in message("file_two_tables").text("zh", refused.value.params)
    # other content of one bill on the second sheet is that line's problem
    differs = text_row(1, HEADS) + text_row(2, (ROW[0], "205", *ROW[2:]))
    content = content_of(_two_sheets(cells, differs))
    assert [(p.where[:9], p.finding.code) for p in content.problems] == [("line 2, 二", "file_bill_differs")]
    # a hidden sheet was put aside by somebody; one without bills says nothing, and is said to be left out
    assert codes(content_of(_two_sheets(cells, cells, 'sheetId="2" state="hidden"'))) == [TWO]
    plain = content_of(_two_sheets(cells, text_row(1, ("说一句",))))
    assert codes(plain) == [TWO]
    assert [(s.title, s.bills) for s in plain.sheets] == [("一", 1), ("二", 0)]


# -- what strangers drop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read_though_it_begins_in_chinese(encoding: str) -> None:
    text = table([ROW]).decode("utf-8-sig")
    assert codes(content_of(text.encode(encoding))) == [ONE]


def test_bytes_that_are_no_text_are_refused_with_encoding_and_line() -> None:
    broken = table([ROW]).decode("utf-8-sig").encode("gb18030").replace(b"\r\n", b"\n")
    broken = broken.replace("示例".encode("gb18030"), b"\xca\xbe\xff\x80", 1)
    with pytest.raises(FileRefusedError) as refused:
        content_of(broken)
    assert refused.value.code == "file_encoding"
    assert refused.value.params == {"encoding": "gb18030", "line": 2}


@pytest.mark.parametrize(
    "footer",
    [
        "制表人：张三,,审核：李四,,",
        "打印时间：2026-09-30 10:00,,,,",
        "第 1 页/共 3 页,,,,",
        ",,,复核：某,",
        "-----,,,,",
    ],
)
def test_lines_below_a_list_are_no_bill_and_a_heading_may_come_again_on_each_page(footer: str) -> None:
    text = table([ROW]).decode("utf-8-sig").replace("\r\n", "\n")
    again = ",".join(HEADS) + "\n" + ",".join((*ROW[:4], TWO))
    content = content_of(f"{text.rstrip()}\n{footer}\n{again}\n{footer}\n".encode())
    assert codes(content) == [ONE, TWO] and not content.problems and len(content.bills) == 1
    assert [i.reason for i in content.ignored] == ["heading", "footer", "heading", "footer"]
    # a code in such a line is never left out
    kept = content_of(f"{text.rstrip()}\n制表人：张三,,,,{TWO}\n".encode())
    assert TWO in codes(kept) or kept.problems


def _archive(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__at__", "/"), data)
    return packed.getvalue()


def test_a_packed_workbook_is_read_and_what_a_mac_packs_beside_a_file_is_nothing() -> None:
    book = xlsx(text_row(1, HEADS) + text_row(2, ROW))
    beside = {"__MACOSX__at___a.csv": b"\0\1", ".DS_Store": b"x"}
    assert codes(content_of(_archive(book=book))) == [ONE]
    assert codes(content_of(_archive(**{"a.csv": table([ROW])}, **beside))) == [ONE]
    assert codes(content_of(_archive(**{"a.xlsx": book}, **beside))) == [ONE]
    with pytest.raises(FileRefusedError) as refused:
        content_of(_archive(**{"a.xlsx": book, "b.xlsx": book}))
    assert (refused.value.code, refused.value.params["count"]) == ("file_archive_members", 2)
    with pytest.raises(FileRefusedError) as nested:
        content_of(_archive(a=_archive(b=_archive(c=table([ROW])))))
    assert nested.value.code == "archive_nested"


def test_an_open_document_sheet_is_read_like_an_old_workbook() -> None:
    def row(cells: tuple[str, ...]) -> str:
        cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
        return "<table:table-row>" + "".join(cell.format(c) for c in cells) + "</table:table-row>"

    spaces = " ".join(
        f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"'
        for n in ("office", "table", "text", "style")
    )
    sheet = f'<table:table table:name="单据">{row(HEADS)}{row(ROW)}{row((*ROW[:4], TWO))}</table:table>'
    body = f"<office:body><office:spreadsheet>{sheet}</office:spreadsheet></office:body>"
    content = f'<?xml version="1.0"?><office:document-content {spaces}>{body}</office:document-content>'
    mime = b"application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mime.decode()}"/></manifest:manifest>'
    )
    members = {
        "mimetype": mime,
        "content.xml": content.encode(),
        "META-INF__at__manifest.xml": manifest.encode(),
    }
    assert codes(content_of(_archive(**members))) == [ONE, TWO]
    with pytest.raises(FileRefusedError) as refused:
        content_of(_archive(**{**members, "content.xml": b"<x/>"}))
    assert refused.value.code == "file_no_lines"


# -- what is called a workbook and is none --------------------------------------------------------------------------


def html(rows: list[str], head: str = "<html><head><meta charset=gb2312></head><body>") -> bytes:
    heads = "".join(f"<TH>{h}</TH>" for h in HEADS)
    table_ = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"{head}<TABLE border=1><tr>{heads}</tr>{table_}</TABLE></body></html>".encode("gb18030")


def test_a_page_saved_as_a_workbook_is_read_as_its_table() -> None:
    cells = [f"<td x:str>{v}</td>" for v in ROW]
    merged = "".join(f'<td rowspan="2">{v}</td>' for v in ROW[:4]) + f"<td>'{ONE}</td>"
    for data in (
        html(["".join(cells)]),
        html([merged, f"<td style='mso-number-format:\"\\@\"'>{TWO}<br>&nbsp;</td>"]),
        html(["".join(cells)], "<!DOCTYPE html><html><table><tr><td>菜单</td></tr></table>"),
        html(["".join(c.replace("</td>", "") for c in cells)]),
    ):
        content = content_of(data)
        (bill,) = content.bills
        assert (content.format, bill.number, bill.receiver or bill.partner) == (
            "xls",
            "A",
            "示例医药有限公司",
        )
        assert bill.codes[0] == ONE and set(bill.codes) <= {ONE, TWO}
    assert len(content_of(html([merged, f"<td>{TWO}</td>"])).bills[0].codes) == 2
    lost = content_of(html(["".join(f"<td>{v}</td>" for v in (*ROW[:4], "8.38579E+19"))]))
    assert [p.finding.code for p in lost.problems] == ["file_code_rounded"]


def test_the_xml_of_excel_2003_is_read_as_a_workbook() -> None:
    def cell(value: str, kind: str = "String", more: str = "") -> str:
        return f'<Cell{more}><Data ss:Type="{kind}">{value}</Data></Cell>'

    def book(rows: str) -> bytes:
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<?mso-application progid="Excel.Sheet"?>\n'
            '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" '
            'xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet ss:Name="单据"><Table>'
            f"<Row>{''.join(map(cell, HEADS))}</Row>{rows}</Table></Worksheet></Workbook>"
        ).encode()

    at = cell("2026-09-30T10:12:31.000", "DateTime")
    row = cell("A") + cell("201", "Number") + at + cell("示例医药有限公司")
    fifth = cell(TWO, more=' ss:Index="5"')
    content = content_of(book(f'<Row ss:Index="3">{row}{cell(ONE)}</Row><Row>{fifth}</Row>'))
    (bill,) = content.bills
    assert (bill.type, bill.codes, list(bill.lines)) == (201, [ONE, TWO], [3, 4])
    assert bill.at == datetime(2026, 9, 30, 10, 12, 31, tzinfo=CHINA)
    bad = (
        cell("8.3857940000879772E+19", "Number"),
        cell(ONE, more=' ss:Formula="=A1"'),
        cell("#N/A", "Error"),
    )
    wrong = content_of(book("".join(f"<Row>{row}{one}</Row>" for one in bad)))
    assert [p.finding.code for p in wrong.problems] == [
        "file_code_rounded",
        "file_formula",
        "file_cell_error",
    ]


EXCEL = b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">'


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<html><body><p>Session expired</p></body></html>", "file_no_lines"),
        (b"<html>" + b"<table>" * 100, "file_too_deep"),
        (html(["<td>x</td>"])[:-24], "file_cut"),
        (html(["<td>x</td>"], "<html><table><SCRIPT>if (a<b) </Script>")[:-24], "file_cut"),
        (b"<html><table><tr>" + b"<!--" * 200_000, "file_cut"),
        (html(["<td colspan=999999>x</td>" * 9]), "file_too_many"),
        (html(["<td rowspan=99999>x</td>" * 200]), "file_too_many"),
        (EXCEL + b'<Worksheet><Table><Row Index="999999"/>', "file_too_many"),
        (EXCEL + b"<Worksheet>", "file_xml_syntax"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + EXCEL, "file_doctype"),
    ],
)
def test_a_page_that_is_no_table_of_bills_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(FileRefusedError) as refused:
        content_of(data)
    assert refused.value.code == code
