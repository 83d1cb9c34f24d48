"""What is written is read again as the same bills, whatever they hold; old workbooks and the client's export, too."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.files.world import table, text_row, xlsx
from pace import own_s
from yaosu.exchange.files.formats.cells import CHINA, moment
from yaosu.exchange.files.formats.read import content_of
from yaosu.exchange.files.model import FileBill, FileRefusedError
from yaosu.exchange.files.names import main_action, type_of, xml_name
from yaosu.exchange.files.writers import FORMS, OutBill, OutLine
from yaosu.rules.bill_types import submittable

NUMBERS = st.text("ABCXYZ0123456789-单号/", min_size=1, max_size=20).filter(
    lambda t: t.strip() and not t.startswith("-")
)
NAMES = st.text("甲乙丙丁（）ABC·&<\"'", min_size=1, max_size=12).map(lambda t: "药房" + t)
CODES = st.integers(10**19 // 10 * 8, 10**19 // 10 * 8 + 10**12).map(lambda n: f"{n:020d}"[:19] + "7")
LINES = st.builds(
    OutLine,
    code=CODES,
    product=st.just("阿莫西林胶囊"),
    product_code=st.just("8385793"),
    batch_no=st.sampled_from(["B1", "=B2", "B,3"]),
    produced_on=st.just(date(2026, 1, 2)),
    expires_on=st.none(),
)


@st.composite
def bills(draw: Any) -> list[OutBill]:
    made = []
    for number in draw(st.lists(NUMBERS, min_size=1, max_size=5, unique=True)):
        kind = draw(st.sampled_from([102, 103, 201, 202, 203, 321, 217]))
        lines = draw(st.lists(LINES, min_size=1, max_size=8, unique_by=lambda x: x.code))
        partner = draw(NAMES)
        receiving = submittable()[kind].direction == "in"
        made.append(
            OutBill(
                number=number,
                type=kind,
                at=datetime(2026, 9, draw(st.integers(1, 30)), 3, 4, draw(st.integers(0, 59)), tzinfo=UTC),
                sender=partner if receiving else "",
                receiver="" if receiving else partner,
                supplier=partner,
                principal="",
                carrier="",
                direct="",
                owner="",
                notice="",
                header={"oper_name": "张三"},
                lines=lines,
            )
        )
    return made


def plain(text: str) -> str:
    """As the readers take a name in: one width, no blanks around."""
    from yaosu.exchange.files.formats.cells import plain as one

    return one(text)


def said(bill: FileBill) -> tuple[object, ...]:
    other = bill.sender or bill.receiver or bill.partner
    return (bill.number, bill.type, bill.at, other, sorted(bill.codes))


@pytest.mark.parametrize("form", ["xml", "xml-events", "csv", "xlsx"])
@settings(max_examples=25, deadline=None)
@given(made=bills())
def test_bills_written_and_read_again_say_the_same(form: str, made: list[OutBill]) -> None:
    content = content_of(FORMS[form].write(made))
    assert content.problems == []
    expected = {
        (
            plain(b.number),
            b.type,
            b.at.astimezone(CHINA),
            plain(b.partner),
            tuple(sorted(x.code for x in b.lines)),
        )
        for b in made
    }
    assert {(*s[:4], tuple(s[4])) for b in content.bills if (s := said(b))} == expected  # type: ignore[misc, arg-type]


@settings(max_examples=25, deadline=None)
@given(made=bills())
def test_a_client_txt_tells_supplier_number_and_codes(made: list[OutBill]) -> None:
    content = content_of(FORMS["txt"].write(made))
    assert [(b.number, sorted(b.codes)) for b in content.bills] == [
        (plain(b.number), sorted(x.code for x in b.lines)) for b in made
    ]
    assert {b.type for b in content.bills} == {102} and content.items == sum(len(b.lines) + 2 for b in made)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400))
def test_no_bytes_at_all_do_anything_but_be_read_or_refused(data: bytes) -> None:
    for head in (b"", b"<Document>", "$供应商,1\n".encode(), "单号,追溯码\n".encode(), b"PK\x03\x04"):
        try:
            content = content_of(head + data)
        except FileRefusedError:
            continue
        assert content.items == sum(b.items for b in content.bills) + content.problem_count + len(
            content.ignored
        )


def test_every_name_of_a_kind_is_understood_and_written() -> None:
    for code, kind in submittable().items():
        assert type_of(kind.zh) == type_of(str(code)) == type_of(f"{code} {kind.zh}") == code
        assert type_of(f"{kind.zh}（{code}）") == code
        assert type_of(xml_name(code)) == code and main_action(code) in ("WareHouseIn", "WareHouseOut")
    letters = {
        "IA": 101,
        "IC": 102,
        "ID": 104,
        "IB": 103,
        "OA": 201,
        "OB": 204,
        "OD": 203,
        "OF": 206,
        "OE": 205,
    }
    assert {k: type_of(k) for k in letters} == letters
    assert type_of("DestoryWareHouseOut") == type_of("DestroyWareHouseOut") == 205
    # a number and a name that disagree are no answer
    assert type_of("202 销售出库") == 0 and type_of("") == 0 and type_of("999") == 0


def test_times_in_every_way_files_write_them() -> None:
    at = datetime(2026, 9, 30, 10, 12, 0, tzinfo=CHINA)
    same = (
        "2026-09-30 10:12",
        "2026/9/30 10:12:00",
        "20260930101200",
        "2026年9月30日 10时12分",
        "2026-09-30T02:12:00Z",
        "2026-09-30T10:12:00+08:00",
        "46295.425",
    )
    assert {moment(t) for t in same} == {at}, {t: moment(t) for t in same}
    assert [moment(t) for t in ("", "2026-13-01", "昨天", "1", "2026-09-31")] == [None] * 5


def test_the_clients_own_export_has_its_bill_above_the_headings() -> None:
    heads = [
        "追溯码",
        "药品器械名称",
        "剂型规格",
        "包装规格",
        "批准文号",
        "生产厂家",
        "码类型",
        "码包装数",
        "零头数",
        "生产信息",
        "产品批号",
        "验证信息",
        "扫描时间",
    ]
    rows = [
        text_row(1, ["扫码日期：2026-09-30"]),
        text_row(2, ["单据类型", "销售出库"]),
        text_row(3, ["单据号：XS-77"]),
        text_row(4, ["收货单位名称", "济南（某某）大药房"]),
        text_row(6, heads),
        text_row(
            7, ["83857930000000012345", "阿莫西林", "", "", "", "", "1级码", "1", "", "", "B1", "", "10:00"]
        ),
        text_row(
            8, ["83857930000000012346", "阿莫西林", "", "", "", "", "1级码", "1", "", "", "B1", "", "10:01"]
        ),
    ]
    content = content_of(xlsx("".join(rows)))
    (bill,) = content.bills
    assert (bill.number, bill.type, bill.receiver, len(bill.codes)) == ("XS-77", 201, "济南(某某)大药房", 2)
    # the time of day of the scans, on the day above the table
    assert bill.at == datetime(2026, 9, 30, 10, 1, tzinfo=CHINA)
    assert content.items == 2 + 5 and not content.problems


def test_many_codes_in_one_cell_and_one_bill_on_many_rows() -> None:
    codes = [f"838579300000000{i:05d}" for i in range(12345, 12357)]
    cell = '"' + "\n".join(codes[:6]) + '"'
    heads = ("日期", "单号", "单据类型", "往来单位", "追溯码")
    data = table(
        [("2026-09-30", "A", "OA", "某", cell), ("", "A", "", "", codes[6]), ("", "", "", "", codes[7])],
        heads,
        ";",
    )
    (bill,) = content_of(data.replace(b";", b"\t")).bills
    assert bill.codes == codes[:8] and list(bill.lines)[-2:] == [8, 9]


def cfb(stream: bytes) -> bytes:
    """A compound file with one stream named Workbook, as old workbooks are kept in."""
    stream = stream.ljust(4_096, b"\0")
    stream += b"\0" * (-len(stream) % 512)
    sectors = len(stream) // 512
    free, end, fat_mark = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    fat = [fat_mark, end, *(n + 3 for n in range(sectors - 1)), end]
    fat += [free] * (128 - len(fat))

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        raw = name.encode("utf-16-le") + b"\0\0" if name else b""
        return (
            raw.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(raw), kind, 1, free, free, child)
            + b"\0" * 36
            + struct.pack("<IQ", start, size)
        )

    folder = entry("Root Entry", 5, 1, end, 0) + entry("Workbook", 2, free, 2, len(stream))
    folder += entry("", 0, free, 0, 0) * 2
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16
    head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + b"\0" * 6
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4_096, end, 0, end, 0) + struct.pack("<I", 0)
    head += struct.pack("<I", free) * 108
    return head + struct.pack("<128I", *fat) + folder + stream


def xls(rows: list[list[object]]) -> bytes:
    """A BIFF8 workbook: texts as labels, numbers as numbers."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    cells = b""
    for r, row in enumerate(rows):
        for c, value in enumerate(row):
            at = struct.pack("<HHH", r, c, 0)
            if isinstance(value, str) and value:
                text = value.encode("utf-16-le")
                cells += record(0x0204, at + struct.pack("<HB", len(value), 1) + text)
            elif isinstance(value, float):
                cells += record(0x0203, at + struct.pack("<d", value))
    bof = struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0)

    def globals_(begin: int) -> bytes:
        sheet_at = record(0x0085, struct.pack("<IBBBB", begin, 0, 0, 1, 0) + b"a")
        return record(0x0809, bof) + sheet_at + record(0x000A, b"")

    sheet = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0)) + cells + record(0x000A, b"")
    return cfb(globals_(len(globals_(0))) + sheet)


def test_an_old_workbook_is_read_in_a_process_of_its_own() -> None:
    heads: list[object] = ["单据编号", "单据类型", "单据时间", "往来单位", "追溯码"]
    data = xls(
        [
            heads,
            ["A1", 201.0, "2026-09-30 10:00", "某药房", "83857930000000012345"],
            ["A1", "", "", "", 8.3857930000000012e19],
        ]
    )
    content = content_of(data)
    assert content.format == "xls"
    (bill,) = content.bills
    assert (bill.type, bill.codes, list(bill.lines)) == (201, ["83857930000000012345"], [2])
    assert [(p.line, p.finding.code) for p in content.problems] == [(3, "file_code_rounded")]


def test_an_old_workbook_that_claims_the_whole_sheet_ends_its_own_process_only() -> None:
    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    begun = own_s()
    rows: list[list[object]] = [["单据编号"]]
    data = bytearray(xls(rows))
    far = record(0x0203, struct.pack("<HHHd", 65_535, 255, 0, 1.0))
    at = data.rindex(record(0x000A, b""))
    data[at : at + len(far) + 4] = far + record(0x000A, b"")
    with pytest.raises(FileRefusedError) as refused:
        content_of(bytes(data[: len(xls(rows))]))
    assert refused.value.code in {"file_too_many", "file_xls_unreadable", "file_no_heading"}
    assert own_s() - begun < 30, "seconds of a processor"
