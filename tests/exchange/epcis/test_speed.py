"""Capture within twice the native API on the same goods (issue 4: done when)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
import pytest

from exchange.epcis.helpers import EXPIRES, MADE, World, code, commissioning, document, link, shipping

RUNS, CODES = 5, 1_000
FACTOR = 2.0


Work = Callable[[int], Awaitable[None]]


async def _timed(one: Work, other: Work) -> tuple[float, float]:
    """Median times of both, taken in turn, so that whatever else the machine does falls on both."""
    times: tuple[list[float], list[float]] = ([], [])
    for n in range(RUNS):
        for work, into in zip((one, other), times, strict=True):
            begin = time.perf_counter()
            await work(n)
            into.append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


@pytest.mark.slow
async def test_a_thousand_codes_take_at_most_twice_as_long_as_natively(world: World) -> None:
    sets = {
        kind: [[link(world.box, f"{kind}{n}{i:05d}") for i in range(CODES)] for n in range(RUNS)]
        for kind in "EN"
    }
    key = world.keys[world.maker]

    async def capture(doc: dict[str, object]) -> None:
        got = await world.client.post(
            "/epcis/capture", content=orjson.dumps(doc), headers={**key, "content-type": "application/json"}
        )
        assert got.status_code == 202, got.text
        job = await world.job(got.headers["location"])
        assert job["success"], job["errors"][:3]

    async def activate_epcis(n: int) -> None:
        await capture(document(commissioning(sets["E"][n], f"SE{n}")))

    async def activate_native(n: int) -> None:
        rows = ["code,level,parent,flag,batch_no,made_on,expires_on"]
        rows += [f"{code(c)},1,,,SN{n},{MADE},{EXPIRES}" for c in sets["N"][n]]
        got = await world.client.post(
            "/api/v1/relations?stock_in=true",
            content="\n".join(rows).encode(),
            headers={**key, "content-type": "text/csv"},
        )
        assert got.status_code == 200, got.text

    async def ship_epcis(n: int) -> None:
        await capture(document(shipping(sets["E"][n], world.party(world.wholesaler))))

    async def ship_native(n: int) -> None:
        body = {
            "type": 201,
            "bill_no": f"SP{n}",
            "happened_at": datetime.now(UTC).isoformat(),
            "to_org": world.uscc[world.wholesaler],
            "mode": "atomic",
            "codes": [code(c) for c in sets["N"][n]],
        }
        got = await world.client.post("/api/v1/movements", json=body, headers=key)
        assert got.json()["status"] == "accepted", got.text[:300]

    took = {
        "activate": await _timed(activate_epcis, activate_native),
        "ship": await _timed(ship_epcis, ship_native),
    }
    shown = {k: f"{ours * 1e3:.0f} ms / {native * 1e3:.0f} ms" for k, (ours, native) in took.items()}
    print(shown)
    for ours, native in took.values():
        assert ours <= FACTOR * native + 0.03, shown
