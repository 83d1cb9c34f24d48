"""The channel against a platform that answers as told: what goes again, what never goes twice (R-C6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from circulation.helpers import activate
from exchange.yibao.desk import ACCOUNT, BUREAU_KEY, OWN_PUBLIC, SECRET, Desk, delivery, open_desk
from yaosu.db.engine import Pool
from yaosu.edge.state import AppState
from yaosu.exchange.outbox.model import Outcome
from yaosu.exchange.yibao.channel import Yibao
from yaosu.insurance import envelope
from yaosu.insurance.envelope import Keys
from yaosu.notify import http
from yaosu.people.keeper import Keeper
from yaosu.settings import Settings

THEIRS = Keys(str(ACCOUNT["app_id"]), SECRET, BUREAU_KEY, OWN_PUBLIC)
Say = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Platform:
    """Answers in turn what it was told to; an exception is a network that fails."""

    answers: list[Say | Exception] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)

    async def post(self, url: str, body: bytes, *_: Any, **__: Any) -> http.Answer:
        message = envelope.unseal(envelope.read(body), THEIRS, "SM2")
        self.got.append(message)
        said = self.answers.pop(0)
        if isinstance(said, Exception):
            raise said
        sealed = envelope.seal(said(message), THEIRS, "SM2", "", "output")
        raw = orjson.dumps(sealed)
        return http.Answer(200, raw.decode(), raw)


def yes(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "infcode": "0",
        "inf_refmsgid": message["msgid"],
        "output": {"result": envelope.result(True, "成功")},
    }


def but(bchno: str) -> Say:
    def said(message: dict[str, Any]) -> dict[str, Any]:
        row = {"fixmedins_bchno": bchno, "retRslt": "0", "msgRslt": "批号不符"}
        return {**yes(message), "output": {"result": envelope.result(True), "selinfoErrDetail": [row]}}

    return said


def holds(*records: dict[str, str]) -> Say:
    return lambda message: {**yes(message), "output": {"data": list(records)}}


@dataclass
class Scene:
    desk: Desk
    channel: Yibao
    platform: Platform

    async def send(self, parcel: Any, **more: Any) -> Outcome:
        return await self.channel.send(delivery(self.desk, parcel, **more), self.desk.link)

    async def ask(self, parcel: Any) -> Outcome:
        return await self.channel.ask(delivery(self.desk, parcel), self.desk.link)


@pytest_asyncio.fixture(loop_scope="module")
async def scene(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    platform = Platform()
    monkeypatch.setattr(http, "post", platform.post)
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        desk = await open_desk(conn)
        await desk.map_goods()

        class OnePool:
            """The test's own connection, so that nothing is left behind."""

            def acquire(self) -> Any:
                class Held:
                    async def __aenter__(self) -> Any:
                        return conn

                    async def __aexit__(self, *_: object) -> None:
                        return None

                return Held()

        settings = Settings(data=tmp_path, database_url="", host="", port=0, public_url="http://test")
        parts = {"registry": desk.market.registry, "keeper": Keeper(b"k" * 32)}
        app = AppState(settings, "", OnePool(), parts)  # type: ignore[arg-type]
        yield Scene(desk, Yibao(app), platform)
        await transaction.rollback()


async def two_rows(scene: Scene) -> Any:
    boxes = []
    for _ in range(2):
        goods = await activate(scene.desk.market)
        await scene.desk.market.pass_on(scene.desk.market.maker, scene.desk.link.org, goods.boxes[:1])
        boxes.append(goods.boxes[0])
    _, (parcel,) = await scene.desk.move(321, boxes)
    return parcel


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_was_accepted_is_not_sent_again_with_the_rest(scene: Scene) -> None:
    parcel = await two_rows(scene)
    first, second = (r["fields"]["fixmedins_bchno"] for r in parcel.body["rows"])
    scene.platform.answers = [but(second), yes]
    outcome = await scene.send(parcel)
    assert outcome.state == "partly"
    assert await scene.desk.states() == {first: "done", second: "refused"}
    again = await scene.send(parcel, remote=outcome.remote, tries=1)
    assert again.state == "processed"
    sent = [[r["fixmedins_bchno"] for r in m["input"]["selinfoDetail"]] for m in scene.platform.got]
    assert sent == [[first, second], [second]]
    assert scene.platform.got[0]["msgid"] != scene.platform.got[1]["msgid"]
    third = await scene.send(parcel, remote=outcome.remote)
    assert (third.state, len(scene.platform.got)) == ("processed", 2)


async def test_after_silence_the_platform_is_asked_by_code_and_row(scene: Scene) -> None:
    parcel = await two_rows(scene)
    first, second = (r["fields"]["fixmedins_bchno"] for r in parcel.body["rows"])
    scene.platform.answers = [
        httpx.ReadTimeout("x"), holds({"fixmedins_bchno": first}), holds(), holds({"fixmedinsBchno": second}),
    ]  # fmt: skip
    assert (await scene.send(parcel)).state == "unknown"
    # one is there and one is not: the rest goes again, under its own numbers
    assert (await scene.ask(parcel)).state == "pending"
    assert await scene.desk.states() == {first: "done", second: "owed"}
    scene.platform.answers = [yes]
    assert (await scene.send(parcel, tries=1)).state == "processed"
    last = scene.platform.got[-1]
    assert [r["fixmedins_bchno"] for r in last["input"]["selinfoDetail"]] == [second]
    assert {m["infno"] for m in scene.platform.got} == {"3505A", "3513"}
    assert all("certno" not in str(m["input"]) for m in scene.platform.got if m["infno"] == "3513")


async def test_a_repeat_after_silence_is_the_same_message(scene: Scene) -> None:
    parcel = await two_rows(scene)
    scene.platform.answers = [httpx.ReadError("x"), yes]
    assert (await scene.send(parcel)).state == "unknown"
    assert (await scene.send(parcel, tries=1)).state == "processed"
    one, two = scene.platform.got
    assert (one["msgid"], one["input"]) == (two["msgid"], two["input"])


async def test_nothing_is_deleted_that_never_arrived(scene: Scene) -> None:
    parcel = await two_rows(scene)
    bill_no = parcel.key.split("/")[1]
    _, gone = await scene.desk.move(321, [], bill_no=bill_no, revision=2, void=True)
    await scene.desk.conn.execute("UPDATE delivery SET state = 'given_up' WHERE key = $1", parcel.key)
    assert [(await scene.send(p)).state for p in gone] == ["processed", "processed"]
    assert scene.platform.got == []
    sold = await two_rows(scene)
    scene.platform.answers = [yes, yes, yes]
    await scene.send(sold)
    _, gone = await scene.desk.move(321, [], bill_no=sold.key.split("/")[1], revision=2, void=True)
    assert [(await scene.send(p)).state for p in gone] == ["processed", "processed"]
    assert [m["infno"] for m in scene.platform.got] == ["3505A", "3507", "3507"]
    assert list((await scene.desk.states()).values())[-2:] == ["gone", "gone"]


async def test_a_purchase_that_nobody_answered_goes_again_under_its_numbers(scene: Scene) -> None:
    market = scene.desk.market
    goods = await activate(market)
    await market.ship(market.maker, scene.desk.link.org, goods.boxes[:1])
    _, (parcel,) = await scene.desk.move(102, goods.boxes[:1], from_org=market.maker)
    outcome = await scene.ask(parcel)
    assert (outcome.state, scene.platform.got) == ("pending", [])


async def test_an_unknown_profile_stops_before_the_network(scene: Scene) -> None:
    parcel = await two_rows(scene)
    scene.desk.link = replace(scene.desk.link, profile="atlantis")
    outcome = await scene.send(parcel)
    assert (outcome.state, outcome.final) == ("failed", True)
    assert "atlantis" in outcome.answer
    assert scene.platform.got == []


async def test_a_sale_voided_before_it_left_never_leaves(scene: Scene) -> None:
    parcel = await two_rows(scene)
    _, gone = await scene.desk.move(321, [], bill_no=parcel.key.split("/")[1], revision=2, void=True)
    assert (await scene.send(parcel)).state == "processed"
    assert [(await scene.send(p)).state for p in gone] == ["processed", "processed"]
    assert scene.platform.got == []
    # nor does it when somebody tries it again later
    assert (await scene.send(parcel, tries=2)).state == "processed"
    assert scene.platform.got == []


async def test_a_sale_voided_after_silence_goes_and_is_deleted(scene: Scene) -> None:
    parcel = await two_rows(scene)
    scene.platform.answers = [httpx.ReadError("x"), yes, yes, yes]
    assert (await scene.send(parcel)).state == "unknown"
    _, gone = await scene.desk.move(321, [], bill_no=parcel.key.split("/")[1], revision=2, void=True)
    again = delivery(scene.desk, parcel, tries=1)
    assert (await scene.channel.send(replace(again, attempts=2), scene.desk.link)).state == "processed"
    assert [(await scene.send(p)).state for p in gone] == ["processed", "processed"]
    assert [m["infno"] for m in scene.platform.got] == ["3505A", "3505A", "3507", "3507"]


def doubting(*codes: str) -> Say:
    """Taken, with a word about codes."""
    words = "；".join(
        f"第1行 {code}：疑似回流药：该追溯码已于别处结算（核查单 YB20260901000001）" for code in codes
    )
    return lambda message: {**yes(message), "warn_msg": words}


async def test_what_is_taken_with_a_warning_is_not_shown_as_plainly_done(scene: Scene) -> None:
    goods = await activate(scene.desk.market)
    await scene.desk.market.pass_on(scene.desk.market.maker, scene.desk.link.org, goods.boxes[:1])
    _, (parcel,) = await scene.desk.move(321, goods.boxes[:1])
    scene.platform.answers = [doubting(goods.boxes[0])]
    made = await scene.send(parcel)
    assert made.state == "processed"
    assert made.details is not None
    assert "疑似回流药" in made.details["codes"][goods.boxes[0]]["text"]
    row = await scene.desk.conn.fetchrow("SELECT state, warned FROM yibao_row")
    assert row is not None
    assert row["state"] == "done"
    assert "YB20260901000001" in row["warned"]


def signed(number: str) -> Say:
    return lambda message: {
        **yes(message), "output": {"signinoutb": {"sign_time": "2026-09-01 08:00:00", "sign_no": number}}
    }  # fmt: skip


def not_signed(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "infcode": "-1",
        "err_msg": "未签到或签到编号已失效",
        "inf_refmsgid": message["msgid"],
        "output": {},
    }


async def test_a_connection_signs_in_once_a_day_and_again_when_its_number_is_lost(scene: Scene) -> None:
    link = scene.desk.link
    scene.desk.link = replace(link, account={**link.account, "sign_in": "1"})
    platform = scene.platform
    # the sign-in fails: nothing was sent, and it is tried again
    first = await two_rows(scene)
    platform.answers = [not_signed]
    blocked = await scene.send(first)
    assert (blocked.state, blocked.final) == ("pending", False)
    assert "签到（9001）未成功" in blocked.answer
    platform.answers = [signed("S1"), yes]
    assert (await scene.send(first)).state == "processed"
    assert [m["infno"] for m in platform.got] == ["9001", "9001", "3505A"]
    assert platform.got[1]["input"]["signIn"]["opter_no"] == "001"
    assert platform.got[2]["sign_no"] == "S1"
    # the same day again: no second sign-in; a lost number is replaced by the next try
    second = await two_rows(scene)
    platform.answers = [not_signed]
    lost = await scene.send(second)
    assert (lost.state, lost.final) == ("pending", False)
    platform.answers = [signed("S2"), yes]
    assert (await scene.send(second)).state == "processed"
    assert [m["infno"] for m in platform.got][3:] == ["3505A", "9001", "3505A"]
    assert platform.got[-1]["sign_no"] == "S2"
    # signed out, nothing is remembered
    platform.answers = [yes]
    assert await scene.channel.sign_out(scene.desk.link) is True
    assert (platform.got[-1]["infno"], platform.got[-1]["input"]["signOut"]["sign_no"]) == ("9002", "S2")
    assert await scene.channel.sign_out(scene.desk.link) is False
