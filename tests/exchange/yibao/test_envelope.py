"""Messages signed and encrypted as published for 医保 interfaces, and what happens when somebody touches them."""

from __future__ import annotations

import base64
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yaosu import gm
from yaosu.edge.pages import CHINA
from yaosu.errors import YaosuError
from yaosu.insurance import envelope
from yaosu.insurance.envelope import Head, Keys

AT = datetime(2026, 3, 1, 9, 30, 5, tzinfo=CHINA)
PRIVATE, PUBLIC = gm.new_keys()
BUREAU, BUREAU_PUBLIC = gm.new_keys()
HEAD = Head("P37020304446", "康民大药房", "370200", opter="001", opter_name="收银员")
OURS = Keys("43AF047BBA47FC8A1AE8EFB232BDBBCB", "4117E877F5FA0A0188891283E4B617D5", PRIVATE, BUREAU_PUBLIC)
THEIRS = Keys(OURS.app_id, OURS.secret, BUREAU, PUBLIC)

# a NUL is refused wherever it is hidden
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


def test_the_signed_text_is_that_of_the_published_example() -> None:
    """The worked example of the national mobile-payment interface (§2.3.1.2), quoted by its integrators."""
    message = {
        "appId": "43AF047BBA47FC8A1AE8EFB232BDBBCB",
        "data": {
            "userName": "测试",
            "phoneNumber": "13763873033",
            "idType": "01",
            "idNo": "350181199011193519",
            "appUserId": "o8z4C5avQXqC0aWFPf1Mzu6D7WCQ_bd",
            "appId": "43AF047BBA47FC8A1AE8EFB232BDBBCB",
            "empty": "",
        },
        "encType": "SM4",
        "signType": "SM2",
        "signData": "not signed itself",
        "timestamp": "20200207175759",
        "transType": "ec.gen.index",
        "version": "1.0.0",
    }
    assert envelope.signed_text(message, "4117E877F5FA0A0188891283E4B617D5") == (
        'appId=43AF047BBA47FC8A1AE8EFB232BDBBCB&data={"appId":"43AF047BBA47FC8A1AE8EFB232BDBBCB",'
        '"appUserId":"o8z4C5avQXqC0aWFPf1Mzu6D7WCQ_bd","idNo":"350181199011193519","idType":"01",'
        '"phoneNumber":"13763873033","userName":"测试"}&encType=SM4&signType=SM2&timestamp=20200207175759'
        "&transType=ec.gen.index&version=1.0.0&key=4117E877F5FA0A0188891283E4B617D5"
    )


def test_blanks_vanish_at_every_depth() -> None:
    message = {
        "b": 2,
        "a": {"y": ["", None, 0, {"k": "值"}], "z": None, "e": {}, "l": [{}]},
        "t": True,
        "n": "",
    }
    assert envelope.signed_text(message, "s") == 'a={"y":[0,{"k":"值"}]}&b=2&t=true&key=s'


def test_the_message_number_has_thirty_characters() -> None:
    number = envelope.msgid("P37020304446", AT, 10_007)
    assert number == "P37020304446202603010930050007"
    assert len(number) == 30


@pytest.mark.parametrize("signtype", ["SM2", "SM3", ""])
@pytest.mark.parametrize("enc_type", ["SM4", ""])
def test_a_sealed_request_opens_at_the_other_side_only_unchanged(signtype: str, enc_type: str) -> None:
    body = {
        "selinfo": {"med_list_codg": "XA02BCA216A001010104475", "sel_retn_cnt": Decimal("2.5"), "memo": ""}
    }
    made = envelope.request(HEAD, "3505", envelope.msgid("P37020304446", AT, 1), AT, body)
    sealed = envelope.seal(made, OURS, signtype, enc_type)
    raw = orjson.dumps(sealed, default=envelope._number)
    assert ("XA02BCA216A001010104475" in raw.decode()) is not bool(enc_type)
    assert envelope.check_head(sealed) == []
    opened = envelope.unseal(envelope.read(raw), THEIRS, signtype, enc_type)
    assert opened["input"]["selinfo"]["sel_retn_cnt"] == 2.5
    if signtype:
        changed = envelope.read(raw) | {"msgid": envelope.msgid("P37020304446", AT, 2)}
        with pytest.raises(YaosuError) as wrong:
            envelope.unseal(changed, THEIRS, signtype, enc_type)
        assert wrong.value.code == "yibao_signature_wrong"


def test_an_unsigned_message_does_not_pass_where_a_signature_was_agreed() -> None:
    made = envelope.request(HEAD, "3505", "1", AT, {"selinfo": {}})
    for message in (
        envelope.seal(made, OURS, ""),
        envelope.seal(made, OURS, "SM3"),
        envelope.seal(made, OURS, "SM2") | {"cainfo": ""},
        envelope.seal(made, OURS, "SM2") | {"cainfo": 7},
    ):
        with pytest.raises(YaosuError) as wrong:
            envelope.unseal(message, THEIRS, "SM2")
        assert wrong.value.code == "yibao_signature_missing"


def test_a_signature_in_the_form_of_bouncy_castle_holds_too() -> None:
    sealed = envelope.seal(envelope.request(HEAD, "3505", "1", AT, {"selinfo": {"memo": "x"}}), OURS, "SM2")
    der = gm.to_der(base64.b64decode(sealed["cainfo"]))
    assert envelope.unseal(sealed | {"cainfo": base64.b64encode(der).decode()}, THEIRS, "SM2")


FOREIGN = (
    '{"infno":"3505","msgid":"1","mdtrtarea_admvs":"370200","recer_sys_code":"X","signtype":"SM2","memo":null,'
    '"opter":"\\u674e","input":{"selinfo":{"sel_retn_cnt":2.00,"finl_trns_pric":12.50,"a/b":"c\\/d","memo":"",'
    '"drugtracinfo":[{"drug_trac_codg":"8","x":null}]}},"cainfo":"%s"}'
)
"""As a program writes that keeps decimals, escapes what it likes and sends its blanks."""
HEAD_TEXT = (
    "infno=3505&input=%s&mdtrtarea_admvs=370200&msgid=1&opter=李&recer_sys_code=X&signtype=SM2&key="
    + OURS.secret
)
WRITINGS = {
    "numbers as written": '{"selinfo":{"a/b":"c/d","drugtracinfo":[{"drug_trac_codg":"8"}],"finl_trns_pric":12.50,'
    '"sel_retn_cnt":2.00}}',
    "as sent": '{"selinfo":{"sel_retn_cnt":2.00,"finl_trns_pric":12.50,"a/b":"c/d","memo":"",'
    '"drugtracinfo":[{"drug_trac_codg":"8","x":null}]}}',
    "sorted with blanks": '{"selinfo":{"a/b":"c/d","drugtracinfo":[{"drug_trac_codg":"8","x":null}],'
    '"finl_trns_pric":12.50,"memo":"","sel_retn_cnt":2.00}}',
    "as sent without blanks": '{"selinfo":{"sel_retn_cnt":2.00,"finl_trns_pric":12.50,"a/b":"c/d",'
    '"drugtracinfo":[{"drug_trac_codg":"8"}]}}',
    "ours": '{"selinfo":{"a/b":"c/d","drugtracinfo":[{"drug_trac_codg":"8"}],"finl_trns_pric":12.5,'
    '"sel_retn_cnt":2.0}}',
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_signature_over_the_same_message_written_otherwise_holds(writing: str) -> None:
    signature = gm.sm2_sign(OURS.private, (HEAD_TEXT % WRITINGS[writing]).encode())
    raw = (FOREIGN % base64.b64encode(signature).decode()).encode()
    opened = envelope.unseal(envelope.read(raw), THEIRS, "SM2", raw=raw)
    assert opened["input"]["selinfo"]["sel_retn_cnt"] == 2
    # one figure changed, and no way of writing fits
    changed = raw.replace(b"12.50", b"12.51")
    with pytest.raises(YaosuError) as wrong:
        envelope.unseal(envelope.read(changed), THEIRS, "SM2", raw=changed)
    assert wrong.value.code == "yibao_signature_wrong"


def test_a_signature_is_read_in_every_packing_met_in_the_field() -> None:
    raw = gm.sm2_sign(OURS.private, b"text")
    for data in (raw, gm.to_der(raw)):
        plain = base64.b64encode(data).decode()
        forms = [
            plain, plain.rstrip("="), plain[:76] + "\r\n" + plain[76:], base64.urlsafe_b64encode(data).decode(),
            data.hex(), data.hex().upper(), f" {data.hex()}\n",
        ]  # fmt: skip
        assert {envelope.signature_of(form) for form in forms} == {raw}
    for nothing in ("", "00", raw.hex()[:-2], raw.hex() + "00", "…", base64.b64encode(raw[:-1]).decode()):
        assert envelope.signature_of(nothing) == b""


def test_a_ciphertext_in_base64_opens_and_hidden_nuls_do_not() -> None:
    made = envelope.seal(envelope.request(HEAD, "3505", "1", AT, {"selinfo": {"memo": "x"}}), OURS, "", "SM4")
    packed = base64.b64encode(bytes.fromhex(made["input"])).decode()
    assert envelope.unseal({**made, "input": packed}, THEIRS, "", "SM4")["input"] == {
        "selinfo": {"memo": "x"}
    }
    hidden = gm.sm4_encrypt(THEIRS.sm4, b'{"feedetail":[{"feedetl_sn":"a\\u0000"}]}').hex()
    with pytest.raises(YaosuError) as wrong:
        envelope.unseal({**made, "input": hidden}, THEIRS, "", "SM4")
    assert wrong.value.code == "yibao_message_invalid"


@pytest.mark.parametrize(
    ("field", "value"),
    [("opter_type", "9"), ("mdtrtarea_admvs", "37020"), ("insuplc_admdvs", "济南"), ("opter", 7)],
)
def test_the_head_is_checked_field_by_field(field: str, value: object) -> None:
    made = envelope.request(HEAD, "3505", "1", AT, {}) | {field: value}
    assert ("yibao_head_form", field) in [(f.code, f.where) for f in envelope.check_head(made)]


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(texts, values, max_size=4))
def test_every_body_survives_the_way_there(body: dict[str, Any]) -> None:
    sealed = envelope.seal(envelope.request(HEAD, "3503A", "1", AT, body), OURS, "SM3", "SM4")
    opened = envelope.unseal(envelope.read(orjson.dumps(sealed)), THEIRS, "SM3", "SM4")
    assert opened["input"] == (envelope._clean(body) or {})


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"a":' * 20 + b"1" + b"}" * 20, b"[" * 100_000, b"\xff", b"null", b'"x"']
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(YaosuError) as wrong:
        envelope.read(raw)
    assert wrong.value.code == "yibao_message_invalid"


@pytest.mark.parametrize("sealed", ["", "zz", "00", "681edf34d206965e86b3e94f536e4246", 5, None])
def test_a_ciphertext_that_does_not_open_is_refused(sealed: object) -> None:
    with pytest.raises(YaosuError) as wrong:
        envelope.unseal({"input": sealed}, THEIRS, "", "SM4")
    assert wrong.value.code == "yibao_cipher_wrong"


def test_answers_of_single_and_batch_forms_are_read_word_for_word() -> None:
    asked = envelope.request(HEAD, "3505", "1", AT, {})
    one = envelope.answer(envelope.response(asked, AT, {"result": envelope.result(False, "追溯码已上传")}))
    assert (one.passed, one.ok, one.message) == (True, False, "追溯码已上传")
    many = envelope.answer(
        envelope.response(
            asked,
            AT,
            {"purcinfoErrDetail": [{"fixmedins_bchno": "7", "retRslt": "0", "msgRslt": "批号为空"}]},
        )
    )
    assert many.ok is None
    assert many.rows[0]["msgRslt"] == "批号为空"
    refused = envelope.answer({"infcode": 9000, "err_msg": "签名超时"})
    assert (refused.passed, refused.infcode, refused.err_msg) == (False, "9000", "签名超时")
    with pytest.raises(YaosuError):
        envelope.answer({"code": 500})
