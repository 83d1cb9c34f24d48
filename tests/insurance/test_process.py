"""The bureau as a separate process behind a bad network (R-C7): nothing counted twice, nothing lost, nothing forged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from exchange.faults import FaultyProxy, faulty
from exchange.running import Running, running
from insurance import helpers
from insurance.helpers import Scene, make_scene, stocked
from insurance.sending import PATH, Sender, sale
from yaosu.db.engine import connect
from yaosu.people.keeper import Keeper
from yaosu.settings import master_secret


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bureau(
    server_address: str, template_name: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, Scene]]:
    """A running bureau whose institutions and goods stand in its own database."""
    folder: Path = tmp_path_factory.mktemp("bureau")
    before = helpers.KEEPER
    # the same secret that the process will use
    helpers.KEEPER = Keeper(master_secret(folder))
    with running(server_address, template_name, folder) as one:
        conn = await connect(one.database)
        try:
            yield one, await make_scene(conn)
        finally:
            await conn.close()
            helpers.KEEPER = before


@pytest_asyncio.fixture(loop_scope="module")
async def line(bureau: tuple[Running, Scene]) -> AsyncIterator[tuple[Scene, FaultyProxy, Sender]]:
    """The pharmacy's software on a bad line."""
    one, scene = bureau
    async with (
        faulty(one.port, hang_s=300) as proxy,
        httpx.AsyncClient(base_url=proxy.url, timeout=60) as client,
    ):
        yield scene, proxy, Sender(scene.pharmacy, client)


async def _retry(sender: Sender, message: dict[str, Any], infno: str, tries: int = 4) -> dict[str, Any]:
    """As an institution's software does: the very same message until there is a whole answer."""
    for _ in range(tries):
        try:
            answer = await sender.client.post(
                PATH.format(infno=infno), content=orjson.dumps(message), headers=sender.headers()
            )
            if answer.status_code == 200:
                return dict(orjson.loads(answer.content))
        except (httpx.HTTPError, orjson.JSONDecodeError):
            await asyncio.sleep(0.05)
    raise AssertionError("no answer")


@pytest.mark.parametrize("fault", ["refuse", "lose_answer", "cut_answer", "error_500", "twice"])
async def test_a_sale_counts_once_whatever_the_line_does(
    line: tuple[Scene, FaultyProxy, Sender], fault: Any
) -> None:
    scene, proxy, sender = line
    goods = await stocked(scene, scene.market.pharmacy)
    proxy.faults.append(fault)
    key = f"L{fault}"
    answer = await _retry(sender, sender.message("3505", {"selinfo": sale(key, goods.boxes[:2])}), "3505")
    assert (answer["infcode"], answer["output"]["result"]["retRslt"]) == ("0", "1")
    for code in goods.boxes[:2]:
        assert [r["state"] for r in await scene.rows(code)] == ["S"]
    count = "SELECT count(*) FROM insurance_report WHERE key = $1"
    assert await scene.conn.fetchval(count, key) == 1
    assert not [c for c in await scene.cases() if c["code"] in goods.boxes]


async def test_a_changed_byte_is_never_taken_in(line: tuple[Scene, FaultyProxy, Sender]) -> None:
    scene, proxy, sender = line
    goods = await stocked(scene, scene.market.pharmacy)
    message = sender.message("3505", {"selinfo": sale("CH1", goods.boxes[:1])})
    proxy.faults.append("change_request")
    first = await _retry(sender, message, "3505")
    assert first["infcode"] != "0"
    assert await scene.rows(goods.boxes[0]) == []
    assert (await _retry(sender, message, "3505"))["infcode"] == "0"


async def test_a_changed_answer_does_not_pass_for_the_bureaus(
    line: tuple[Scene, FaultyProxy, Sender],
) -> None:
    from yaosu.errors import YaosuError

    scene, proxy, sender = line
    goods = await stocked(scene, scene.market.pharmacy)
    message = sender.message("3505", {"selinfo": sale("CA1", goods.boxes[:1])})
    proxy.faults.append("change_answer")
    with pytest.raises((YaosuError, orjson.JSONDecodeError, AssertionError)):
        await sender.post(message, "3505")
    assert (await sender.post(message, "3505"))["infcode"] == "0"


async def test_the_same_box_settled_at_two_counters_at_once_is_paid_once(
    bureau: tuple[Running, Scene],
) -> None:
    one, scene = bureau
    goods = await stocked(scene, scene.market.hospital)

    def rows(n: str, code: str) -> list[dict[str, str]]:
        return [{"feedetl_sn": f"F{n}", "drug_trac_codg": code, "trdn_flag": "0", "min_prcunt_type": "1"}]

    async with httpx.AsyncClient(base_url=one.url, timeout=60) as client:
        desks = [Sender(scene.hospital, client), Sender(scene.pharmacy, client)]
        for number, code in enumerate(goods.boxes[:4]):
            answers = await asyncio.gather(
                *(
                    desk.send(
                        "2207",
                        {"data": {"mdtrt_id": f"V{number}{n}"}, "drug_trac_info": rows(f"{number}{n}", code)},
                    )
                    for n, desk in enumerate(desks * 2)
                )
            )
            assert sorted(a["infcode"] for a in answers) == ["-1", "-1", "-1", "0"]
            assert [r["state"] for r in await scene.rows(code)].count("S") == 1


async def test_a_bureau_that_was_killed_knows_what_it_answered(bureau: tuple[Running, Scene]) -> None:
    one, scene = bureau
    goods = await stocked(scene, scene.market.pharmacy)
    async with httpx.AsyncClient(base_url=one.url, timeout=60) as client:
        sender = Sender(scene.pharmacy, client)
        message = sender.message("3505", {"selinfo": sale("K9", goods.boxes[:1])})
        first = await sender.post(message, "3505")
        one.kill()
        one.start()
        again = await sender.post(message, "3505")
    assert again["output"] == first["output"]
    assert len(await scene.rows(goods.boxes[0])) == 1
    # and nothing personal went to the log
    log = one.log()
    for secret in ("王某某", "370102199001011234", scene.pharmacy.secret):
        assert secret not in log
