"""Relation files in every form met in the field give the same codes; hostile ones give a reason (R-A8)."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from datetime import date

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from production.helpers import BOX, CASE, SAMPLE, Row, Tree, code, parsed, texts, tree
from yaosu.codes import NotACode, parse
from yaosu.errors import YaosuError
from yaosu.production.relation import Limits
from yaosu.production.relation.json_stream import JsonStream
from yaosu.production.relation.keys import KeySpace

RAW = SAMPLE.read_bytes()
EXPECTED = texts(parsed(RAW))


def zipped(data: bytes, name: str = "relation.xml", **options: object) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def test_the_public_sample_reads_as_one_case_with_three_cans_and_four_capsules() -> None:
    file = parsed(RAW)
    assert len(file) == 8 and not file.problems and not file.notes
    assert [r[1] for r in EXPECTED].count(1) == 4
    assert EXPECTED[0] == ("80217619000000001003", 3, "", 2)
    assert EXPECTED[2] == ("82062339000000001004", 1, "80217629000000001005", 2)
    part = file.parts[0]
    assert (part.batch_no, str(part.made_on), str(part.expires_on)) == (
        "20260901",
        "2026-09-23",
        "2026-10-23",
    )
    assert part.head.cascade == "1:5:2500" and part.workshop == "一号车间"
    assert file.where(0) == "line 6"


TEXT = RAW.decode()
VARIANTS = {
    "crlf": RAW.replace(b"\n", b"\r\n"),
    "lone cr": RAW.replace(b"\n", b"\r"),
    "bom": b"\xef\xbb\xbf" + RAW,
    "utf-16 le": TEXT.replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16"),
    "utf-16 be without mark": TEXT.replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16-be"),
    "gb18030 declared": TEXT.replace('encoding="utf-8"', 'encoding="GB18030"').encode("gb18030"),
    "gbk declared": TEXT.replace('encoding="utf-8"', 'encoding="gbk"').encode("gb18030"),
    "gb18030 undeclared": TEXT.replace(' encoding="utf-8"', "").encode("gb18030"),
    "gb18030 declared as utf-8": TEXT.encode("gb18030"),
    "no events": RAW.replace(b'<Events Version="3.0">', b"").replace(b"</Events>", b""),
    "no wrapper at all": RAW.replace(b'<Events Version="3.0">', b"")
    .replace(b"</Events>", b"")
    .replace(b'<Event Name="RelationCreate">', b"")
    .replace(b"</Event>", b""),
    "upper case attributes": RAW.replace(b"curCode", b"CURCODE").replace(b"packLayer", b"PackLayer"),
    "lower case attributes": RAW.replace(b"parentCode", b"parentcode").replace(b"batchNo", b"batchno"),
    "upper case elements": RAW.replace(b"<Code ", b"<CODE ")
    .replace(b"<Batch ", b"<BATCH ")
    .replace(b"</Batch>", b"</BATCH>"),
    "namespace prefix": RAW.replace(b"<Code ", b"<r:Code ").replace(
        b"<Document ", b'<Document xmlns:r="urn:x" '
    ),
    "default namespace": RAW.replace(b"<Document ", b'<Document xmlns="urn:x" '),
    "empty parent": RAW.replace(b'packLayer="3" flag', b'packLayer="3" parentCode="" flag'),
    "open and close tags": RAW.replace(b'flag="2"/>', b'flag="2"></Code>'),
    "single quotes": RAW.replace(b'"', b"'"),
    "indented": RAW.replace(b"<Code ", b"\t  <Code "),
    "spaces in codes": RAW.replace(b'curCode="80217619', b'curCode=" 80217619'),
    "character references": RAW.replace(b'curCode="8', b'curCode="&#56;'),
    "one line": RAW.replace(b"\n", b""),
    "zip": zipped(RAW),
    "gzip": gzip.compress(RAW),
    "no final line end": RAW.rstrip(),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_of_the_file_gives_the_same_codes(name: str) -> None:
    file = parsed(VARIANTS[name])
    assert texts(file) == EXPECTED
    assert not file.problems
    assert file.parts[0].workshop == "一号车间"


def test_an_undeclared_chinese_encoding_is_read_and_said() -> None:
    assert dict(parsed(VARIANTS["gb18030 undeclared"]).notes.counts) == {"relation_note_encoding": 1}


def test_unknown_attributes_are_notes_said_once() -> None:
    file = parsed(RAW.replace(b'flag="2"/>', b'flag="2" colour="red"/>'))
    assert texts(file) == EXPECTED
    assert dict(file.notes.counts) == {"relation_note_attribute": 1}


def test_several_relations_and_batches_become_parts() -> None:
    batch = TEXT[TEXT.index("<Batch") : TEXT.index("</Relation>")]
    relation = TEXT[TEXT.index("<Relation") : TEXT.index("</Event>")]
    doubled = TEXT.replace(batch, batch + batch).replace("</Event>", relation + "</Event>", 1)
    file = parsed(doubled.encode())
    assert [(p.start, p.end) for p in file.parts] == [(0, 8), (8, 16), (16, 24)]


def test_gs1_codes_in_any_form_become_their_canonical_text() -> None:
    box = "(01)06901234567892(21)A1"
    xml = Tree(
        [
            Row("0106901234567892" + "21A1", 1, "(01)16901234567899(21)C1"),
            Row("(01)16901234567899(17)261023(10)20260901(21)C1", 2),
        ]
    ).xml()
    file = parsed(xml)
    assert [t[0] for t in texts(file)] == [box, "(01)16901234567899(21)C1"]
    assert texts(file)[0][2] == "(01)16901234567899(21)C1"
    assert not file.problems


def test_a_gs1_code_that_states_another_batch_is_found() -> None:
    file = parsed(Tree([Row("(01)06901234567892(10)OTHER(21)A1", 1)]).xml())
    assert dict(file.problems.counts) == {"relation_code_states_other": 1}


def test_csv_and_json_of_our_own_give_the_same_codes() -> None:
    rows = ["code,level,parent,flag,batch_no,made_on,expires_on"]
    rows += [f"{c},{lv},{p},{f},20260901,2026-09-23,2026-10-23" for c, lv, p, f in EXPECTED]
    chinese = "\n".join(rows).replace(
        "code,level,parent,flag,batch_no,made_on,expires_on",
        "追溯码,级别,上级码,零箱标志,批号,生产日期,有效期至",
    )
    body = {
        "relations": [
            {
                "batch_no": "20260901",
                "made_on": "2026-09-23",
                "expires_on": "2026-10-23",
                "codes": [
                    {"code": c, "level": lv, "parent": p or None, "flag": f} for c, lv, p, f in EXPECTED
                ],
            }
        ]
    }
    for data in (
        "\n".join(rows).encode(),
        "\r\n".join(rows).replace(",", "\t").encode("utf-8-sig"),
        chinese.encode("gb18030"),
        json.dumps(body).encode(),
    ):
        file = parsed(data)
        assert texts(file) == EXPECTED, data[:60]
        assert not file.problems


BOMB = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Document>&b;</Document>'
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE d SYSTEM "file:///etc/passwd"><Document/>'
HOSTILE = {
    "entity bomb": (BOMB, "relation_doctype"),
    "external entity": (EXTERNAL, "relation_doctype"),
    "deep nesting": (b"<Document>" + b"<Event>" * 50, "relation_too_deep"),
    "broken off": (RAW[:-60], "relation_xml_syntax"),
    "wrong root": (b"<html><body/></html>", "relation_root"),
    "movement file": (
        b'<Document><Events><Event Name="SalesWareHouseOut"><DataField/></Event></Events></Document>',
        "relation_is_movement_file",
    ),
    "code outside batch": (
        b'<Document><Relation><Code curCode="1"/></Relation></Document>',
        "relation_misplaced",
    ),
    "nothing": (b"", "relation_empty"),
    "only a frame": (b"<Document/>", "relation_empty"),
    "not text": (bytes(range(128, 256)) * 20, "relation_encoding"),
    "declared otherwise": (RAW.replace(b"utf-8", b"ebcdic-cp-us"), "relation_encoding"),
    "long value": (RAW.replace(b"80217619000000001003", b"8" * 5000), "relation_value_too_long"),
    "csv without columns": (b"a,b,c\n1,2,3\n", "relation_csv_columns"),
    "json without lists": (b'{"relations": 7}', "relation_json_shape"),
    "json broken": (b'{"relations": [', "relation_json_syntax"),
    "zip with path": (zipped(RAW, "../relation.xml"), "archive_path"),
    "zip in zip": (zipped(zipped(RAW)), "archive_nested"),
    "gzip in zip": (zipped(gzip.compress(RAW)), "archive_nested"),
    "damaged zip": (zipped(RAW)[:-30], "archive_unreadable"),
    "damaged gzip": (gzip.compress(RAW)[:-20], "archive_unreadable"),
    "lone PK": (b"PK\x03\x04" + bytes(50), "archive_unreadable"),
    "zip bomb": (zipped(b"<Document>" + b" " * (40 << 20)), "archive_ratio"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_reason(name: str) -> None:
    data, expected = HOSTILE[name]
    with pytest.raises(YaosuError) as refused:
        parsed(data)
    assert refused.value.code == expected
    assert refused.value.entry.next_zh


def test_two_files_in_an_archive_are_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.xml", RAW)
        archive.writestr("b.xml", RAW)
    with pytest.raises(YaosuError, match="exactly one file"):
        parsed(out.getvalue())


@pytest.mark.parametrize(
    ("limits", "what"),
    [(Limits(codes=5), "Code"), (Limits(parts=0), "Batch"), (Limits(prefixes=2), "prefixes")],
)
def test_limits_are_named(limits: Limits, what: str) -> None:
    for data in (RAW, tree(3, 3, 40).xml()):
        with pytest.raises(YaosuError) as refused:
            parsed(data, limits=limits)
        assert refused.value.code == "relation_too_many"
        assert refused.value.params["what"] == what


def test_a_size_limit_counts_what_comes_out_of_an_archive() -> None:
    with pytest.raises(YaosuError) as refused:
        parsed(gzip.compress(bytes(100_000)), limits=Limits(text_bytes=50_000))
    assert refused.value.code == "relation_too_large"


def test_unreadable_values_are_findings_with_their_lines_and_the_rest_is_read() -> None:
    rows = tree(1, 1, 3)
    rows.rows[2].code = "6921234567894"
    rows.rows[3].layer = 12
    rows.rows[4].parent = "not-a-code"
    rows.rows[4].flag = 7
    file = parsed(rows.xml())
    assert len(file) == 4
    where = {f.code: f.where for f in file.problems}
    assert where["relation_layer_unreadable"] == "line 9"
    assert where["relation_parent_unreadable"] == where["relation_flag_unreadable"] == "line 10"
    assert set(where) - {
        "relation_layer_unreadable",
        "relation_parent_unreadable",
        "relation_flag_unreadable",
    }


def _odd(rng: random.Random, line: str) -> str:
    """One of the things that may stand between ordinary lines."""
    return rng.choice(
        [
            f"<!-- {line} -->",
            line.replace("curCode", "CURCODE"),
            line.replace("/>", " />"),
            line.replace('"', "'"),
            f"\n\n  {line}\r\n",
            line.replace("flag=", 'x="1" flag='),
            line.replace(' flag="0"', ""),
            "<![CDATA[<Code curCode='82062330000000009999' packLayer='1'/>]]>",
            "<?pi <Code?>",
        ]
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_fast_lane_reads_exactly_what_the_xml_parser_reads(seed: int) -> None:
    rng = random.Random(seed)
    lines = tree(4, 6, 40).xml(rng.choice(["\n", "\r\n"])).decode().splitlines(keepends=True)
    for n in range(6, len(lines) - 6):
        if rng.random() < rng.choice([0.0, 0.01, 0.3]):
            lines[n] = _odd(rng, lines[n].rstrip()) + "\n"
    data = "".join(lines).encode()
    fast, slow = parsed(data), parsed(data, fast=False)
    assert texts(fast) == texts(slow)
    assert fast.line.tolist() == slow.line.tolist()
    assert fast.notes.counts == slow.notes.counts


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
def test_a_fault_behind_thousands_of_good_lines_is_named_with_its_line(at: float) -> None:
    lines = tree(10, 10, 100).xml().split(b"\n")
    n = int(len(lines) * at)
    lines[n] = lines[n].replace(b"<Code", b"<Code <")
    with pytest.raises(YaosuError) as refused:
        parsed(b"\n".join(lines))
    assert refused.value.code == "relation_xml_syntax"
    assert refused.value.params["line"] == n + 1


def test_codes_hidden_in_an_attribute_value_are_no_codes() -> None:
    lines = tree(1, 1, 200).xml().split(b"\n")
    lines[6] = b'<Code curCode="82062330000000099999" packLayer="1" flag="'
    with pytest.raises(YaosuError) as refused:
        parsed(b"\n".join(lines))
    assert refused.value.code == "relation_xml_syntax"


def test_control_characters_in_a_batch_are_a_finding_and_never_reach_the_database() -> None:
    rows = (
        "code,level,batch_no,made_on,expires_on,workshop,x\x00y\n"
        + f"{EXPECTED[0][0]},1,B\x001,2026-09-23,2026-10-23,\x07,"
    )
    file = parsed(rows.encode())
    assert dict(file.problems.counts) == {"relation_text_unclean": 2}
    assert all("\x00" not in str(f.as_json()) for f in (*file.problems, *file.notes))


def test_one_code_two_hundred_thousand_times_is_read() -> None:
    rows = [Row("82062330000000000001", 1, "80217620000000000001")] * 200_000
    file = parsed(Tree(rows).xml())
    assert len(file) == 200_000


_SERIAL = st.text("AZaz09+._/:;=*%&!?,-<>()\"'~^[]{}\\ ", min_size=1, max_size=21)


@given(st.lists(_SERIAL, min_size=1, max_size=6))
def test_the_short_way_for_gs1_codes_reads_exactly_what_the_parser_reads(serials: list[str]) -> None:
    space = KeySpace()
    for serial in ("first", *serials):
        raw = f"(01)06901234567892(21){serial}"
        found, expected = space.key(raw), parse(raw)
        if isinstance(expected, NotACode):
            assert isinstance(found, NotACode) and found.code == expected.code
        else:
            assert not isinstance(found, NotACode) and space.text(found[0]) == expected.text
            assert space.parent_key(raw) == space.parent_key(raw) == found[0]


_SCANNED = st.text("1071230A9a", min_size=1, max_size=21)


@given(st.lists(_SCANNED, min_size=1, max_size=6))
@example(["5102607125", "1726071A", "9910", "9910B", "17260700", "11260732", "1199"])
def test_the_short_way_for_scanned_gs1_codes_reads_and_notes_exactly_what_the_parser_does(
    serials: list[str],
) -> None:
    space = KeySpace()
    for serial in ("first", *serials):
        raw = f"010690123456789221{serial}"
        found, expected = space.key(raw), parse(raw)
        if isinstance(expected, NotACode):
            assert isinstance(found, NotACode) and found.code == expected.code
            continue
        assert not isinstance(found, NotACode) and space.text(found[0]) == expected.text
        said = expected if found[1] is None else found[1]
        assert said == expected
        if found[1] is None:
            assert not expected.notes and (expected.batch, expected.expiry, expected.produced) == (
                None,
                None,
                None,
            )


def test_codes_go_to_the_database_in_the_order_of_its_index_whatever_their_family() -> None:
    space = KeySpace()
    raws = [f"(01)06901234567892(21){s}" for s in ("b", "B", "a1", "Z")] + [code(BOX, n) for n in (7, 3)]
    keys = np.array(
        [found[0] for raw in raws if not isinstance(found := space.key(raw), NotACode)], np.uint64
    )
    in_order = [space.text(int(keys[i])) for i in space.order(keys)]
    assert in_order == [code(BOX, 3), code(BOX, 7)] + [
        f"(01)06901234567892(21){s}" for s in ("B", "Z", "a1", "b")
    ]


_WORDS = st.text('ab}{][",:\\ \n甲', max_size=8)
_ENTRY = st.fixed_dictionaries(
    {"code": st.one_of(_WORDS, st.integers(0, 9)), "level": st.integers(0, 3)}, optional={"parent": _WORDS}
)


@given(
    st.lists(st.lists(st.one_of(_ENTRY, st.integers()), max_size=12), min_size=1, max_size=3),
    st.sampled_from([None, 1]),
)
def test_a_json_file_read_in_blocks_says_what_it_says_as_a_whole(
    relations: list[list[object]], indent: int | None
) -> None:
    body = {
        "note": {"a": [1, "}"]},
        "relations": [{"batch_no": "}]甲", "codes": codes} for codes in relations],
    }
    data = json.dumps(body, ensure_ascii=False, indent=indent).encode()
    whole, small = parsed(data), parsed(data, limits=Limits(json_bytes=1))
    assert texts(whole) == texts(small)
    for one, other in ((whole.problems, small.problems), (whole.notes, small.notes)):
        assert [f.as_json() for f in one.kept] == [f.as_json() for f in other.kept]


@given(st.lists(_ENTRY, max_size=30), st.integers(1, 70))
def test_entries_come_in_blocks_of_any_cut(entries: list[dict[str, object]], chunk: int) -> None:
    data = json.dumps(entries, ensure_ascii=False).encode() + b" "
    stream = JsonStream(data[i : i + chunk] for i in range(0, len(data), chunk))
    assert [e for block in stream.entries() for e in block] == entries
    assert stream.peek() == b""


STREAMED = {
    "broken off": (b'{"relations": [{"batch_no": "1", "codes": [{"code": "1"},', "relation_json_syntax"),
    "no list": (b'{"other": 7}', "relation_json_shape"),
    "no codes": (b'{"relations": [{"batch_no": "1"}]}', "relation_json_shape"),
    "batch behind its codes": (b'{"relations": [{"codes": [], "batch_no": "1"}]}', "relation_json_order"),
    "codes twice": (b'{"relations": [{"codes": [],\n "codes": []}]}', "relation_json_order"),
    "two documents": (b'{"relations": []} {}', "relation_json_syntax"),
    "deep": (b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "relation_json_syntax"),
    "endless text": (b'{"relations": [{"codes": ["' + b"}" * 200_000 + b'"]}]}', "relation_json_syntax"),
    "a comma too many": (b'{"relations": [{"codes": [{"code": "1"},]}]}', "relation_json_syntax"),
}


@pytest.mark.parametrize("name", list(STREAMED))
def test_a_large_json_file_that_is_none_is_refused_with_its_line(name: str) -> None:
    data, expected = STREAMED[name]
    with pytest.raises(YaosuError) as refused:
        parsed(b"\n\n" + data, limits=Limits(json_bytes=1))
    assert refused.value.code == expected
    assert expected == "relation_json_shape" or int(str(refused.value.params["line"])) >= 3


SAMPLE_TEXT = RAW.decode()
WRITTEN = {
    "attributes with a prefix": SAMPLE_TEXT.replace("curCode=", "n:curCode=").replace(
        "<Document ", '<Document xmlns:n="u" '
    ),
    "blank lines before the declaration": "\r\n \n" + SAMPLE_TEXT,
    "^Z behind the end": SAMPLE_TEXT + "\x1a",
    "zeros behind the end": SAMPLE_TEXT + "\0\0\0",
    "levels as decimals": SAMPLE_TEXT.replace('packLayer="3"', 'packLayer="3.0"'),
    "full width": SAMPLE_TEXT.replace('packLayer="1"', 'packLayer="１"')
    .replace('flag="2"', 'flag="２"')
    .replace(
        code(CASE, 9_000_000_001_003),
        code(CASE, 9_000_000_001_003).translate({48 + i: 0xFF10 + i for i in range(10)}),
    ),
    "dates of a program that writes times": SAMPLE_TEXT.replace("2026-09-23", "2026/9/23 0:00:00"),
    "dates in full width": SAMPLE_TEXT.replace("2026-09-23", "２０２６－０９－２３"),
    "dates with a zone": SAMPLE_TEXT.replace("2026-09-23", "2026-09-23T00:00:00.000+08:00"),
    "declared GBK, saved as UTF-8": SAMPLE_TEXT.replace('"utf-8"', '"GBK"'),
}


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", list(WRITTEN))
def test_a_file_as_other_software_writes_it_gives_the_same_codes(name: str, fast: bool) -> None:
    file = parsed(WRITTEN[name].encode(), fast=fast)
    assert texts(file) == EXPECTED and not file.problems
    assert (file.parts[0].made_on, file.parts[0].workshop) == (date(2026, 9, 23), "一号车间")


def test_a_fault_behind_blank_lines_is_named_with_its_line() -> None:
    with pytest.raises(YaosuError) as refused:
        parsed(b"\n\n" + RAW[:-60])
    whole = RAW[:-60].count(b"\n") + 3
    assert refused.value.params["line"] == whole


def test_rows_of_spreadsheet_software_may_end_in_empty_cells() -> None:
    rows = [
        "code,level,batch_no,made_on,expires_on",
        f"{code(CASE, 1)},3.0,B,2026-09-01,2028-09-01,,,",
        f"{code(CASE, 2)},3,B,2026-09-01,2028-09-01,,x",
    ]
    file = parsed("\n".join([*rows, "\x1a"]).encode())
    assert [t[0] for t in texts(file)] == [code(CASE, 1)]
    assert dict(file.problems.counts) == {"relation_csv_width": 1}


def test_a_workbook_is_told_what_to_be_saved_as() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(YaosuError) as refused:
        parsed(out.getvalue())
    assert refused.value.code == "relation_is_workbook"
