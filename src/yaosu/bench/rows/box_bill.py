"""Row `box_bill`: a bill of box codes, out and in, against a bare UPDATE of the same rows."""

from __future__ import annotations

import time
from statistics import median

from yaosu.bench.database import Server, fresh, settle
from yaosu.bench.market import Market, open_market
from yaosu.bench.measure import Row, Say, Scale, spread

CONTAINS = (10, 20)
BESIDE = 4
"""The table holds this many times the boxes that move."""
# The columns that a bill changes, given the values they have: the rows are rewritten and stay as they were.
BARE_UPDATE = """
UPDATE unit u SET last_bill = $3, status = $4, holder = $5, dest = $6, notice = $7, since = $8
FROM unnest($2::text[]) AS v(code) WHERE u.drug_id = $1 AND u.code = v.code"""
STATE = "SELECT last_bill, status, holder, dest, notice, since FROM unit WHERE drug_id = $1 AND code = $2"


async def _bare(market: Market, codes: list[str]) -> float:
    """Two durable bare updates of these rows, as a bill out and a bill in are two; seconds."""
    state = await market.conn.fetchrow(STATE, market.drug_id, codes[0])
    assert state is not None
    seconds = 0.0
    for _ in range(2):
        begun = time.perf_counter()
        done = await market.conn.execute(BARE_UPDATE, market.drug_id, codes, *state.values())
        seconds += time.perf_counter() - begun
        if done != f"UPDATE {len(codes)}":
            raise RuntimeError(f"the bare update changed other rows: {done} of {len(codes)}")
    return seconds


async def _both(market: Market, sets: list[list[str]], sender: int, receiver: int) -> tuple[float, float]:
    """Codes per second of ours and of the bare update, taking turns set by set."""
    ours, bare = 0.0, 0.0
    for n, codes in enumerate(sets):
        if n % 2:
            bare += await _bare(market, codes)
        ours += await market.ship(sender, receiver, codes)
        ours += await market.receive(receiver, sender, codes)
        if not n % 2:
            bare += await _bare(market, codes)
    codes_moved = 2 * sum(len(codes) for codes in sets)
    return codes_moved / ours, codes_moved / bare


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Codes per second. Every set of boxes first goes out of its cases, then once more, loose."""
    size = scale.bill_codes
    per_run = scale.bill_sets
    moved = (runs + 1) * per_run * size
    async with fresh(server) as database, database.pool.acquire() as conn:
        say(f"box_bill: activating {moved * BESIDE:,} boxes")
        market = await open_market(database, conn, CONTAINS)
        goods = await market.activate(moved * BESIDE, "B1")
        first, second = market.wholesalers
        await market.pass_on(market.maker, first, goods.cases)
        await settle(database.pool)
        sets = [goods.boxes[a : a + size] for a in range(0, moved, size)]
        figures: dict[str, list[float]] = {"ours": [], "bare": [], "case_ours": [], "case_bare": []}
        for run in range(runs + 1):
            # the first run warms up caches and prepared statements and is not counted
            say(f"box_bill: {'warm-up' if not run else f'run {run}'}")
            part = sets[run * per_run : (run + 1) * per_run]
            cased = await _both(market, part, first, second)
            loose = await _both(market, part, second, first)
            if run:
                for name, value in zip(figures, (*loose, *cased), strict=True):
                    figures[name].append(value)
    return Row(
        "box_bill",
        "codes/s",
        figures["ours"],
        figures["bare"],
        work=f"bills of {size:,} loose boxes shipped (201) and received (102), each committed",
        against="a bare UPDATE … FROM unnest of the same rows for each bill, each committed",
        extra={
            "out_of_case": {
                "ours": spread(figures["case_ours"]),
                "baseline": spread(figures["case_bare"]),
                "ratio": median(figures["case_ours"]) / median(figures["case_bare"]),
            },
            "bills_per_run": 2 * per_run,
        },
    )
