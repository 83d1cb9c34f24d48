"""Everybody on one AppKey keeps one pace, whatever connection or server process calls (§2.6)."""

from __future__ import annotations

import asyncio
import time

import pytest

from yaosu.db.engine import Pool
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.top.client import pacing

pytestmark = pytest.mark.asyncio(loop_scope="module")
RATE = 20.0
NEXT_CALL = "SELECT next_call FROM delivery_gate WHERE target = 'top.key' AND target_id = $1"


def link(number: int, app_key: str, url: str = "https://platform.example/router/rest") -> Link:
    return Link(number, 9, "top", "", "t", url, {"app_key": app_key}, {})


async def test_two_connections_with_one_key_call_no_faster_than_one(pool: Pool) -> None:
    one, other, stranger = link(1, "10000001"), link(2, "10000001"), link(3, "10000002")
    began = time.monotonic()
    turns = [pacing.turn(pool, who, RATE, 5) for who in (one, other) * 5]
    waited = sorted(w for w in await asyncio.gather(*turns) if w is not None)
    assert len(waited) == 10 and waited[0] < 1 / RATE
    assert time.monotonic() - began >= 9 / RATE - 0.01, "ten calls take nine steps"
    free = await pacing.turn(pool, stranger, RATE, 5)
    assert free is not None and free < 1 / RATE, "another key has a pace of its own"


async def test_a_turn_beyond_ones_patience_is_not_taken(pool: Pool) -> None:
    one = link(1, "10000003")
    slow = 1 / 600
    assert await pacing.turn(pool, one, slow, 5) is not None
    next_call = await pool.fetchval(NEXT_CALL, pacing.number_of(one))
    assert await pacing.turn(pool, one, slow, 60) is None
    assert await pool.fetchval(NEXT_CALL, pacing.number_of(one)) == next_call, (
        "what was not taken is nobody's"
    )


async def test_a_key_that_the_platform_shut_is_left_alone_by_everybody(pool: Pool) -> None:
    one, other = link(1, "10000004"), link(2, "10000004")
    began = time.monotonic()
    await pacing.shut(pool, one, 0.5)
    assert await pacing.turn(pool, other, 0, 5) is not None
    assert time.monotonic() - began >= 0.49
    assert await pacing.turn(pool, other, 0, 5) == pytest.approx(0, abs=0.05), "no pace is asked of it"
    elsewhere = link(3, "10000004", "https://other.example/router/rest")
    assert pacing.number_of(elsewhere) != pacing.number_of(one)
