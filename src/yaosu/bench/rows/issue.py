"""Row `issue`: codes of a code request to a file, against the same number of bytes of random digits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

from yaosu.bench.database import Server
from yaosu.bench.market import MASTER
from yaosu.bench.measure import Row, Say, Scale, interleave, spread
from yaosu.production.download import stream
from yaosu.production.requests import CodeRange, CodeRequest

LINE = 21
"""20 digits and a line feed."""
CHUNK_LINES = 1 << 16
"""As many lines at a time as the code file's stream has."""


def _request(codes: int, run: int) -> CodeRequest:
    one = CodeRange(1, "cn20", f"838579{run % 10}", 1, 0, codes)
    return CodeRequest(1, 1, 1, 1, "ready", "", "", codes, None, datetime.now(UTC), None, 0, (one,))


def _random_digits(codes: int, run: int) -> Iterator[bytes]:
    """Lines of random digits: numpy's PCG64 gives every byte, then line feeds are set."""
    generator = np.random.default_rng(run)
    for first in range(0, codes, CHUNK_LINES):
        n = min(CHUNK_LINES, codes - first)
        digits = generator.integers(48, 58, n * LINE, dtype=np.uint8)
        digits[LINE - 1 :: LINE] = 10
        yield digits.tobytes()


def _ready(codes: int) -> Iterator[bytes]:
    """One buffer over and over: what writing alone costs."""
    line = b"8" * (LINE - 1) + b"\n"
    chunk = line * CHUNK_LINES
    for first in range(0, codes, CHUNK_LINES):
        yield chunk[: min(CHUNK_LINES, codes - first) * LINE]


def _written(path: Path, codes: int, make: Callable[[], Iterator[bytes]]) -> float:
    """Codes per second into a new file, closed but not forced to disk."""
    begun = time.perf_counter()
    with path.open("wb") as file:
        for chunk in make():
            file.write(chunk)
    seconds = time.perf_counter() - begun
    size = path.stat().st_size
    path.unlink()
    if size != codes * LINE:
        raise RuntimeError(f"{size} bytes written for {codes} codes")
    return codes / seconds


async def measure(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Codes per second into a file of lines."""
    codes, path = scale.issue_codes, server.folder / "codes.txt"

    async def side(make: Callable[[], Iterator[bytes]]) -> float:
        return await asyncio.to_thread(_written, path, codes, make)

    async def before(run: int) -> None:
        say(f"issue: run {run + 1}")

    # the tables of a key are made once per prefix and stay; every run pays for a new prefix
    mine, digits, ready = await interleave(
        runs,
        lambda run: side(lambda: stream(_request(codes, run), MASTER)),
        lambda run: side(lambda: _random_digits(codes, run)),
        lambda run: side(lambda: _ready(codes)),
        before=before,
    )
    return Row(
        "issue",
        "codes/s",
        mine,
        digits,
        work=f"{codes:,} codes of one request as a text file, one per line",
        against="random digits (numpy PCG64, one number 48…57 per byte) of the same length written the same way",
        extra={"ready_buffer": spread(ready), "ratio_to_ready_buffer": median(mine) / median(ready)},
    )
