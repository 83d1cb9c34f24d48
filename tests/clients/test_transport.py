"""What the client does with answers of every kind, and that its two forms are one (R-I1)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import runpy
from pathlib import Path

import httpx
import pytest

from yaosu_client import (
    SALE,
    AsyncYaosu,
    Movement,
    NotReachedError,
    RefusedError,
    WebhookError,
    Yaosu,
    calls,
    read_webhook,
)

PACKAGE = Path(__file__).parents[2] / "clients" / "python"


class Server:
    """Answers in order; the last one again and again."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []

    async def rest(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(calls, "sleep", waited.append)
    monkeypatch.setattr(calls, "rest", rest)
    return waited


def client(server: Server) -> Yaosu:
    return Yaosu("https://trace.example/", "yk_x", transport=httpx.MockTransport(server))


def answer(status: int, body: object = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body if body is not None else {}, headers=headers)


STOCK = {"items": [{"qty": 1}]}


def test_the_synchronous_client_is_the_asynchronous_one_without_waiting() -> None:
    made = runpy.run_path(str(PACKAGE / "generate_sync.py"))
    source = (PACKAGE / "src" / "yaosu_client" / "aio.py").read_text("utf-8")
    target = (PACKAGE / "src" / "yaosu_client" / "sync.py").read_text("utf-8")
    assert made["synchronous"](source) == target


@pytest.mark.parametrize("broken", [429, 502, 503, 504])
def test_what_may_be_repeated_is_sent_again_until_it_is_answered(broken: int, pauses: list[float]) -> None:
    server = Server(answer(broken), httpx.ReadTimeout("slow"), answer(200, STOCK))
    with client(server) as yaosu:
        assert yaosu.stock() == STOCK["items"]
    assert server.asked == 3 and pauses == [0.3, 1.0]

    async def same() -> None:
        again = Server(answer(broken), httpx.ReadTimeout("slow"), answer(200, STOCK))
        async with AsyncYaosu("https://x.example", "k", transport=httpx.MockTransport(again)) as yaosu:
            assert await yaosu.stock() == STOCK["items"]
        assert again.asked == 3

    asyncio.run(same())


@pytest.mark.parametrize(
    "broken",
    [answer(502), answer(504), answer(503, {"code": "database_away"}), httpx.ReadTimeout("slow")],
)
def test_taking_a_bill_back_is_not_sent_twice_when_it_may_have_happened(
    broken: httpx.Response | Exception,
) -> None:
    server = Server(broken)
    with client(server) as yaosu, pytest.raises(NotReachedError):
        yaosu.void(7, "mistake")
    assert server.asked == 1


@pytest.mark.parametrize("broken", [answer(429), answer(503), httpx.ConnectError("no route")])
def test_taking_a_bill_back_is_sent_again_when_nothing_was_begun(broken: httpx.Response | Exception) -> None:
    server = Server(broken, answer(422, {"code": "later_fact", "message": "moved on"}))
    with client(server) as yaosu, pytest.raises(RefusedError) as refused:
        yaosu.void(7, "mistake")
    assert server.asked == 2 and refused.value.code == "later_fact"


def test_a_server_that_names_a_time_is_believed_within_reason(pauses: list[float]) -> None:
    server = Server(answer(429, **{"retry-after": "7"}), answer(200, STOCK))
    with client(server) as yaosu:
        assert yaosu.stock()
    assert pauses == [7.0]
    with client(Server(answer(503, **{"retry-after": "86400"}))) as yaosu, pytest.raises(NotReachedError):
        yaosu.stock()
    assert pauses == [7.0]


@pytest.mark.parametrize(
    "page", [httpx.Response(200, text="<html>sign in</html>"), answer(200, []), answer(200, {"x": 1})]
)
def test_a_page_of_somebody_else_is_no_answer(page: httpx.Response) -> None:
    with client(Server(page)) as yaosu:
        with pytest.raises(NotReachedError, match="no Yaosu server"):
            yaosu.stock()
        with pytest.raises(NotReachedError, match="no Yaosu server"):
            yaosu.submit(Movement(SALE, "X", ["1"]))


def test_a_job_that_does_not_end_is_given_back_to_the_caller(pauses: list[float]) -> None:
    going = answer(200, {"state": "running", "done": 3, "total": 9})
    with client(Server(going)) as yaosu, pytest.raises(NotReachedError, match="3 of 9"):
        yaosu.wait("8c1f", every_s=10, longest_s=30)
    assert pauses == [10, 10, 10]
    done = answer(200, {"state": "done", "done": 9, "total": 9, "result": {}})
    with client(Server(going, done)) as yaosu:
        assert yaosu.wait("8c1f")["state"] == "done"


def test_every_page_is_asked_for_and_nothing_is_left_behind_its_first() -> None:
    pages = {None: ([1, 2], 2), "2": ([3], None)}

    def serve(request: httpx.Request) -> httpx.Response:
        items, onward = pages[request.url.params.get("before")]
        return answer(200, {"items": [{"n": n} for n in items], "next": onward})

    found = Yaosu("https://trace.example", "yk_x", transport=httpx.MockTransport(serve)).notices()
    assert [one["n"] for one in found] == [1, 2, 3]


def test_a_delivery_signed_with_the_old_or_the_new_secret_is_genuine_while_it_is_renewed() -> None:
    stamp, body = "1790000000", b'{"a": 1}'

    def headers(secret: str) -> dict[str, str]:
        made = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Yaosu-Timestamp": stamp, "Yaosu-Signature": f"v1={made}", "Yaosu-Event-Id": "e1"}

    at = float(stamp)
    for secret in ("old", "new"):
        assert read_webhook(["new", "old"], headers(secret), body, now=at).id == "e1"
    for secrets, given in (("new", headers("old")), ([], headers("")), (["", ""], headers(""))):
        with pytest.raises(WebhookError):
            read_webhook(secrets, given, body, now=at)
    for odd in ("", "²", "1" * 40, "-1"):
        with pytest.raises(WebhookError):
            read_webhook("old", {**headers("old"), "Yaosu-Timestamp": odd}, body, now=at)
