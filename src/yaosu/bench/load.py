"""The load generator: HTTP/1.1 keep-alive over raw sockets, in a process of its own, the same for every side.

It reads one `Job` as JSON from standard input and writes one `Result` as JSON. Requests are bytes made beforehand;
of an answer it looks at the status, the length, and one expected text, so that its own work hardly counts.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
import orjson
import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
DRAIN_S = 30.0


@dataclass(slots=True)
class Job:
    """What to send.

    Without `offsets`: closed loop, every connection sends its next request when it has its answer, for `warm_up` +
    `seconds`. With `offsets` (seconds from the start, one per request): open loop at these times whatever the answers
    do, and the latency of each counts from its time, so that a server that stalls cannot hide it.
    """

    host: str
    port: int
    connections: int
    requests: list[str]
    expect: list[str]
    """A text that every answer to the request of the same place holds; one for all when there is one."""
    seconds: float = 0.0
    warm_up: float = 0.0
    cycle: bool = False
    """Begin again with the first request when all are sent."""
    offsets: list[float] | None = None
    kinds: list[str] = field(default_factory=list)
    """Open loop: the kind of each request, for latencies by kind."""
    status: int = 200
    """The status that every answer must have."""


@dataclass(slots=True)
class Result:
    """What came back. `per_second` counts answers between warm-up and end; latencies are milliseconds."""

    answers: int
    total: int
    """All answers, those during the warm-up too."""
    seconds: float
    per_second: float
    sent: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    latencies: dict[str, list[float]]
    failure: str = ""


class _Wire(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.number = -1
        self.begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, number: int, begun: float) -> None:
        assert self._transport is not None
        self.number, self.begun = number, begun
        self._transport.write(self._driver.requests[number])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(_END)
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(_LENGTH)
        if at < 0:
            self._driver.fail(f"an answer without length: {head[:200]!r}")
            return
        length = int(head[at + len(_LENGTH) : (head + b"\r\n").find(b"\r\n", at)])
        whole = end + len(_END) + length
        if len(self._buffer) < whole:
            return
        answer = bytes(self._buffer[:whole])
        del self._buffer[:whole]
        self._driver.answered(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._driver.over:
            self._driver.fail(f"connection lost: {exc!r}")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Driver:
    """Sends the requests of a job over its connections and keeps the times."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.requests = [r.encode() for r in job.requests]
        self._expect = [e.encode() for e in job.expect]
        self._status = f"HTTP/1.1 {job.status} ".encode()
        self._next = 0
        self._waiting: deque[tuple[int, float]] = deque()
        self._idle: deque[_Wire] = deque()
        self._times: list[tuple[float, float, int]] = []
        self._done = asyncio.Event()
        self._stop_at = 0.0
        self._open_left = 0
        self.over = False
        self.failure = ""

    async def run(self) -> Result:
        """Everything, from connecting to the figures."""
        loop, job = asyncio.get_running_loop(), self._job
        wires = []
        for _ in range(job.connections):
            _, wire = await loop.create_connection(lambda: _Wire(self), job.host, job.port)
            wires.append(wire)
        begun = time.perf_counter()
        if job.offsets is None:
            self._stop_at = begun + job.warm_up + job.seconds
            self._open_left = len(wires)
            for wire in wires:
                self._following(wire)
        else:
            self._open_left = len(job.offsets)
            # in turn, so that none is idle long enough for the server to close it
            self._idle.extend(wires)
            for number, offset in enumerate(job.offsets):
                due = begun + offset
                while (wait := due - time.perf_counter()) > 0:  # noqa: ASYNC110 - it is the clock that is waited for
                    await asyncio.sleep(wait)
                if self.over:
                    break
                if self._idle:
                    self._idle.popleft().send(number, due)
                else:
                    self._waiting.append((number, due))
        async with asyncio.timeout(job.warm_up + job.seconds + DRAIN_S):
            await self._done.wait()
        self.over = True
        for wire in wires:
            wire.close()
        return self._result(begun + job.warm_up)

    def answered(self, wire: _Wire, answer: bytes) -> None:
        """Take an answer, send the next request."""
        now = time.perf_counter()
        expect = self._expect[wire.number if len(self._expect) > 1 else 0]
        if not answer.startswith(self._status) or expect not in answer:
            self.fail(f"not the expected answer: {answer[:1500]!r}")
            return
        self._times.append((now, now - wire.begun, wire.number))
        if self._job.offsets is None:
            self._following(wire)
            return
        self._open_left -= 1
        if not self._open_left:
            self._done.set()
        elif self._waiting:
            wire.send(*self._waiting.popleft())
        else:
            self._idle.append(wire)

    def _following(self, wire: _Wire) -> None:
        now, number = time.perf_counter(), self._next
        if number >= len(self.requests) and self._job.cycle:
            number = self._next = 0
        if now >= self._stop_at or number >= len(self.requests) or self.over:
            self._open_left -= 1
            if not self._open_left:
                self._done.set()
            return
        self._next = number + 1
        wire.send(number, now)

    def fail(self, why: str) -> None:
        """Stop with a reason: a benchmark of errors is none."""
        self.failure = self.failure or why
        self.over = True
        self._done.set()

    def _result(self, counted_from: float) -> Result:
        job = self._job
        ends = [t for t in self._times if t[0] >= counted_from]
        if job.offsets is None:
            ends = [t for t in ends if t[0] <= self._stop_at]
        last = max((t[0] for t in ends), default=counted_from)
        # all requests may be used up before the time: then it ends with the last answer
        until = last if job.offsets is not None else min(self._stop_at, max(last, counted_from))
        seconds = max(until - counted_from, 1e-9)
        latencies: dict[str, list[float]] = {}
        if job.kinds:
            for _, latency, number in ends:
                latencies.setdefault(job.kinds[number], []).append(latency * 1000)
        ms = np.array([t[1] for t in ends] or [0.0]) * 1000
        return Result(
            answers=len(ends),
            total=len(self._times),
            seconds=seconds,
            per_second=len(ends) / seconds,
            sent=self._next if job.offsets is None else len(job.offsets),
            p50_ms=float(np.percentile(ms, 50)),
            p99_ms=float(np.percentile(ms, 99)),
            max_ms=float(ms.max()),
            latencies=latencies,
            failure=self.failure,
        )


def get(path: str, key: str) -> str:
    """A GET request with an API key, as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {key}\r\naccept: application/json\r\n\r\n"


def post(path: str, key: str, body: str, media: str = "application/json") -> str:
    """A POST request with an API key (none where `key` is empty), as it goes over the wire."""
    named = f"x-api-key: {key}\r\n" if key else ""
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{named}accept: application/json\r\n"
        f"content-type: {media}\r\ncontent-length: {len(body.encode())}\r\n\r\n{body}"
    )


async def drive(job: Job) -> Result:
    """Run a job in a process of its own. Raises RuntimeError when an answer was not the expected one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "yaosu.bench.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(orjson.dumps(asdict(job)))
    if process.returncode != 0:
        raise RuntimeError(f"the load generator ended with exit code {process.returncode}")
    result = Result(**orjson.loads(out))
    if result.failure:
        raise RuntimeError(f"the load generator met {result.failure}")
    return result


def main(argv: Sequence[str] = ()) -> None:
    """Job from standard input, result to standard output."""
    values: dict[str, Any] = orjson.loads(sys.stdin.buffer.read())
    result = uvloop.run(Driver(Job(**values)).run())
    sys.stdout.buffer.write(orjson.dumps(asdict(result)))


if __name__ == "__main__":
    main()
