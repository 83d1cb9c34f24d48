"""What counterparts answer that no software should: kept as text all the same, so that a person can read it (R-X9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import pytest

from yaosu.exchange.jianguan import wire as jianguan
from yaosu.exchange.outbox.erp import Erp
from yaosu.exchange.outbox.model import Delivery, Link
from yaosu.exchange.xietong import wire as xietong
from yaosu.notify import http


@dataclass
class Odd:
    """Answers every request with the same."""

    answer: http.Answer

    async def post(self, *_: Any, **__: Any) -> http.Answer:
        return self.answer


def says(monkeypatch: pytest.MonkeyPatch, body: bytes, status: int = 200, **heads: str) -> None:
    odd = http.Answer(status, body.decode("utf-8", "replace").replace("\x00", "␀"), body, heads, True)
    monkeypatch.setattr(http, "post", Odd(odd).post)


async def test_a_nul_in_what_a_platform_or_regulator_says_does_not_stop_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    says(monkeypatch, orjson.dumps({"success": False, "msg_code": "a\x00", "msg_info": "b\x00c"}))
    said = await xietong.call("https://x.example", {}, "k" * 64, ())
    assert (said.code, said.info, said.genuine) == ("a␀", "b␀c", False)
    says(monkeypatch, orjson.dumps({"head": {}, "body": {"code": "x", "message": "y\x00"}}))
    assert "\x00" not in (await jianguan.call("https://x.example", "s", "k" * 64, {}, ())).text
    for garbage in (b"", b"\x00\xff", b"<html>", b"[]", b'{"body": 1}', b"null", b"[" * 5000):
        says(monkeypatch, garbage)
        assert not (await xietong.call("https://x.example", {}, "k" * 64, ())).genuine
        answer = await jianguan.call("https://x.example", "s", "k" * 64, {}, ())
        assert not answer.ok and "\x00" not in answer.text


@pytest.mark.parametrize(
    ("status", "state", "final"),
    [(200, "processed", False), (204, "processed", False), (301, "failed", False), (302, "failed", False),
     (404, "failed", False), (410, "failed", True), (500, "failed", False), (429, "pending", False)],
)  # fmt: skip
async def test_what_each_answer_of_a_receiver_means_and_where_a_redirect_points(
    monkeypatch: pytest.MonkeyPatch, status: int, state: str, final: bool
) -> None:
    says(monkeypatch, b"\x00garbage\xff", status, location="https://elsewhere.example/in")
    link = Link(1, 1, "erp", "", "ERP", "https://erp.example/in", {}, {"secret": "s" * 20})
    delivery = Delivery(
        1, 1, "erp", 1, uuid4(), "movement", {"bill": {}}, 1, 1, "k", "l", "pending", "", 0, False
    )
    outcome = await Erp(None, (), "https://trace.example").send(delivery, link)  # type: ignore[arg-type]
    assert (outcome.state, outcome.final, outcome.status) == (state, final, status)
    assert ("https://elsewhere.example/in" in outcome.answer) == (300 <= status < 400)
