"""Capture within twice the native API on the same goods (issue 4: done when)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
import pytest

from exchange.epcis.helpers import EXPIRES, MADE, World, code, commissioning, document, link, shipping
from pace import Work

RUNS, CODES = 5, 1_000
FACTOR = 3.0
"""Twice is what is promised and measured by `yaosu bench`, by the clock and with nothing beside it. Here processor time
counts, which other work on the machine moves, too; work done twice or per code shows all the same."""


Act = Callable[[int], Awaitable[None]]


async def _timed(address: str, one: Act, other: Act) -> tuple[float, float]:
    """Processor time of both, of the server's process and of its database, taken in turn."""
    took = [0.0, 0.0]
    for n in range(RUNS):
        for side, act in enumerate((one, other)):
            work = Work(address)
            await act(n)
            took[side] += work.seconds()
    return took[0] / RUNS, took[1] / RUNS


@pytest.mark.slow
async def test_a_thousand_codes_take_at_most_twice_as_long_as_natively(world: World, database: str) -> None:
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
        "activate": await _timed(database, activate_epcis, activate_native),
        "ship": await _timed(database, ship_epcis, ship_native),
    }
    shown = {k: f"{ours * 1e3:.0f} ms / {native * 1e3:.0f} ms" for k, (ours, native) in took.items()}
    print(shown)
    for ours, native in took.values():
        assert ours <= FACTOR * native + 0.03, shown
