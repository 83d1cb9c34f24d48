# ruff: noqa: E501, PLW0108 - one hostile file a line reads best
"""Files made to hurt, or broken on the way: each is refused with the place named, quickly and within bounds."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
from collections.abc import Callable

import pytest

from exchange.files.world import HEADS, scan_xml, table, text_row, xlsx
from pace import own_s
from yaosu.errors import message
from yaosu.exchange.files.formats.read import content_of
from yaosu.exchange.files.model import FileRefusedError

CODE = "83857930000000012345"
GOOD = scan_xml("OA", [("A1", "某药房", [CODE])], at="2026-09-30 10:00:00")
ROW = ("A1", "201", "2026-09-30", "某药房", CODE)


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body in members.items():
            packed.writestr(name, body)
    return out.getvalue()


def declared_bomb() -> bytes:
    """A sheet of 80 MB of blanks that packs to nothing."""
    return xlsx("", more={"xl/worksheets/sheet1.xml": b"<worksheet><sheetData>" + b" " * (80 << 20)})


FILES: list[tuple[str, Callable[[], bytes], str, dict[str, object]]] = [
    ("nothing", lambda: b"", "file_empty", {}),
    ("blanks", lambda: b"\xef\xbb\xbf \r\n", "file_no_heading", {}),
    ("cut XML", lambda: GOOD[:-60], "file_cut", {"line": 3}),
    ("cut before it tells what it is", lambda: b"<?xml version=\"1.0\"?>\n<Document><Events>", "file_cut", {"line": 2}),
    ("cut inside an element", lambda: GOOD[: GOOD.index(b"ActDate")], "file_cut", {"line": 3}),
    ("wrong XML", lambda: GOOD.replace(b"</DataField>", b"</Data>"), "file_xml_syntax", {"line": 4}),
    (
        "entities",
        lambda: b'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]>\n<Document>&z;</Document>',
        "file_doctype",
        {"line": 2},
    ),
    ("external entity", lambda: b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><Document/>', "file_doctype", {"line": 1}),
    ("deep XML", lambda: b"<Document>" + b"<Event><DataField>" * 400, "file_too_deep", {"line": 1}),
    (
        "Data outside DataField",
        lambda: b'<Document><Events MainAction="WareHouseOut"><Data Code="1"/></Events></Document>',
        "file_misplaced",
        {"line": 1},
    ),
    ("other root", lambda: b'<Bills><DataField><Data Code="1"/></DataField></Bills>', "file_root", {"line": 1}),
    ("no Data", lambda: b'<Document><Events><Event Name="OA"><DataField/></Event></Events></Document>', "file_no_lines", {}),
    ("unknown XML", lambda: b"<rss><channel>hello</channel></rss>", "file_unknown", {}),
    ("EPCIS", lambda: b'<epcis:EPCISDocument xmlns:epcis="u"/>', "file_is_epcis", {}),
    ("a bill as JSON", lambda: b'{"type": 201, "codes": []}', "file_is_json", {}),
    ("long value", lambda: GOOD.replace(b"A1", b"A" * 2_000), "file_value_too_long", {"line": 3}),
    (
        "many attributes",
        lambda: GOOD.replace(b"<Data ", b"<Data " + b" ".join(b'a%d="1"' % i for i in range(60)) + b" "),
        "file_too_many",
        {"line": 3},
    ),
    ("zip bomb", lambda: zipped({"a.xml": b"<Document>" + b" " * (70 << 20)}), "archive_ratio", {}),
    ("gzip bomb", lambda: gzip.compress(b"$a,b\n" + b"\n" * (70 << 20)), "archive_ratio", {}),
    ("two in a zip", lambda: zipped({"a.xml": GOOD, "b.xml": GOOD}), "file_archive_members", {"count": 2}),
    ("path in a zip", lambda: zipped({"../../a.xml": GOOD}), "archive_path", {}),
    ("zip in a zip", lambda: zipped({"a.zip": zipped({"b.xml": GOOD})}), "archive_nested", {}),
    ("cut zip", lambda: zipped({"a.xml": GOOD})[:-30], "file_archive_cut", {}),
    ("half UTF-8", lambda: "单据编号,追溯码\nA,1\xff\xfe".encode("latin-1", "replace") + b"\xff\xff", "file_encoding", {}),
    ("wrong declaration", lambda: GOOD.replace(b'"UTF-8"', b'"EBCDIC-CP-US"'), "file_encoding", {}),
    ("binary", lambda: bytes(range(256)) * 40, "file_binary", {}),
    ("picture", lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 50, "file_binary", {}),
    ("a million columns", lambda: table([ROW]) + b"," * 900_000 + b"x\r\n", "file_too_many", {"line": 3}),
    ("endless line", lambda: table([ROW]) + b"x" * (1 << 21), "file_line_too_long", {"line": 3}),
    ("open quotation mark", lambda: table([ROW]) + b'"A2,201,2026-09-30\r\n', "file_cut", {"line": 3}),
    ("bad quotation marks", lambda: table([ROW]) + b'"A2"x,201\r\n', "file_csv_syntax", {"line": 3}),
    ("no heading", lambda: "甲,乙\n1,2\n".encode(), "file_no_heading", {}),
    ("two columns of one thing", lambda: "单号,单据编号,追溯码\n".encode(), "file_column_twice", {"line": 1}),
    (
        "persons",
        lambda: "单号,追溯码,购药人身份证号\n1,2,3\n".encode(),
        "file_column_personal",
        {"line": 1},
    ),
    ("TXT without its end", lambda: f"$供应商,P1\n{CODE},药\n".encode(), "file_cut", {"line": 2}),
    ("TXT that begins amid", lambda: f"#x\n$a,b\n#\n{CODE}\n".encode(), "file_txt_start", {"line": 4}),
    ("sheet bomb", declared_bomb, "archive_ratio", {}),
    ("entities in a sheet", lambda: xlsx("", more={"xl/worksheets/sheet1.xml": b"<!DOCTYPE a><worksheet/>"}), "file_doctype", {"line": 1}),
    ("far cell", lambda: xlsx('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'), "file_too_many", {"line": 1048576}),
    ("cell nowhere", lambda: xlsx('<row r="1"><c r="ZZZZ1"><v>1</v></c></row>'), "file_cell_reference", {"line": 1}),
    ("text that is not there", lambda: xlsx('<row r="1"><c r="A1" t="s"><v>99</v></c></row>'), "file_cell_reference", {"line": 1}),
    ("cells backwards", lambda: xlsx('<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>'), "file_cell_reference", {"line": 1}),
    ("61 columns", lambda: xlsx('<row r="1">' + "<c><v>1</v></c>" * 61 + "</row>"), "file_too_many", {"line": 1}),
    ("cut sheet", lambda: xlsx("", more={"xl/worksheets/sheet1.xml": b"<worksheet><sheetData><row"}), "file_xml_syntax", {"line": 1}),
    ("1904", lambda: xlsx("", more={"xl/workbook.xml": b'<workbook><workbookPr date1904="1"/></workbook>'}), "file_date_1904", {}),
    ("not a workbook", lambda: zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<a/>"}), "file_not_sheet", {}),
    ("600 parts", lambda: xlsx("", more={f"x/{i}": b"" for i in range(600)}), "file_too_many", {}),
    ("broken XLS", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 4_000, "file_xls_unreadable", {}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code", "params"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_it_is_refused_with_the_place_named(
    make: Callable[[], bytes], code: str, params: dict[str, object]
) -> None:
    data = make()
    begun = own_s()
    with pytest.raises(FileRefusedError) as refused:
        content_of(data)
    assert (refused.value.code, refused.value.params) == (code, {**refused.value.params, **params})
    assert own_s() - begun < 8, "seconds of a processor"
    # it can be told in both languages, with what to do
    assert message(code).text("zh", refused.value.params) and message(code).next_step("en", {})


CELLS = [
    ("a rounded number", '<c r="E2"><v>8.3857930000000012E+19</v></c>', "file_code_rounded"),
    ("a number of 20 digits", f'<c r="E2"><v>{CODE}</v></c>', "file_code_rounded"),
    ("the text of one", '<c r="E2" t="inlineStr"><is><t>8.38579E+19</t></is></c>', "file_code_rounded"),
    ("a formula", '<c r="E2" t="str"><f>HYPERLINK("http://x","y")</f><v>y</v></c>', "file_formula"),
    ("an error", '<c r="E2" t="e"><v>#N/A</v></c>', "file_cell_error"),
    ("a cut cell", f'<c r="E2" t="inlineStr"><is><t>{"8" * 32_767}</t></is></c>', "file_cell_cut"),
    ("nothing", '<c r="F2"><v>1</v></c>', "file_code_missing"),
]


@pytest.mark.parametrize(("cell", "code"), [c[1:] for c in CELLS], ids=[c[0] for c in CELLS])
def test_a_cell_that_is_no_code_is_a_problem_of_that_cell(cell: str, code: str) -> None:
    head = text_row(1, HEADS)
    start = text_row(2, ROW[:4]).removesuffix("</row>")
    content = content_of(xlsx(head + start + cell + "</row>"))
    (problem,) = content.problems
    assert (problem.finding.code, problem.line, problem.bill) == (code, 2, 1)
    assert problem.where == "line 2, E 追溯码"
    assert content.bills[0].bad == 1 and content.items == 2
    # formatting the column as text is the cure, and it is said
    if code == "file_code_rounded":
        assert "设为文本格式" in message(code).next_step("zh", {})


def test_a_column_of_codes_that_all_end_in_zeros_was_numbers_before() -> None:
    rows = [("A1", "201", "2026-09-30", "某", f"838579{i:09d}00000") for i in range(1, 6)]
    content = content_of(table(rows))
    assert [p.finding.code for p in content.problems] == ["file_code_rounded"] * 5
    assert content.bills[0].codes == [] and content.items == 6


def test_what_spreadsheets_put_around_a_code_is_taken_off() -> None:
    wide = CODE.translate({ord("0") + i: 0xFF10 + i for i in range(10)})
    for n, cell in enumerate(
        (f"'{CODE}", f'"=""{CODE}"""', f" {CODE}\u200b", wide, f"\ufeff{CODE}", f"’{CODE}")
    ):
        content = content_of(table([(f"A{n}", "２０１", "2026年9月30日", "某", cell)]))
        assert [b.codes for b in content.bills] == [[CODE]], cell
        assert content.bills[0].type == 201 and content.bills[0].at is not None


def test_base64_and_other_disguises_are_no_bills() -> None:
    with pytest.raises(FileRefusedError):
        content_of(base64.b64encode(gzip.compress(GOOD)))
