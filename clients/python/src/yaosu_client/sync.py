"""The synchronous client. Made from aio.py by generate_sync.py: change that one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from yaosu_client import calls
from yaosu_client.calls import Call, Tries, arguments, options
from yaosu_client.errors import NotReachedError
from yaosu_client.model import Bill, Movement, Org, Result

T = TypeVar("T")


class Yaosu:
    """One server and one API key. Use it in a `with` block, or `close` it.

    `url` is the server's address, `key` an API key (`yk_…`), `lang` the language of messages (zh or en).
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        lang: str = "zh",
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(transport=transport, **options(url, key, lang, timeout_s))

    def __enter__(self) -> Yaosu:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _do(self, call: Call[T]) -> T:
        tries = Tries(call)
        while True:
            try:
                answer = self._http.request(call.method, call.path, **arguments(call))
                pause = tries.after_answer(answer)
                if pause is None:
                    return calls.read(call, answer)
            except httpx.HTTPError as error:
                pause = tries.after_error(error)
            calls.sleep(pause)

    def submit(self, movement: Movement) -> Result:
        """Judge and record a bill; safe to repeat. Raises `RefusedError` when it is refused as a whole."""
        return self._do(calls.submit(movement))

    def submit_large(self, movement: Movement) -> str:
        """A bill of more than 10,000 and up to 1,000,000 codes: the number of its job, for `job` and `wait`."""
        return self._do(calls.submit_large(movement))

    def job(self, job_id: str) -> dict[str, Any]:
        """How far a job is: `state`, `done` of `total`, and at its end `result`."""
        return self._do(calls.job(job_id))

    def wait(self, job_id: str, every_s: float = 1.0, longest_s: float = 600.0) -> dict[str, Any]:
        """A job at its end. Raises `NotReachedError` when it takes longer than `longest_s`; it goes on all the same."""
        waited = 0.0
        while True:
            found = self.job(job_id)
            if found["state"] not in calls.GOING_ON:
                return found
            if waited >= longest_s:
                raise NotReachedError(f"job {job_id} goes on: {found['done']} of {found['total']}")
            calls.sleep(every_s)
            waited += every_s

    def send_file(self, data: bytes, name: str, send: bool = True) -> dict[str, Any]:
        """A file of bills (XML, TXT, CSV, XLSX …); `send` off answers the preview only. The same bytes again are the
        same file.
        """
        return self._do(calls.send_file(data, name, send))

    def file(self, file_id: int) -> dict[str, Any]:
        """What became of a file."""
        return self._do(calls.file(file_id))

    def check(self, movement: Movement) -> dict[str, Any]:
        """What submitting would say of each code now, without moving anything."""
        return self._do(calls.check(movement))

    def void(self, bill_id: int, reason: str) -> Result:
        """Take a bill back; refused when others built on it."""
        return self._do(calls.void(bill_id, reason))

    def bills(
        self,
        types: Sequence[int] = (),
        bill_no: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Bill]:
        """Bills, newest first; `before` is the number of the last one of the page before."""
        return self._do(calls.bills(types, bill_no, before, limit))

    def every_bill(
        self, types: Sequence[int] = (), bill_no: str | None = None, before: int | None = None
    ) -> Iterator[Bill]:
        """All bills, newest first, page by page; what is recorded meanwhile is not among them."""
        while page := self.bills(types, bill_no, before, calls.PAGE):
            for one in page:
                before = one.id
                yield one

    def bill(self, bill_id: int) -> dict[str, Any]:
        """One bill with its codes, revisions and notes."""
        return self._do(calls.bill(bill_id))

    def verify(self, codes: Sequence[str]) -> list[dict[str, Any]]:
        """What is known of up to 1,000 codes, in order."""
        return self._do(calls.verify(codes))

    def history(self, code: str) -> dict[str, Any]:
        """What happened to a code, also while it was inside its case."""
        return self._do(calls.history(code))

    def notices(self, direction: str = "in", states: Sequence[str] = ()) -> list[dict[str, Any]]:
        """What is on its way to you (`in`) or from you (`out`), newest first, however many pages it takes."""
        found: list[dict[str, Any]] = []
        before: int | None = None
        while True:
            items, before = self._do(calls.notices(direction, states, before))
            found += items
            if before is None:
                return found

    def notice(self, bill_id: int) -> dict[str, Any]:
        """One notice with its package hierarchy."""
        return self._do(calls.notice(bill_id))

    def stock(self, org: Org | None = None) -> list[dict[str, Any]]:
        """Stock by product and batch, however many pages it takes."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            items, cursor = self._do(calls.stock(org, cursor))
            found += items
            if cursor is None:
                return found

    def capture(self, picture: bytes, verify: bool = False) -> dict[str, Any]:
        """All codes in a JPEG or PNG picture."""
        return self._do(calls.capture(picture, verify))

    def why(self, code: str) -> dict[str, Any]:
        """Why a code was not uploaded to a system it is owed to."""
        return self._do(calls.why(code))
