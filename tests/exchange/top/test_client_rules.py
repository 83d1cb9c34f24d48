"""What of a bill goes to 码上放心, and what their answers mean: pure rules of the client (R-X9, R-X2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from yaosu.exchange.outbox.model import Link, RoutedBill, RoutedLine
from yaosu.exchange.top.channel import same_address
from yaosu.exchange.top.client import build, fetching, sending, talk
from yaosu.exchange.top.client.families import HOSPITAL, PHARMACY, TRADE, family_of, needs_token
from yaosu.exchange.top.client.identity import AwayError, NotKnownError
from yaosu.exchange.top.signing import good

AT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def line(code: str) -> RoutedLine:
    return RoutedLine(code, 1, 1, "B1", "2026-01-01", "2058-12-31", 1, 1, 2)


def bill(type: int = 102, codes: int = 3, **more: Any) -> RoutedBill:
    values: dict[str, Any] = {
        "id": 1, "owner": 9, "submitter": 9, "bill_no": "N1", "type": type, "kind": "receive", "revision": 1,
        "void": False, "from_org": 4, "to_org": None, "principal": None, "carrier": None, "direct_org": None,
        "happened_at": AT, "recorded_at": AT, "header": {"to_address": "济南"},
        "lines": [line(f"8{n:019d}") for n in range(codes)],
    }  # fmt: skip
    return RoutedBill(**{**values, **more})


def test_a_bill_goes_once_under_its_own_number_in_china_time() -> None:
    (one,) = build.parcels(bill(), PHARMACY, can_delete=False)
    assert one.kind == "upload" and one.body["bill_code"] == "N1"
    assert one.body["bill_time"] == "2026-03-01 10:00:00"
    assert one.body["parties"] == {"from": 4, "to": 9} and one.body["header"] == {"to_address": "济南"}
    assert build.parcels(bill(), PHARMACY, can_delete=False) == [one]


def test_large_bills_are_cut_at_the_platforms_limit_and_nothing_is_left_out() -> None:
    made = build.parcels(bill(321, 8_000, kind="use"), PHARMACY, can_delete=False)
    assert [len(p.body["codes"]) for p in made] == [3_500, 3_500, 1_000]
    assert [p.body["bill_code"] for p in made] == ["N1", "N1-2", "N1-3"]
    assert len({p.key for p in made}) == 3 and {p.lane for p in made} == {"9/N1"}
    assert [c for p in made for c in p.body["codes"]] == [li.code for li in bill(codes=8_000).lines]


def test_bills_the_platform_does_not_have_are_not_owed() -> None:
    assert build.parcels(bill(7, kind="open"), HOSPITAL, can_delete=False) == []
    assert build.parcels(bill(321, kind="use"), TRADE, can_delete=False) == []


def test_a_correction_appends_deletes_or_says_that_it_cannot() -> None:
    first = bill()
    more = replace(first, revision=2, before=first.lines, lines=[*first.lines, line("8" + "9" * 19)])
    (added,) = build.parcels(more, PHARMACY, can_delete=False)
    assert (added.body["bill_code"], added.body["codes"]) == ("N1-R2", ["8" + "9" * 19])
    less = replace(first, revision=2, before=first.lines, lines=first.lines[:1])
    (cannot,) = build.parcels(less, PHARMACY, can_delete=False)
    assert cannot.body["what"] == "cannot_delete"
    assert cannot.body["codes"] == [li.code for li in first.lines[1:]]
    deleted, anew = build.parcels(less, TRADE, can_delete=True)
    assert (deleted.body["what"], deleted.body["bill_code"]) == ("delete", "N1")
    assert (anew.body["bill_code"], len(anew.body["codes"])) == ("N1", 1)
    void = replace(first, revision=2, void=True, before=first.lines, lines=())
    (gone,) = build.parcels(void, TRADE, can_delete=True)
    assert gone.body["what"] == "delete"


def test_a_request_is_signed_as_the_protocol_says() -> None:
    link = Link(1, 9, "top", "", "t", "u", {"app_key": "12345678"}, {"app_secret": "s3cret"})
    from urllib.parse import parse_qsl

    params = dict(
        parse_qsl(talk.request(link, "a.b", {"codes": ["1", "2"], "page": 1, "x": {"k": "值"}}, AT).decode())
    )
    assert params["codes"] == "1,2" and params["timestamp"] == "2026-03-01 10:00:00"
    assert good(["s3cret"], "hmac-sha256", params) and not good(["other"], "hmac-sha256", params)


def say(body: dict[str, Any], *, status: int = 200) -> talk.Said:
    return talk.read(orjson.dumps(body).decode(), status)


@pytest.mark.parametrize(
    ("said", "state", "final"),
    [
        (talk.Said(0, "refused"), "pending", False),
        (talk.Said(-1, "half"), "unknown", False),
        (talk.read('{"a_response": {"model": "x"', 200), "unknown", False),
        (talk.read("", 200), "unknown", False),
        (say({"error_response": {"code": 7, "msg": "App Call Limited"}}), "pending", False),
        (say({"error_response": {"code": 15, "sub_code": "isp.remote-service-timeout"}}), "failed", False),
        (say({"error_response": {"code": 25, "msg": "Invalid signature"}}), "failed", False),
        (say({"error_response": {"code": 29, "msg": "Invalid app Key"}}), "failed", True),
        (
            say({"a_response": {"model": "f1", "response_success": True, "msg_code": "SUCCESS"}}),
            "accepted",
            False,
        ),
        # success beside FAIL is a no (fact of §2.7)
        (
            say({"a_response": {"success": True, "msg_code": "FAIL_BIZ_X", "msg_info": "不行"}}),
            "failed",
            True,
        ),
        (say({"a_response": {"success": False, "msg_info": "该单据号已存在"}}), "accepted", False),
        (say({"response_success": "true", "msg_code": "BILL_ADD_SUCESS"}), "accepted", False),
    ],
)
def test_what_an_upload_was_answered(said: talk.Said, state: str, final: bool) -> None:
    outcome = sending.uploaded(said, "N1")
    assert (outcome.state, outcome.final) == (state, final)
    assert outcome.answer == said.text


def test_lists_are_read_however_they_come() -> None:
    assert list(talk.many({"item": [{"a": 1}, {"a": 2}]})) == [{"a": 1}, {"a": 2}]
    assert list(talk.many({"item": {"a": 1, "b": 2}})) == [{"a": 1, "b": 2}]
    assert list(talk.many({"a": 1, "b": 2})) == [{"a": 1, "b": 2}]
    assert list(talk.many([1])) == [1] and list(talk.many(None)) == []


def test_each_kind_of_organisation_calls_its_own_methods() -> None:
    assert (family_of(4), family_of(3), family_of(2), family_of(1)) == (PHARMACY, HOSPITAL, TRADE, TRADE)
    assert needs_token(TRADE.upstream) and not needs_token(PHARMACY.upstream)


@pytest.mark.parametrize(
    ("entered", "used", "same"),
    [
        ("https://gw.example/router/rest", "https://GW.example/router/rest/", True),
        ("", "https://gw.example/router/rest", False),
        ("", "", False),
        ("https://gw.example/router/rest", "http://gw.example/router/rest", False),
        ("https://gw.example/router/rest", "https://gw.example.evil/router/rest", False),
        ("https://gw.example/router/rest", "https://gw.example:8443/router/rest", False),
    ],
)
def test_only_the_address_the_operator_entered_speaks_for_a_trace_system(
    entered: str, used: str, same: bool
) -> None:
    assert same_address(entered, used) is same


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-01",
        "20260801",
        "2026-08-01 00:00:00",
        "2026/8/1",
        "2026.08.01",
        "Sat Aug 01 00:00:00 CST 2026",
    ],
)
def test_days_are_read_however_the_platform_writes_them(text: str) -> None:
    assert fetching._day(text) == date(2026, 8, 1)


@pytest.mark.parametrize("text", ["", None, "2026-13-01", "20260", "2026-08", "soon", "8/1/2026"])
def test_what_is_no_day_is_said_and_not_guessed(text: str | None) -> None:
    with pytest.raises(NotKnownError, match="日期无法识别"):
        fetching._day(text)


async def test_a_call_that_found_no_turn_left_nothing_behind_and_is_made_later() -> None:
    queued = talk.Said(0, "", code=talk.BUSY)
    assert sending.uploaded(queued, "N1").state == "pending"

    class Nobody:
        async def own(self) -> None:
            raise AwayError(queued)

    delivery: Any = SimpleNamespace(
        body={"what": "retail", "bill_code": "N1", "bill_type": 321}, state="accepted"
    )
    who: Any = Nobody()
    unasked: Any = None
    assert (await sending.send(delivery, PHARMACY, who, unasked)).state == "pending"
