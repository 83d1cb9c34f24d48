"""Row `verify_p99_ms`: how long a verification takes while the server also sells, receives and answers queries."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import numpy as np
import orjson

from yaosu.bench import http
from yaosu.bench.database import Server
from yaosu.bench.load import Job, drive, get, post
from yaosu.bench.measure import Row, Say, Scale

CONTAINS = (10, 20)
PER_CASE = 200
PER_MIDDLE = 10
CONNECTIONS = 64
WARM_UP_S = 2.0
SHARES = {"verify": 50, "sale": 30, "receipt": 8, "history": 6, "bills": 6}
"""What the requests are, in a hundred."""
ANSWERS = {
    "verify": '"found":true',
    "sale": '"status":"accepted"',
    "receipt": '"status":"accepted"',
    "history": '"events"',
    "bills": '"items"',
}


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Milliseconds, 99th percentile of verifications. Requests come at random times at a fixed mean rate."""
    span = scale.mixed_seconds + WARM_UP_S
    total = int(scale.mixed_rate * span)
    receipts = (total * SHARES["receipt"] // 100 + 100) * runs
    sales = (total * SHARES["sale"] // 100 + 200) * runs
    stores = scale.stores
    per_store = _whole_cases(-(-sales * http.SALE_CODES // stores))
    extra_boxes = _whole_cases(receipts * PER_MIDDLE)
    boxes = per_store * stores + extra_boxes
    async with http.place(server, say, "verify_p99_ms", boxes, stores, CONTAINS) as at:
        market, goods = at.market, at.goods
        first, second = market.wholesalers
        say(f"verify_p99_ms: spreading goods, {receipts:,} deliveries under way")
        await market.pass_on(market.maker, first, goods.cases)
        boxes_of = {}
        cases = per_store // PER_CASE
        for n, store in enumerate(market.stores):
            await market.pass_on(first, store, goods.cases[n * cases : (n + 1) * cases])
            boxes_of[store] = goods.boxes[n * per_store : (n + 1) * per_store]
        coming = goods.middles[per_store * stores // PER_MIDDLE :][:receipts]
        for middle in coming:
            await market.ship(first, second, [middle])
        await http.ready(at)
        tills = http.Tills(at.keys, boxes_of)
        rng = Random(7)  # noqa: S311 - a reproducible mixture
        kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
        by_kind: dict[str, list[list[float]]] = {kind: [] for kind in SHARES}
        received = 0
        for run in range(runs):
            say(f"verify_p99_ms: run {run + 1}: {scale.mixed_rate} requests/s for {scale.mixed_seconds:g} s")
            offsets = sorted(rng.uniform(0, span) for _ in range(total))
            chosen = [rng.choice(kinds) for _ in range(total)]
            sold = tills.take(chosen.count("sale"))
            tills.sent(len(sold))
            if len(sold) < chosen.count("sale"):
                raise RuntimeError(f"{len(sold)} sales made ready of {chosen.count('sale')}")
            selling = iter(sold)
            requests = []
            for kind in chosen:
                store = rng.choice(market.stores)
                asked = rng.choice(boxes_of[store])
                if kind == "verify":
                    requests.append(get(f"/api/v1/codes/{asked}", at.keys[store]))
                elif kind == "sale":
                    requests.append(next(selling))
                elif kind == "receipt":
                    body = _receipt(received, first, coming[received])
                    requests.append(post("/api/v1/movements", at.keys[second], body))
                    received += 1
                elif kind == "history":
                    requests.append(get(f"/api/v1/codes/{asked}/history", at.keys[store]))
                else:
                    requests.append(get("/api/v1/bills?limit=20", at.keys[store]))
            job = Job(
                at.running.host,
                at.running.port,
                CONNECTIONS,
                requests,
                [ANSWERS[kind] for kind in chosen],
                seconds=scale.mixed_seconds,
                warm_up=WARM_UP_S,
                offsets=offsets,
                kinds=chosen,
            )
            result = await drive(job)
            for kind, latencies in result.latencies.items():
                by_kind[kind].append(latencies)
    return Row(
        "verify_p99_ms",
        "ms",
        [float(np.percentile(one, 99)) for one in by_kind["verify"]],
        None,
        work=f"{scale.mixed_rate} requests/s for {scale.mixed_seconds:g} s, open loop: "
        + ", ".join(f"{share} % {kind}" for kind, share in SHARES.items()),
        extra={
            "by_kind_ms": {
                kind: {f"p{p}": float(np.percentile(np.concatenate(runs_of), p)) for p in (50, 95, 99, 100)}
                for kind, runs_of in by_kind.items()
                if runs_of
            },
            "connections": CONNECTIONS,
        },
    )


def _whole_cases(boxes: int) -> int:
    """At least so many boxes, in whole cases, and one case more: sales leave a box or two of a case over."""
    return (-(-boxes // PER_CASE) + 1) * PER_CASE


def _receipt(number: int, sender: int, code: str) -> str:
    body = {
        "type": 102,
        "bill_no": f"RK{number:07d}",
        "happened_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_org": sender,
        "codes": [code],
    }
    return orjson.dumps(body).decode()
