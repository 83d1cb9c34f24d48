"""The asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from yaosu_client import calls
from yaosu_client.calls import Call, Tries, arguments, options
from yaosu_client.errors import NotReachedError
from yaosu_client.model import Bill, Movement, Org, Result

T = TypeVar("T")


class AsyncYaosu:
    """One server and one API key. Use it in an `async with` block, or `close` it.

    `url` is the server's address, `key` an API key (`yk_…`), `lang` the language of messages (zh or en).
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        lang: str = "zh",
        timeout_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(transport=transport, **options(url, key, lang, timeout_s))

    async def __aenter__(self) -> AsyncYaosu:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def _do(self, call: Call[T]) -> T:
        tries = Tries(call)
        while True:
            try:
                answer = await self._http.request(call.method, call.path, **arguments(call))
                pause = tries.after_answer(answer)
                if pause is None:
                    return calls.read(call, answer)
            except httpx.HTTPError as error:
                pause = tries.after_error(error)
            await calls.rest(pause)

    async def submit(self, movement: Movement) -> Result:
        """Judge and record a bill; safe to repeat. Raises `RefusedError` when it is refused as a whole."""
        return await self._do(calls.submit(movement))

    async def submit_large(self, movement: Movement) -> str:
        """A bill of more than 10,000 and up to 1,000,000 codes: the number of its job, for `job` and `wait`."""
        return await self._do(calls.submit_large(movement))

    async def job(self, job_id: str) -> dict[str, Any]:
        """How far a job is: `state`, `done` of `total`, and at its end `result`."""
        return await self._do(calls.job(job_id))

    async def wait(self, job_id: str, every_s: float = 1.0, longest_s: float = 600.0) -> dict[str, Any]:
        """A job at its end. Raises `NotReachedError` when it takes longer than `longest_s`; it goes on all the same."""
        waited = 0.0
        while True:
            found = await self.job(job_id)
            if found["state"] not in calls.GOING_ON:
                return found
            if waited >= longest_s:
                raise NotReachedError(f"job {job_id} goes on: {found['done']} of {found['total']}")
            await calls.rest(every_s)
            waited += every_s

    async def send_file(self, data: bytes, name: str, send: bool = True) -> dict[str, Any]:
        """A file of bills (XML, TXT, CSV, XLSX …); `send` off answers the preview only. The same bytes again are the
        same file.
        """
        return await self._do(calls.send_file(data, name, send))

    async def file(self, file_id: int) -> dict[str, Any]:
        """What became of a file."""
        return await self._do(calls.file(file_id))

    async def check(self, movement: Movement) -> dict[str, Any]:
        """What submitting would say of each code now, without moving anything."""
        return await self._do(calls.check(movement))

    async def void(self, bill_id: int, reason: str) -> Result:
        """Take a bill back; refused when others built on it."""
        return await self._do(calls.void(bill_id, reason))

    async def bills(
        self,
        types: Sequence[int] = (),
        bill_no: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Bill]:
        """Bills, newest first; `before` is the number of the last one of the page before."""
        return await self._do(calls.bills(types, bill_no, before, limit))

    async def every_bill(
        self, types: Sequence[int] = (), bill_no: str | None = None, before: int | None = None
    ) -> AsyncIterator[Bill]:
        """All bills, newest first, page by page; what is recorded meanwhile is not among them."""
        while page := await self.bills(types, bill_no, before, calls.PAGE):
            for one in page:
                before = one.id
                yield one

    async def bill(self, bill_id: int) -> dict[str, Any]:
        """One bill with its codes, revisions and notes."""
        return await self._do(calls.bill(bill_id))

    async def verify(self, codes: Sequence[str]) -> list[dict[str, Any]]:
        """What is known of up to 1,000 codes, in order."""
        return await self._do(calls.verify(codes))

    async def history(self, code: str) -> dict[str, Any]:
        """What happened to a code, also while it was inside its case."""
        return await self._do(calls.history(code))

    async def notices(self, direction: str = "in", states: Sequence[str] = ()) -> list[dict[str, Any]]:
        """What is on its way to you (`in`) or from you (`out`), newest first, however many pages it takes."""
        found: list[dict[str, Any]] = []
        before: int | None = None
        while True:
            items, before = await self._do(calls.notices(direction, states, before))
            found += items
            if before is None:
                return found

    async def notice(self, bill_id: int) -> dict[str, Any]:
        """One notice with its package hierarchy."""
        return await self._do(calls.notice(bill_id))

    async def stock(self, org: Org | None = None) -> list[dict[str, Any]]:
        """Stock by product and batch, however many pages it takes."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            items, cursor = await self._do(calls.stock(org, cursor))
            found += items
            if cursor is None:
                return found

    async def capture(self, picture: bytes, verify: bool = False) -> dict[str, Any]:
        """All codes in a JPEG or PNG picture."""
        return await self._do(calls.capture(picture, verify))

    async def why(self, code: str) -> dict[str, Any]:
        """Why a code was not uploaded to a system it is owed to."""
        return await self._do(calls.why(code))
