"""Scenes and the page that tells them, as far as no played province is needed; the rest is in test_demo."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from access.helpers import PASSWORD as ANY_PASSWORD
from access.helpers import make_account, make_org
from exchange.running import free_port
from yaosu.codes.identifiers import check_identity_card
from yaosu.console import stories
from yaosu.db.engine import Pool
from yaosu.notify import signing
from yaosu.registry.lists import delivered
from yaosu.simulate import tour
from yaosu.simulate.cast import cast
from yaosu.simulate.partner import partner_cast
from yaosu.simulate.receiver import Receiver
from yaosu.simulate.scenes import play
from yaosu.simulate.scenes.named import made_up_identity
from yaosu.simulate.setup import OPERATOR_LOGIN, PASSWORD

FAR = {o.login for o in partner_cast().orgs.values()}
LOGINS = {o.login for o in cast().orgs.values()} | {s.login for s in cast().staff} | {OPERATOR_LOGIN, ""}


def test_every_scene_is_told_once_and_every_story_is_played() -> None:
    told = [s["key"] for s in play.texts()]
    assert sorted(told) == sorted(s.key for s in play.SCENES)
    assert len(set(told)) == len(told)


def test_every_story_has_text_and_steps_in_both_languages_with_known_logins() -> None:
    for story in play.texts():
        assert all(story[f] for f in ("zh", "en", "text_zh", "text_en", "group_zh", "group_en"))
        assert story["steps"]
        for step in story["steps"]:
            assert step["zh"] and step["en"] and step["login"] in (FAR if step.get("there") else LOGINS), step
            assert step["link"].startswith(("/", "{")), step


def test_invented_document_numbers_pass_the_checks_and_belong_to_no_county() -> None:
    number = made_up_identity("19850412", 13)
    assert check_identity_card(number).value == number
    lists = delivered()
    assert lists.item("region", number[:2] + "0000") is not None
    assert lists.item("region", number[:6]) is None
    assert lists.item("region", number[:4] + "00") is None


def test_a_story_whose_scene_was_not_played_is_not_told() -> None:
    links = {"clue": {"clue": "/quality/clues/1"}}
    found = tour.told(links, cast())
    assert [s["key"] for s in found["stories"]] == ["clue"]
    assert {s["link"] for s in found["stories"][0]["steps"]} == {"/quality/clues/1"}
    assert {p["login"] for p in found["people"]} == LOGINS - {""}


async def _account(pool: Pool) -> str:
    async with pool.acquire() as conn:
        return (await make_account(conn, await make_org(conn), "admin"))[1]


async def test_the_tour_exists_in_the_demo_only(
    pool: Pool, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    app = client._transport.app.state  # type: ignore[attr-defined]
    real = app.yaosu
    html = {"accept": "text/html"}
    tour.write(tmp_path, {"clue": {"clue": "/quality/clues/1"}}, cast())
    try:
        # a folder of a demo that `yaosu serve` opens shows nothing
        app.yaosu = replace(real, settings=replace(real.settings, data=tmp_path))
        assert (await client.get("/stories", headers=html)).status_code == 404
        assert "/stories" not in (await client.get("/login", headers=html)).text
        app.yaosu = replace(real, settings=replace(real.settings, data=tmp_path, demo=True))
        page = await client.get("/stories", headers=html)
        assert page.status_code == 200
        assert "线索报告" in page.text and PASSWORD in page.text
        assert 'name="next" value="/quality/clues/1"' in page.text
        english = await client.get(
            "/stories", headers={**html, "accept-language": "en", "cookie": "yaosu_lang=en"}
        )
        assert "A clue for the regulator" in english.text
        assert "/stories" in (await client.get("/login", headers=html)).text
        login = await _account(pool)
        signed = await client.post("/login", data={"login": login, "password": ANY_PASSWORD}, headers=html)
        assert signed.status_code == 303
        inside = await client.get("/stories", headers=html)
        assert inside.status_code == 200 and 'id="nav"' in inside.text and "线索报告" in inside.text
        client.cookies.clear()
        (tmp_path / stories.FILE).unlink()
        assert (await client.get("/stories", headers=html)).status_code == 404
    finally:
        app.yaosu = real


async def test_the_receiver_believes_signed_deliveries_only() -> None:
    receiver = Receiver(free_port(), "whs_demo")
    assert await receiver.start()
    body, now = b'{"text":"<b>1</b>"}', int(time.time())
    right = signing.sign("whs_demo", now, body)
    old = signing.sign("whs_demo", now - 3600, body)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            for stamp, signature, status in ((now, right, 200), (now, "v1=00", 403), (now - 3600, old, 403)):
                headers = {signing.TIMESTAMP: str(stamp), signing.SIGNATURE: signature, signing.KIND: "x"}
                sent = await client.post(receiver.address, content=body, headers=headers)
                assert sent.status_code == status
            page = (await client.get(receiver.address)).text
            assert page.count("签名正确") == 1 and page.count("签名不符") == 2
            assert "<b>1</b>" not in page
            assert (await client.put(receiver.address)).status_code == 405
    finally:
        await receiver.stop()


@pytest.mark.parametrize("raw", [b"rubbish\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n"])
async def test_the_receiver_answers_rubbish_and_goes_on(raw: bytes) -> None:
    receiver = Receiver(free_port(), "whs_demo")
    assert await receiver.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(raw)
        assert (await reader.readline()).split(b" ")[1] in (b"400", b"405")
        writer.close()
    finally:
        await receiver.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's signal is Linux's")
def test_the_other_system_is_ended_with_the_demo_even_when_that_is_killed() -> None:
    parent = (
        "import subprocess, sys, time\n"
        "from yaosu.edge.child import ends_with_parent\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], preexec_fn=ends_with_parent)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    until = time.monotonic() + 90
    while _runs(child):
        assert time.monotonic() < until, "left behind"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
