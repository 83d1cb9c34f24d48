"""Reading trace codes: what scanners, files and fingers deliver (R-I2, R-X1)."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from yaosu.codes import NotACode, Scheme, TraceCode, is_cn20, parse, parse_canonical, split20

CODE = "83857930000879766660"  # sample of domain/standards.md §2.9
GTIN = "06924561884074"  # its 69 code with 14 digits
GS = "\x1d"
FULL = (f"(01){GTIN}(21)XY7", "A12", date(2026, 12, 31))


def read(raw: str) -> TraceCode:
    code = parse(raw)
    assert isinstance(code, TraceCode), code
    return code


def refused(raw: str) -> NotACode:
    answer = parse(raw)
    assert isinstance(answer, NotACode), answer
    return answer


def test_the_sample_label_reads_as_product_code_and_serial_number() -> None:
    code = read(CODE)
    assert (code.text, code.scheme, code.prefix, code.serial, code.notes) == (
        CODE,
        Scheme.CN20,
        "8385793",
        "0000879766660",
        (),
    )
    assert split20(CODE) == ("8385793", "000087976", "6660")
    assert is_cn20(CODE)
    assert not is_cn20("８" + CODE[1:])


@pytest.mark.parametrize(
    ("raw", "note"),
    [
        ("8385793 0000879766660", "note_spaces_removed"),
        ("8385793\n0000879766660", "note_separators_removed"),
        ("8385793-000087976-6660", "note_separators_removed"),
        ("8385 7930 0008 7976 6660", "note_spaces_removed"),
        ("８３８５７９３００００８７９７６６６６０", "note_full_width"),
        ("8385793\u200b0000879766660", "note_invisible_removed"),
        ("'83857930000879766660", "note_spreadsheet_wrapping"),
        ('="83857930000879766660"', "note_spreadsheet_wrapping"),
        ('"83857930000879766660"', "note_spreadsheet_wrapping"),
        ("83857930000879766660.0", "note_spreadsheet_wrapping"),
        ("药品标识码：8385793 序列号：0000879766660", "note_label_words"),
        ("药品追溯码：83857930000879766660", "note_label_words"),
        ("https://www.example.com/t?code=83857930000879766660", "note_from_url"),
        ("HTTP://T.EXAMPLE.CN/83857930000879766660", "note_from_url"),
        ("www.example.com/q/83857930000879766660", "note_from_url"),
        ("]C183857930000879766660", "note_symbol_says_gs1"),
    ],
)
def test_a_repaired_20_digit_code_says_what_was_repaired(raw: str, note: str) -> None:
    code = read(raw)
    assert code.text == CODE
    assert note in code.notes


@pytest.mark.parametrize(
    "raw", [f"{CODE}\r\n", f"\ufeff{CODE}", f"\x02{CODE}\x03", f"  {CODE}\t", f"]C0{CODE}"]
)
def test_what_frames_a_code_is_taken_off_without_changing_it(raw: str) -> None:
    assert read(raw).text == CODE


@pytest.mark.parametrize(
    "raw",
    [
        f"]d201{GTIN}1726123110A12{GS}21XY7",
        f"]C101{GTIN}21XY7{GS}1726123110A12",
        f"]Q310A12{GS}01{GTIN}21XY7{GS}17261231",
        f"]e01726123101{GTIN}21XY7{GS}10A12",
        f"]d2{GS}01{GTIN}21XY7{GS}10A12{GS}17261231{GS}",
        f"01{GTIN}1726123110A12{GS}21XY7",
        f"{GS}01{GTIN}1726123110A12{GS}21XY7\r\n",
        f"1726123101{GTIN}10A12{GS}21XY7",
        f"(01){GTIN}(17)261231(10)A12(21)XY7",
        f"(01) {GTIN} (17) 261231 (10) A12 (21) XY7",
        f"（01）{GTIN}（17）261231（10）A12（21）XY7",
        f"【01】{GTIN}【17】261231【10】A12【21】XY7",
        f"[01]{GTIN}[17]261231[10]A12[21]XY7",
        "(01)6924561884074(17)261231(10)A12(21)XY7",
        f"01{GTIN}1726123110A12<GS>21XY7",
        f"01{GTIN}1726123110A12{{GS}}21XY7",
        f"01{GTIN}1726123110A12^]21XY7",
        f"01{GTIN}1726123110A12~121XY7",
        f"01{GTIN}1726123110A12\\x1d21XY7",
        f"01{GTIN}1726123110A12\u241d21XY7",
        f"[)>\x1e05{GS}01{GTIN}{GS}17261231{GS}10A12{GS}21XY7\x1e\x04",
        f"https://id.example.com/01/{GTIN}/10/A12/21/XY7?17=261231",
        f"http://x.cn/some/path/01/{GTIN}/22/2A/10/A12/21/XY7?17=261231&linkType=gs1:pip",
        f"https://id.example.com/gtin/{GTIN}/lot/A12/ser/XY7?exp=261231",
        "https://id.example.com/01/6924561884074/10/A12/21/%58Y7/?17=261231",
        f"]Q1https://id.example.com/01/{GTIN}/10/A12/21/XY7?17=261231",
        f"https://q.example.cn/?c=(01){GTIN}(17)261231(10)A12(21)XY7",
    ],
)
def test_every_gs1_carrier_of_one_box_reads_as_the_same_code(raw: str) -> None:
    code = read(raw)
    assert (code.text, code.batch, code.expiry) == FULL
    assert (code.scheme, code.prefix, code.serial) == (Scheme.GS1, GTIN, "XY7")


def test_day_00_is_the_last_day_of_the_month() -> None:
    assert read(f"(01){GTIN}(21)S(17)280200").expiry == date(2028, 2, 29)
    assert read(f"(01){GTIN}(21)S(11)270200").produced == date(2027, 2, 28)


def test_a_percent_encoded_serial_is_decoded_once() -> None:
    assert read(f"https://id.example.com/01/{GTIN}/21/a%2Fb%2525").serial == "a/b%25"


@pytest.mark.parametrize("raw", ["(00)123456789012345675", "]C100123456789012345675", "00123456789012345675"])
def test_an_sscc_is_a_container_code(raw: str) -> None:
    code = read(raw)
    assert (code.text, code.scheme) == ("(00)123456789012345675", Scheme.SSCC)
    assert code.prefix == "sscc:123456789012345675"


def test_an_sscc_in_a_digital_link_is_read() -> None:
    assert read("https://x.example/00/123456789012345675").text == "(00)123456789012345675"


def test_a_logistics_label_with_content_reads_as_its_sscc() -> None:
    assert read(f"]C10012345678901234567502{GTIN}37120").text == "(00)123456789012345675"


def test_twenty_digits_are_read_in_the_documented_order() -> None:
    assert read("00123456789012345675").scheme is Scheme.SSCC
    wrong_sscc = read("00123456789012345674")
    assert wrong_sscc.scheme is Scheme.CN20
    assert "note_leading_zero" in wrong_sscc.notes
    assert read(f"01{GTIN}2177").text == f"(01){GTIN}(21)77"
    assert read("01069245618840732177").scheme is Scheme.CN20
    assert read("99999999999999999999").scheme is Scheme.CN20


def test_a_code_that_a_spreadsheet_may_have_rounded_is_noted() -> None:
    assert read("83857930000879700000").notes == ("note_maybe_rounded",)


class TestLostSeparator:
    def test_the_only_possible_reading_is_taken_and_noted(self) -> None:
        code = read(f"01{GTIN}1726123110A1221XY7")
        assert (code.text, code.batch, code.expiry) == FULL
        assert code.notes == ("note_separator_lost",)

    def test_two_possible_readings_are_named_and_none_is_taken(self) -> None:
        answer = refused(f"]d201{GTIN}1726123110A21B21XY7")
        assert answer.code == "code_gs1_separator_lost"
        assert f"(01){GTIN}(17)261231(10)A(21)B21XY7" in answer.params["readings"]
        assert f"(01){GTIN}(17)261231(10)A21B(21)XY7" in answer.params["readings"]

    def test_a_serial_that_hides_a_whole_expiry_and_batch_is_refused(self) -> None:
        answer = refused(f"01{GTIN}21SER11726123110B7")
        assert answer.code == "code_gs1_separator_lost"
        assert answer.params["count"] == "2"

    def test_an_over_long_serial_is_split_where_only_one_place_fits(self) -> None:
        code = read(f"01{GTIN}21ABCDEFGHIJKLMN1726123110BATCH77")
        assert (code.serial, code.batch, code.expiry) == ("ABCDEFGHIJKLMN", "BATCH77", date(2026, 12, 31))

    def test_a_serial_at_the_end_that_happens_to_contain_an_identifier_is_kept_whole_with_a_note(
        self,
    ) -> None:
        code = read(f"01{GTIN}17261231214441055")
        assert code.serial == "4441055"
        assert code.notes == ("note_separator_maybe_lost",)

    def test_a_serial_without_such_digits_is_read_without_a_note(self) -> None:
        assert read(f"01{GTIN}1726123121ABCDEF").notes == ()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "code_empty"),
        (" \r\n\u200b", "code_empty"),
        ("]d2", "code_empty"),
        ("6924561884074", "code_is_retail_barcode"),
        ("６９２４５６１８８４０７４", "code_is_retail_barcode"),
        ("]E06924561884074", "code_is_retail_barcode"),
        ("6924561884075", "code_retail_barcode_check"),
        ("4006381333931", "code_is_foreign_barcode"),
        ("96385074", "code_is_ean8"),
        (GTIN, "code_is_gtin14"),
        ("06924561884075", "gtin_check_digit"),
        ("86904879000126", "code_is_national_drug_code"),
        ("8385793", "code_is_product_code"),
        ("04879001203", "code_is_cndc"),
        ("53640000MJX173680A", "code_is_uscc"),
        ("91440300708461136t", "code_is_uscc"),
        ("XA02BCA216A001010104475", "code_is_yibao"),
        ("ZA01BAC0182010100280", "code_is_yibao"),
        ("国药准字Z45021428", "code_is_approval_number"),
        ("11010519491231002X", "code_is_identity_card"),
        ("123456789012345675", "code_sscc_without_ai"),
        ("8385793000087976666", "code_digits_missing"),
        ("838579300008797666600", "code_digits_extra"),
        ("12345", "code_digit_count"),
        ("8.38579E+19", "code_scientific_notation"),
        ("8.38579300008797E19", "code_scientific_notation"),
        (CODE + CODE, "code_several_codes"),
        (f"{CODE},{CODE}", "code_several_codes"),
        (f"{CODE}\n81773220288616423835", "code_several_codes"),
        ("8385793O000879766660", "code_letters_in_digits"),
        ("(00)123456789012345674", "sscc_check_digit"),
        ("(01)06924561884075(21)A", "gtin_check_digit"),
        (f"(01){GTIN}", "code_gs1_no_serial"),
        (f"(01){GTIN}(17)261231", "code_gs1_no_serial"),
        ("(21)ABC", "code_gs1_no_gtin"),
        ("(17)261231", "code_gs1_no_key"),
        (f"(01){GTIN}(21)A(17)261331", "code_gs1_date"),
        (f"(01){GTIN}(21)A(17)260231", "code_gs1_date"),
        (f"(01){GTIN}(21)A#B", "code_gs1_characters"),
        (f"(01){GTIN}(21)药", "code_gs1_characters"),
        (f"(01){GTIN}(21)A(21)B", "code_gs1_ai_repeated"),
        (f"(01){GTIN}(05)A(21)B", "code_gs1_unknown_ai"),
        (f"]d201{GTIN}21A{GS}05X", "code_gs1_unknown_ai"),
        (f"(01){GTIN}(21)ABCDEFGHIJKLMNOPQRSTU", "code_gs1_length"),
        (f"(01){GTIN}(21)A(17)26123A", "code_gs1_not_numeric"),
        (f"(01){GTIN}(00)123456789012345675(21)A", "code_ambiguous"),
        (f"]d101{GTIN}21A", "code_symbol_without_fnc1"),
        (f"]C001{GTIN}21A", "code_symbol_without_fnc1"),
        (f"]d201{GTIN}21A(10)B", "code_gs1_serial_brackets"),
        (f"[)>\x1e06{GS}9N110375286414{GS}1TABC\x1e\x04", "code_other_data_format"),
        ("https://weixin.qq.com/r/abc", "code_url_without_code"),
        (f"https://x.example/01/{GTIN}", "code_gs1_no_serial"),
        (f"https://x.example/01/{GTIN}/21", "code_link_path"),
        (f"https://x.example/01/{GTIN}/77/A/21/B", "code_link_path"),
        (f"https://x.example/01/{GTIN}/21/B?05=1", "code_gs1_unknown_ai"),
        (f"https://x.example/?a={CODE}&b=81773220288616423835", "code_ambiguous"),
        (f"HTTPS://ID.EXAMPLE.COM/01/{GTIN}/21/abc", "code_case_uncertain"),
        ("阿莫西林胶囊", "code_unknown_characters"),
        ("hello", "code_unknown"),
        ("x" * 5000, "code_too_long"),
    ],
)
def test_what_is_no_trace_code_is_called_by_its_name(raw: str, code: str) -> None:
    answer = refused(raw)
    assert answer.code == code
    if code != "code_is_identity_card":
        assert answer.raw == raw[: len(answer.raw)]


def test_an_identity_card_number_is_not_repeated_in_the_answer() -> None:
    answer = refused("11010519491231002X")
    assert "11010519491231" not in repr(answer)


def test_lost_and_doubled_digits_are_counted() -> None:
    assert refused(CODE[:-1]).params == {"count": "19", "difference": "1"}
    assert refused(CODE + "0").params == {"count": "21", "difference": "1"}


def test_letters_in_a_digit_code_are_located() -> None:
    answer = refused("8385793O00087976666l")
    assert answer.params == {"positions": "8, 20", "letters": "O, l", "meant": "83857930000879766661"}


def test_two_codes_in_one_capture_are_both_named() -> None:
    answer = refused(f"{CODE}81773220288616423835")
    assert answer.params == {"count": "2", "first": CODE, "second": "81773220288616423835"}


class TestKeyboardLayout:
    SHIFTED = str.maketrans("1234567890", "!@#$%^&*()")
    AZERTY = str.maketrans("1234567890", "&é\"'(-è_çà")

    @pytest.mark.parametrize("table", [SHIFTED, AZERTY])
    def test_digits_typed_through_a_wrong_row_are_restored_with_a_note(self, table: dict[int, str]) -> None:
        code = read(CODE.translate(table))
        assert code.text == CODE
        assert "note_keyboard_layout" in code.notes

    def test_shifted_digits_under_a_chinese_input_method_are_restored(self) -> None:
        shifted = CODE.translate(self.SHIFTED)
        wide = shifted.replace("^", "……").replace("$", "￥").replace("(", "（").replace(")", "）")
        code = read(wide.replace("!", "！"))
        assert code.text == CODE
        assert set(code.notes) == {"note_full_width", "note_keyboard_layout"}

    def test_an_azerty_reading_of_a_gs1_symbol_is_restored(self) -> None:
        us_to_azerty = str.maketrans("]d1234567890AQ", "$d&é\"'(-è_çàQA")
        code = read(f"]d201{GTIN}21AQ7".translate(us_to_azerty))
        assert code.text == f"(01){GTIN}(21)AQ7"

    def test_a_german_layout_in_a_digital_link_is_restored(self) -> None:
        code = read(f"httpsÖ--id.example.com-01-{GTIN}-21-ABZ")
        assert code.text == f"(01){GTIN}(21)ABY"
        assert "note_keyboard_layout" in code.notes

    def test_symbols_that_fit_two_layouts_are_not_guessed(self) -> None:
        assert refused("&(" * 10).code == "code_ambiguous"

    def test_caps_lock_shows_in_the_scanner_prefix_and_is_undone(self) -> None:
        code = read(f"]D201{GTIN}21aBc7")
        assert code.serial == "AbC7"
        assert "note_case_swapped" in code.notes

    def test_an_address_in_capitals_is_read_with_a_note(self) -> None:
        assert read(f"HTTPS://ID.EXAMPLE.COM/01/{GTIN}/21/ABC").notes == ("note_upper_case_url",)


def test_every_code_of_the_real_relation_file_reads_clean(relation_codes: list[str]) -> None:
    codes = [read(text) for text in relation_codes]
    assert len({code.text for code in codes}) == 8
    assert {code.prefix for code in codes} == {"8021761", "8021762", "8206233"}
    assert all(code.notes == () for code in codes)


@pytest.fixture
def relation_codes() -> list[str]:
    """Codes of a public sample of the 关联关系 XML 3.0: one case, three cans, four capsules."""
    text = (Path(__file__).parent / "data" / "relation_1case_3cans.xml").read_text("utf-8")
    return re.findall(r'curCode="([^"]*)"', text)


class TestCanonical:
    @pytest.mark.parametrize(
        "text",
        [CODE, f"(01){GTIN}(21)a(b/c", "(00)123456789012345675", "acme:AB-12", f"(01){GTIN}(21)" + "9" * 20],
    )
    def test_a_canonical_text_reads_back_as_itself(self, text: str) -> None:
        code = parse_canonical(text)
        assert isinstance(code, TraceCode)
        assert code.text == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            CODE + " ",
            f"(01){GTIN}",
            f"(01){GTIN}(21)",
            f"(01){GTIN}(21)A{GS}10B",
            f"(01){GTIN}(21)A(10)B",
            "(00)123456789012345674",
            "http://x.example/1",
            "sscc:123",
            "ACME:1",
            "acme:",
            "acme:" + "1" * 100,
            f"(21)A(01){GTIN}",
        ],
    )
    def test_anything_else_is_refused_without_repair(self, text: str) -> None:
        assert isinstance(parse_canonical(text), NotACode)
