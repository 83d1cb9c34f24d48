"""What platforms answer and what it means; headers of gateways; settings that are missing (R-C7)."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from exchange.yibao.desk import ACCOUNT, BUREAU_KEY, OWN_PUBLIC, SECRET, SECRETS
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.yibao.answers import doubts, judged, records
from yaosu.exchange.yibao.channel import gateway_headers, opened
from yaosu.exchange.yibao.settings import ready
from yaosu.insurance import envelope
from yaosu.insurance.envelope import Answer, Keys
from yaosu.insurance.profiles import Profile, profile
from yaosu.notify import http
from yaosu.registry import lists

COMMON = Profile()
LINK = Link(1, 9, "yibao", "national", "医保", "http://x", ACCOUNT, SECRETS)
ENTRIES: list[dict[str, Any]] = [
    {"drug": 7, "fields": {"fixmedins_bchno": f"Y1-{n}", "drugtracinfo": [{"drug_trac_codg": f"8{n}"}]}}
    for n in (1, 2)
]


def said(**more: Any) -> Answer:
    values: dict[str, Any] = {
        "infcode": "0", "err_msg": "", "warn_msg": "", "refmsgid": "M1", "output": {}, "ok": None, "message": "",
        "rows": (), **more,
    }  # fmt: skip
    return Answer(**values)


def refusal(bchno: str, text: str) -> dict[str, str]:
    return {"fixmedins_bchno": bchno, "retRslt": "0", "msgRslt": text}


@pytest.mark.parametrize(
    ("answer", "resent", "state", "final", "rows"),
    [
        (said(ok=True, message="成功"), False, "processed", False, {"Y1-1": "done", "Y1-2": "done"}),
        (said(), False, "processed", False, {"Y1-1": "done", "Y1-2": "done"}),
        (
            said(infcode="-1", err_msg="目录不存在"),
            False,
            "failed",
            True,
            {"Y1-1": "refused", "Y1-2": "refused"},
        ),
        (said(infcode="-1", err_msg="系统繁忙"), False, "failed", False, {}),
        (said(infcode="9000", err_msg="签名超时"), False, "pending", False, {}),
        (said(ok=False, message="批号为空"), False, "failed", True, {"Y1-1": "refused", "Y1-2": "refused"}),
        (
            said(ok=False, message="该记录已上传"),
            False,
            "failed",
            True,
            {"Y1-1": "refused", "Y1-2": "refused"},
        ),
        (said(ok=False, message="该记录已上传"), True, "processed", False, {"Y1-1": "done", "Y1-2": "done"}),
        (
            said(rows=(refusal("Y1-2", "批号为空"),)),
            False,
            "partly",
            False,
            {"Y1-1": "done", "Y1-2": "refused"},
        ),
        (said(rows=(refusal("Y1-2", "已存在"),)), True, "processed", False, {"Y1-1": "done", "Y1-2": "done"}),
        (
            said(rows=(refusal("Y1-1", "a"), refusal("Y1-2", "b"))),
            False,
            "failed",
            True,
            {"Y1-1": "refused", "Y1-2": "refused"},
        ),
    ],
)
def test_every_answer_has_one_meaning(
    answer: Answer, resent: bool, state: str, final: bool, rows: dict[str, str]
) -> None:
    outcome, states = judged("3505A", ENTRIES, answer, COMMON, resent=resent)
    assert (outcome.state, outcome.final) == (state, final)
    assert {b: s for b, (s, _) in states.items()} == rows
    told = answer.err_msg or answer.message or (answer.rows[-1]["msgRslt"] if answer.rows else "")
    assert told in outcome.answer or state == "processed"


def test_a_partial_refusal_names_the_codes() -> None:
    outcome, _ = judged("3505A", ENTRIES, said(rows=(refusal("Y1-2", "批号为空"),)), COMMON)
    assert outcome.details is not None
    assert outcome.details["codes"] == {"82": {"code": "refused", "text": "批号为空", "row": "Y1-2"}}


@pytest.mark.parametrize(
    ("rows", "state", "states"),
    [
        # by place, by code, in camelCase, as one object: the row is meant that they mean
        (({"row": 2, "retRslt": 0, "msgRslt": "批号为空"},), "partly", {"Y1-1": "done", "Y1-2": "refused"}),
        (({"drug_trac_codg": "81", "msgRslt": "x"},), "partly", {"Y1-1": "refused", "Y1-2": "done"}),
        (
            ({"drugtracinfo": [{"drug_trac_codg": "82"}], "retRslt": "0"},),
            "partly",
            {"Y1-1": "done", "Y1-2": "refused"},
        ),
        (({"fixmedinsBchno": "Y1-1", "msgRslt": "x"},), "partly", {"Y1-1": "refused", "Y1-2": "done"}),
        (({"fixmedins_bchno": "Y1-1", "retRslt": 1},), "processed", {"Y1-1": "done", "Y1-2": "done"}),
        # nobody knows which one: none counts as taken, a person looks
        (({"msgRslt": "批号为空"},), "failed", {"Y1-1": "refused", "Y1-2": "refused"}),
        (({"fixmedins_bchno": "Z9", "msgRslt": "x"},), "failed", {"Y1-1": "refused", "Y1-2": "refused"}),
        (({"row": 3, "msgRslt": "x"},), "failed", {"Y1-1": "refused", "Y1-2": "refused"}),
        (({"row": "9" * 5000, "msgRslt": "x"},), "failed", {"Y1-1": "refused", "Y1-2": "refused"}),
    ],
)
def test_a_refused_row_is_found_however_it_is_named_and_never_taken_for_a_success(
    rows: tuple[dict[str, Any], ...], state: str, states: dict[str, str]
) -> None:
    outcome, found = judged("3505A", ENTRIES, said(ok=True, rows=rows), COMMON)
    assert (outcome.state, {b: s for b, (s, _) in found.items()}) == (state, states)


def answer_of(body: dict[str, Any], status: int = 200, **more: Any) -> http.Answer:
    import orjson

    raw = orjson.dumps(body)
    return http.Answer(status, raw.decode(), raw, **more)


def test_only_a_signed_yes_counts() -> None:
    usable, wrong = ready(LINK, COMMON)
    assert usable is not None
    assert wrong == []
    theirs = Keys(str(ACCOUNT["app_id"]), SECRET, BUREAU_KEY, OWN_PUBLIC)
    yes = {"infcode": "0", "inf_refmsgid": "1", "err_msg": "", "output": {"result": {"retRslt": "1"}}}
    signed = envelope.seal(yes, theirs, "SM2", "", "output")
    good = opened(answer_of(signed), usable, COMMON)
    assert isinstance(good, Answer)
    assert good.ok
    for forged in (yes, signed | {"err_msg": "x"}, signed | {"output": {"result": {"retRslt": "0"}}}):
        outcome = opened(answer_of(forged), usable, COMMON)
        assert not isinstance(outcome, Answer)
        assert outcome.state == "unknown"
    no = opened(answer_of({"infcode": "-1", "err_msg": "机构未登记"}), usable, COMMON)
    assert not isinstance(no, Answer)
    assert (no.state, no.final) == ("failed", False)
    assert "机构未登记" in no.answer


@pytest.mark.parametrize("enc_type", ["", "SM4"])
@pytest.mark.parametrize("output", [None, {"result": {"retRslt": "0", "msgRslt": "目录未对照"}}])
def test_a_refusal_is_read_whether_its_output_is_encrypted_or_open(
    enc_type: str, output: dict[str, Any] | None
) -> None:
    sealing = replace(COMMON, enc_type="SM4")
    usable, _ = ready(LINK, sealing)
    assert usable is not None
    theirs = Keys(str(ACCOUNT["app_id"]), SECRET, BUREAU_KEY, OWN_PUBLIC)
    no = {"infcode": "-1", "inf_refmsgid": "1", "err_msg": "第1行 目录未对照", "output": output or {}}
    found = opened(answer_of(envelope.seal(no, theirs, "SM2", enc_type, "output")), usable, sealing)
    assert isinstance(found, Answer)
    assert (found.passed, found.err_msg) == (False, "第1行 目录未对照")
    assert found.ok is (None if output is None else False)
    # a yes that was to be encrypted and is not counts for nothing
    yes = no | {"infcode": "0", "output": {"result": {"retRslt": "1"}}}
    open_yes = opened(answer_of(envelope.seal(yes, theirs, "SM2", "", "output")), usable, sealing)
    assert not isinstance(open_yes, Answer)
    assert open_yes.state == "unknown"


@pytest.mark.parametrize("written", ["utf-8-sig", "gb18030"])
def test_an_answer_in_an_older_charset_or_with_a_mark_in_front_is_read(written: str) -> None:
    like = replace(COMMON, signtype="")
    usable, _ = ready(LINK, like)
    assert usable is not None
    text = '{"infcode":0,"err_msg":"","warn_msg":"请核对批号","output":{"result":{"retRslt":"1"}}}'
    found = opened(http.Answer(200, text, text.encode(written)), usable, like)
    assert isinstance(found, Answer)
    assert (found.passed, found.ok, found.warn_msg) == (True, True, "请核对批号")


@pytest.mark.parametrize(
    ("status", "state", "final"), [(408, "pending", False), (429, "pending", False), (503, "pending", False),
                                   (500, "unknown", False),
                                   (502, "unknown", False), (404, "failed", True), (401, "failed", True)],
)  # fmt: skip
def test_what_is_no_answer_of_the_platform(status: int, state: str, final: bool) -> None:
    usable, _ = ready(LINK, COMMON)
    assert usable is not None
    outcome = opened(http.Answer(status, "<html>", b"<html>"), usable, COMMON)
    assert not isinstance(outcome, Answer)
    assert (outcome.state, outcome.final) == (state, final)
    half = opened(http.Answer(200, "{", b'{"infcode":"0"', whole=False), usable, COMMON)
    assert not isinstance(half, Answer)
    assert half.state == "unknown"


def test_the_gateway_s_headers_are_as_published() -> None:
    made = gateway_headers("shop", "token", 1767225600.4, "abc")
    assert made == {
        "x-tif-paasid": "shop",
        "x-tif-timestamp": "1767225600",
        "x-tif-nonce": "abc",
        "x-tif-signature": sha256(b"1767225600tokenabc1767225600").hexdigest(),
    }


@pytest.mark.parametrize("name", ["fixmedins_code", "mdtrtarea_admvs", "opter", "opter_name", "platform_key"])
def test_each_missing_setting_is_named(name: str) -> None:
    _, wrong = ready(replace(LINK, account={k: v for k, v in ACCOUNT.items() if k != name}), COMMON)
    assert name in [f.where for f in wrong]


def test_wrong_keys_are_named_and_not_repeated() -> None:
    secret = {**SECRETS, "private_key": "geheim"}
    _, wrong = ready(replace(LINK, secret=secret), COMMON)
    assert [f.code for f in wrong] == ["yibao_key_unusable"]
    assert "geheim" not in "".join(f.text("zh") + f.text("en") for f in wrong)
    for code, needed in (("fsi", {"paasid", "paas_token"}), ("qingdao", {"secret"}), ("plain", set())):
        bare = replace(LINK, secret={}, account={k: v for k, v in ACCOUNT.items() if k != "paasid"})
        _, missing = ready(bare, profile(lists.delivered(), code))
        assert {f.where for f in missing} == needed, code


def test_records_of_a_query_are_found_wherever_they_stand() -> None:
    one = {"fixmedinsBchno": "Y1-1", "drugTracCodg": "81"}
    for output in (
        {"data": [one]},
        {"output": one},
        {"result": {"data": [one]}},
        one,
        {"data": {"list": [one]}},
    ):
        assert records(output)[0]["fixmedins_bchno"] == "Y1-1"
    assert records({"data": []}) == []


@pytest.mark.parametrize(
    ("answer", "refused", "rows"),
    [
        (said(ok=True, message="成功"), [], {}),
        (said(warn_msg="81：疑似回流药"), [], {"Y1-1": "81：疑似回流药"}),
        (said(warn_msg="第2行 疑似串换；已过期"), [], {"Y1-2": "疑似串换；已过期"}),
        (
            said(warn_msg="第1行 a；第2行 b；第2行 c；另有3处"),
            [],
            {"Y1-1": "a", "Y1-2": "b；c"},
        ),
        # told which row was refused, that is no doubt about one that was taken
        (said(warn_msg="第1行 缺少必填项；第2行 疑似回流药"), ["Y1-1"], {"Y1-2": "疑似回流药"}),
        (said(warn_msg="Y1-2 存疑"), [], {"Y1-2": "Y1-2 存疑"}),
        (said(warn_msg="请核对"), [], {"Y1-1": "请核对", "Y1-2": "请核对"}),
        (said(infcode="-1", err_msg="x", warn_msg="y"), [], {}),
    ],
)
def test_what_was_taken_with_a_doubt_is_said_of_its_row(
    answer: Answer, refused: list[str], rows: dict[str, str]
) -> None:
    assert doubts(ENTRIES, answer, refused) == rows
