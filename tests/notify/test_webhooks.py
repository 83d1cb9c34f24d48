"""Webhooks: signed, sent at least once, retried, given up, replayed; never a tool against others (R-X2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from access.helpers import key_headers, make_org, subject_of
from notify.clock import pauses_end
from notify.helpers import Receiver, receiving, status, until
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.notify import http, service, signing, webhooks
from yaosu.notify.outbox import Outbox
from yaosu.notify.pace import pace_of
from yaosu.registry.lists import delivered
from yaosu.subject import Subject

MASTER = b"m" * 32
ALLOWED = frozenset({"127.0.0.1"})
KIND = "notice_grant_offered"
PARAMS = {"name": "某制药有限公司"}


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


def outbox(pool: Pool, lease_s: int = 60) -> Outbox:
    sender = webhooks.Sender(pool, MASTER, ALLOWED, "https://yaosu.example.com")
    return Outbox(pool, delivered, {"webhook": sender.target()}, lease_s)


async def subscribed(pool: Pool, url: str, kinds: tuple[str, ...] = ()) -> tuple[Subject, int, str]:
    async with pool.acquire() as conn, conn.transaction():
        subject = await subject_of(conn, await make_org(conn))
        number, secret = await webhooks.add(conn, subject, MASTER, ALLOWED, url, kinds)
    return subject, number, secret


async def told(pool: Pool, org: int, ref: str, kind: str = KIND) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await service.tell(conn, org, kind, PARAMS, "/grants/1", ref)


async def drained(pool: Pool) -> None:
    """Everything due is sent, by as many rounds as it takes."""
    box = outbox(pool)
    while await box.once():
        pass


async def states(pool: Pool, subject: Subject, hook: int) -> list[tuple[str, int]]:
    async with pool.acquire() as conn:
        found = await webhooks.deliveries(conn, subject, hook)
    return [(one["state"], one["attempts"]) for one in reversed(found)]


async def due(pool: Pool) -> None:
    """Time passes until everything that waits is due."""
    async with pool.acquire() as conn:
        await pauses_end(conn, at_rest=True, leases=True)


async def test_a_message_reaches_the_subscriber_signed_and_names_its_event(
    pool: Pool, receiver: Receiver
) -> None:
    subject, hook, secret = await subscribed(pool, receiver.url)
    await told(pool, subject.org, "1")
    await drained(pool)
    (got,) = receiver.got
    content = json.loads(got.body)
    assert content["kind"] == KIND and content["params"] == PARAMS
    assert content["link"] == "https://yaosu.example.com/grants/1"
    assert got.headers["yaosu-event-id"] == content["id"]
    assert got.headers["yaosu-event-kind"] == KIND
    stamp, signature = int(got.headers["yaosu-timestamp"]), got.headers["yaosu-signature"]
    assert signing.fits(secret, stamp, got.body, signature)
    assert not signing.fits(secret, stamp + 1, got.body, signature)
    assert not signing.fits(secret, stamp, got.body + b" ", signature)
    async with pool.acquire() as conn:
        (message,) = await service.messages(conn, subject)
    assert str(message.event) == content["id"]
    assert await states(pool, subject, hook) == [("processed", 1)]


async def test_only_chosen_kinds_of_the_own_organisation_go_to_a_subscriber(
    pool: Pool, receiver: Receiver
) -> None:
    subject, hook, _ = await subscribed(pool, receiver.url, ("notice_grant_withdrawn",))
    other, _, _ = await subscribed(pool, receiver.url + "/other")
    await told(pool, subject.org, "1", KIND)
    await told(pool, subject.org, "2", "notice_grant_withdrawn")
    await told(pool, other.org, "3")
    await drained(pool)
    assert await states(pool, subject, hook) == [("processed", 1)]
    assert [g.headers["yaosu-event-kind"] for g in receiver.got if g.path == "/hook"] == [
        "notice_grant_withdrawn"
    ]


async def test_a_failed_delivery_is_tried_again_with_pauses_and_given_up_at_last(
    pool: Pool, receiver: Receiver
) -> None:
    receiver.answers = [status(500, "busy")]
    subject, hook, _ = await subscribed(pool, receiver.url)
    await told(pool, subject.org, "1")
    await drained(pool)
    assert await states(pool, subject, hook) == [("failed", 1)]
    # not due yet: nothing is sent
    assert len(receiver.got) == 1
    tries = len(pace_of(delivered(), "webhook").retries)
    for _ in range(tries):
        await due(pool)
        await drained(pool)
    assert await states(pool, subject, hook) == [("given_up", tries + 1)]
    assert len({g.headers["yaosu-event-id"] for g in receiver.got}) == 1
    async with pool.acquire() as conn:
        kinds = [m.kind for m in await service.messages(conn, subject)]
    # the organisation hears of it on its page, and not by the webhook that does not work
    assert kinds == ["notice_webhook_given_up", KIND]
    await due(pool)
    await drained(pool)
    assert len(receiver.got) == tries + 1


async def test_a_receiver_that_is_gone_for_good_is_not_asked_again(pool: Pool, receiver: Receiver) -> None:
    receiver.answers = [status(410)]
    subject, hook, _ = await subscribed(pool, receiver.url)
    await told(pool, subject.org, "1")
    await drained(pool)
    assert await states(pool, subject, hook) == [("given_up", 1)]


async def test_redirects_are_not_followed_and_answers_are_not_swallowed_whole(
    pool: Pool, receiver: Receiver
) -> None:
    receiver.answers = [
        b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 100_000,
    ]
    subject, hook, _ = await subscribed(pool, receiver.url)
    await told(pool, subject.org, "1")
    await drained(pool)
    assert await states(pool, subject, hook) == [("failed", 1)]
    await due(pool)
    await drained(pool)
    assert await states(pool, subject, hook) == [("processed", 2)]
    assert [g.path for g in receiver.got] == ["/hook", "/hook"]
    async with pool.acquire() as conn:
        (one,) = await webhooks.deliveries(conn, subject, hook)
    assert len(one["answer"]) <= 4096


async def test_a_silent_receiver_holds_nobody_up(
    pool: Pool, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # long enough for an answer on a busy machine, and far below the silence
    monkeypatch.setattr(webhooks.http, "TIMEOUT_S", 3)
    monkeypatch.setattr(webhooks.http.post, "__defaults__", ((), 3, 4096))
    receiver.pause_s = 300
    slow, slow_hook, _ = await subscribed(pool, receiver.url)
    async with receiving() as quick_receiver:
        quick, quick_hook, _ = await subscribed(pool, quick_receiver.url)
        for n in range(6):
            await told(pool, slow.org, str(n))
        await told(pool, quick.org, "1")
        async with asyncio.timeout(90):
            await outbox(pool).once()
        assert len(quick_receiver.got) == 1
    assert ("failed", 1) in await states(pool, slow, slow_hook)
    assert await states(pool, quick, quick_hook) == [("processed", 1)]
    receiver.pause_s = 0
    await drained(pool)


async def test_two_senders_never_send_the_same_delivery_at_once(pool: Pool, receiver: Receiver) -> None:
    subject, hook, _ = await subscribed(pool, receiver.url)
    for n in range(30):
        await told(pool, subject.org, str(n))
    boxes = [outbox(pool) for _ in range(4)]

    async def drain(box: Outbox) -> None:
        for _ in range(30):
            await box.once()

    await asyncio.gather(*(drain(box) for box in boxes))
    events = [g.headers["yaosu-event-id"] for g in receiver.got]
    assert len(events) == len(set(events)) == 30
    assert await states(pool, subject, hook) == [("processed", 1)] * 30


async def test_what_a_dead_sender_had_claimed_is_sent_by_another(pool: Pool, receiver: Receiver) -> None:
    subject, hook, _ = await subscribed(pool, receiver.url)
    await told(pool, subject.org, "1")
    dying = asyncio.Event()

    class Dies(webhooks.Sender):
        async def send(self, delivery: webhooks.Delivery) -> webhooks.Outcome:
            dying.set()
            await asyncio.sleep(60)
            raise AssertionError

    box = Outbox(pool, delivered, {"webhook": Dies(pool, MASTER, ALLOWED, "").target()}, lease_s=60)
    task = asyncio.create_task(box.once())
    await dying.wait()
    task.cancel()
    await outbox(pool).once()
    assert receiver.got == []
    await due(pool)  # a minute later
    await outbox(pool).once()
    assert len(receiver.got) == 1
    assert await states(pool, subject, hook) == [("processed", 2)]


async def test_messages_are_sent_again_from_any_point_under_the_same_event(
    pool: Pool, receiver: Receiver
) -> None:
    subject, hook, _ = await subscribed(pool, receiver.url)
    for n in range(4):
        await told(pool, subject.org, str(n))
    await drained(pool)
    async with pool.acquire() as conn, conn.transaction():
        third = (await service.messages(conn, subject))[1]
        assert await webhooks.replay(conn, subject, hook, third.id) == (2, None)
    await drained(pool)
    events = [g.headers["yaosu-event-id"] for g in receiver.got]
    refs = [json.loads(g.body)["ref"] for g in receiver.got]
    assert sorted(refs[4:]) == ["2", "3"]
    assert (
        dict(zip(refs[4:], events[4:], strict=True)).items()
        <= dict(zip(refs[:4], events[:4], strict=True)).items()
    )
    async with pool.acquire() as conn, conn.transaction():
        assert (await webhooks.replay(conn, subject, hook))[0] == 4


async def test_a_paused_or_removed_subscription_gets_nothing_and_a_renewed_secret_signs_anew(
    pool: Pool, receiver: Receiver
) -> None:
    subject, hook, old = await subscribed(pool, receiver.url)
    async with pool.acquire() as conn, conn.transaction():
        await webhooks.set_active(conn, subject, hook, False)
    await told(pool, subject.org, "1")
    async with pool.acquire() as conn, conn.transaction():
        await webhooks.set_active(conn, subject, hook, True)
        fresh = await webhooks.renew(conn, subject, MASTER, hook)
    await told(pool, subject.org, "2")
    await drained(pool)
    (got,) = receiver.got
    stamp, signature = int(got.headers["yaosu-timestamp"]), got.headers["yaosu-signature"]
    assert signing.fits(fresh, stamp, got.body, signature)
    assert not signing.fits(old, stamp, got.body, signature)
    await told(pool, subject.org, "3")
    async with pool.acquire() as conn, conn.transaction():
        await webhooks.remove(conn, subject, hook)
    await drained(pool)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://erp.example.com/in",
        "ftp://erp.example.com/in",
        "https://127.0.0.1/in",
        "https://localhost/in",
        "https://10.1.2.3/in",
        "https://192.168.0.5:8443/in",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/in",
        "https://0.0.0.0/in",
        "https://[::1]/in",
        "https://[::ffff:10.0.0.1]/in",
        "https://[64:ff9b::a00:1]/in",
        "https://[2002:7f00:1::]/in",
        "https://[fe80::1]/in",
        "https://[fd00::1]/in",
        "https://2130706433/in",
        "https://0x7f.1/in",
        "https://user:pass@8.8.8.8/in",
        "https://8.8.8.8/in#x",
        "https://no-such-host.invalid/in",
        "https:///in",
        "https://8.8.8.8:99999/in",
        "https://8.8.8.8\\@127.0.0.1/in",
    ],
)
async def test_an_address_inside_or_malformed_is_refused_when_it_is_subscribed(
    db: Connection, url: str
) -> None:
    subject = await subject_of(db, await make_org(db))
    with pytest.raises(YaosuError) as refused:
        await webhooks.add(db, subject, MASTER, frozenset(), url)
    assert refused.value.code == "webhook_url_refused"


async def test_an_address_that_turned_inside_later_is_refused_when_it_is_called(
    pool: Pool, receiver: Receiver
) -> None:
    # subscribed while it was allowed; the settings of today do not allow it
    subject, hook, _ = await subscribed(pool, receiver.url.replace("http", "https"))
    await told(pool, subject.org, "1")
    strict = webhooks.Sender(pool, MASTER, frozenset(), "https://yaosu.example.com")
    await Outbox(pool, delivered, {"webhook": strict.target()}).once()
    assert receiver.got == []
    assert ("failed", 1) in await states(pool, subject, hook)


def test_public_addresses_are_public_and_disguised_ones_are_not() -> None:
    assert http.is_public("8.8.8.8") and http.is_public("2400:3200::1")
    for inside in (
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:a00:1::",
        "224.0.0.1",
        "fe80::1%eth0",
    ):
        assert not http.is_public(inside)


async def test_unknown_kinds_too_many_subscriptions_and_others_are_refused(
    pool: Pool, receiver: Receiver
) -> None:
    subject, hook, _ = await subscribed(pool, receiver.url)
    async with pool.acquire() as conn:
        with pytest.raises(YaosuError) as refused:
            await webhooks.add(conn, subject, MASTER, ALLOWED, receiver.url, ["not_found"])
        assert refused.value.code == "webhook_kind_unknown"
        for _ in range(webhooks.PER_ORG - 1):
            await webhooks.add(conn, subject, MASTER, ALLOWED, receiver.url)
        with pytest.raises(YaosuError) as refused:
            await webhooks.add(conn, subject, MASTER, ALLOWED, receiver.url)
        assert refused.value.code == "webhook_too_many"
        stranger = await subject_of(conn, await make_org(conn))
        for act in (
            webhooks.remove(conn, stranger, hook),
            webhooks.test(conn, stranger, hook),
            webhooks.replay(conn, stranger, hook),
            webhooks.deliveries(conn, stranger, hook),
            webhooks.renew(conn, stranger, MASTER, hook),
        ):
            with pytest.raises(YaosuError) as refused:
                await act
            assert refused.value.code == "not_found"
        clerk = replace(subject, scopes=frozenset({"bill.read"}))
        with pytest.raises(YaosuError) as refused:
            await webhooks.listed(conn, clerk)
        assert refused.value.http == 403


async def test_the_running_server_sends_what_the_api_subscribed(
    database: str, pool: Pool, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from yaosu.api.app import create_app
    from yaosu.settings import Settings

    data = tmp_path_factory.mktemp("data")
    settings = Settings(data, database, "127.0.0.1", 0, "http://test", webhook_hosts=ALLOWED)
    app = create_app(settings, database)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client,
    ):
        async with pool.acquire() as conn:
            headers = await key_headers(conn, await make_org(conn))
        made = (await client.post("/api/v1/webhooks", json={"url": receiver.url}, headers=headers)).json()
        assert made["secret"].startswith("whs_")
        listed = await client.get("/api/v1/webhooks", headers=headers)
        assert made["secret"] not in listed.text and listed.json()["items"][0]["url"] == receiver.url
        path = f"/api/v1/webhooks/{made['id']}"
        sent = (await client.post(f"{path}/test", headers=headers)).json()
        await until(lambda: bool(receiver.got))
        assert receiver.got[0].headers["yaosu-event-id"] == sent["event"]
        async with asyncio.timeout(90):
            found = ""
            while found != "processed":
                await asyncio.sleep(0.05)
                listed = await client.get(f"{path}/deliveries", headers=headers)
                found = listed.json()["items"][0]["state"]
        replayed = await client.post(f"{path}/replay", json={}, headers=headers)
        assert replayed.json() == {"count": 0, "next": None}
        paused = await client.post(f"{path}/active", json={"active": False}, headers=headers)
        assert paused.json()["active"] is False
        assert (await client.post(f"{path}/secret", headers=headers)).json()["secret"] != made["secret"]
        assert (await client.delete(path, headers=headers)).status_code == 200
        assert (await client.get(f"{path}/deliveries", headers=headers)).status_code == 404


async def test_news_of_one_thing_goes_in_its_order_and_other_news_does_not_wait(
    pool: Pool, receiver: Receiver
) -> None:
    receiver.answers = [status(500), status(200)]
    subject, hook, _ = await subscribed(pool, receiver.url)
    await told(pool, subject.org, "7")
    await told(pool, subject.org, "7", "notice_grant_withdrawn")
    await outbox(pool).once()
    await told(pool, subject.org, "8")
    await drained(pool)
    # the second of "7" waits behind the first, which failed
    assert [json.loads(g.body)["ref"] for g in receiver.got] == ["7", "8"]
    await due(pool)
    await drained(pool)
    assert [json.loads(g.body)["kind"] for g in receiver.got[2:]] == [KIND, "notice_grant_withdrawn"]
    assert {state for state, _ in await states(pool, subject, hook)} == {"processed"}
