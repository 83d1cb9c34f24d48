"""Requests as values, and what their answers mean: the same for both clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from yaosu_client.errors import NotReachedError, RefusedError
from yaosu_client.model import Bill, Movement, Org, Result

T = TypeVar("T")
PAGE = 200
"""Items of one page; the server gives no more."""
STOCK_PAGE = 10_000
TRIES = 5
PAUSES_S = (0.3, 1.0, 3.0, 8.0)
"""Waiting before the second, third … try; a server that names a time (Retry-After) is believed instead."""
LATER = frozenset({429, 502, 503, 504})
NOT_BEGUN = frozenset({429, 503})
"""Answers that say that nothing was begun: also what must not be done twice may be sent again."""
NOT_KNOWN = "database_away"
"""The code of an answer that says that it may have been done: the server lost its database in the middle."""
PAUSE_MAX_S = 60.0
"""A server that asks for a longer wait than this is given up on; the caller knows better what to do meanwhile."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. `repeatable`: sending it twice does no harm, so it is sent again when no answer came."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    json: Any = None
    content: bytes | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True


def read(call: Call[T], answer: httpx.Response) -> T:
    """What an answer says. Raises `NotReachedError` when it is none of a Yaosu server: a network's sign-in page."""
    try:
        return call.read(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"what answered {call.method} {call.path} is no Yaosu server: {answer.text[:80]!r}"
        raise NotReachedError(reason) from error


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON of an answer."""
    found = answer.json()
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found


def result_of(answer: httpx.Response) -> Result:
    """The answer to a movement."""
    return Result.of(answer.json())


def items_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The items of a list."""
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def page_of(answer: httpx.Response) -> tuple[list[dict[str, Any]], Any]:
    """The items of a page, and where the next one begins."""
    found = answer.json()
    return found["items"], found.get("next")


def bills_of(answer: httpx.Response) -> list[Bill]:
    """A page of bills."""
    return [Bill.of(one) for one in answer.json()["items"]]


def submit(movement: Movement) -> Call[Result]:
    """Judge and record a bill."""
    return Call("POST", "/movements", result_of, json=movement.as_json())


def submit_large(movement: Movement) -> Call[str]:
    """A bill of more than 10,000 codes as a job; its number. Sent twice it is the same bill all the same."""
    return Call("POST", "/movements/jobs", lambda a: str(a.json()["job"]), json=movement.as_json())


def job(job_id: str) -> Call[dict[str, Any]]:
    """How far a job is."""
    return Call("GET", f"/jobs/{quote(job_id, safe='')}", body_of)


def send_file(data: bytes, name: str, send: bool) -> Call[dict[str, Any]]:
    """A file of bills. The same bytes again are the same file."""
    params = {"name": name, "send": "true" if send else "false"}
    headers = {"content-type": "application/octet-stream"}
    return Call("POST", "/files", body_of, content=data, params=params, headers=headers)


def file(file_id: int) -> Call[dict[str, Any]]:
    """A file that was sent."""
    return Call("GET", f"/files/{file_id}", body_of)


def check(movement: Movement) -> Call[dict[str, Any]]:
    """What submitting would say, without moving anything."""
    body = movement.as_json()
    context = {k: body[k] for k in ("type", "owner", "from_org", "to_org", "notice", "parts") if k in body}
    return Call("POST", "/movements/check", body_of, json={"codes": body["codes"], "context": context})


def void(bill_id: int, reason: str) -> Call[Result]:
    """Take a bill back."""
    return Call("POST", f"/bills/{bill_id}/void", result_of, json={"reason": reason}, repeatable=False)


def bills(types: Sequence[int], bill_no: str | None, before: int | None, limit: int) -> Call[list[Bill]]:
    """A page of bills, newest first."""
    params: dict[str, Any] = {"limit": limit}
    if types:
        params["type"] = list(types)
    if bill_no is not None:
        params["bill_no"] = bill_no
    if before is not None:
        params["before"] = before
    return Call("GET", "/bills", bills_of, params=params)


def bill(bill_id: int) -> Call[dict[str, Any]]:
    """One bill with its codes and notes."""
    return Call("GET", f"/bills/{bill_id}", body_of)


def verify(codes: Sequence[str]) -> Call[list[dict[str, Any]]]:
    """What is known of up to 1,000 codes."""
    return Call("POST", "/codes/verify", items_of, json={"codes": list(codes)})


def history(code: str) -> Call[dict[str, Any]]:
    """What happened to a code, its case and its pallet."""
    return Call("GET", f"/codes/{quote(code, safe='')}/history", body_of)


def notices(
    direction: str, states: Sequence[str], before: int | None = None
) -> Call[tuple[list[dict[str, Any]], int | None]]:
    """A page of what is on its way, newest first, and where the next one begins."""
    params: dict[str, Any] = {"direction": direction, "limit": PAGE}
    if states:
        params["state"] = list(states)
    if before is not None:
        params["before"] = before
    return Call("GET", "/notices", page_of, params=params)


def notice(bill_id: int) -> Call[dict[str, Any]]:
    """One notice with its packages."""
    return Call("GET", f"/notices/{bill_id}", body_of)


def stock(org: Org | None, cursor: str | None = None) -> Call[tuple[list[dict[str, Any]], str | None]]:
    """A page of the own stock by product and batch, and where the next one begins."""
    params: dict[str, Any] = {"limit": STOCK_PAGE}
    if org is not None:
        params["org"] = org
    if cursor is not None:
        params["cursor"] = cursor
    return Call("GET", "/stock", page_of, params=params)


def capture(picture: bytes, verify: bool) -> Call[dict[str, Any]]:
    """All codes in a JPEG or PNG picture."""
    media = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
    params = {"verify": "true"} if verify else {}
    return Call("POST", "/captures", body_of, content=picture, params=params, headers={"content-type": media})


def why(code: str) -> Call[dict[str, Any]]:
    """Why a code was not uploaded to the systems it is owed to."""
    return Call("GET", "/exchange/why", body_of, params={"code": code})


def options(url: str, key: str, lang: str, timeout_s: float) -> dict[str, Any]:
    """What an HTTP client is made with."""
    return {
        "base_url": url.rstrip("/") + "/api/v1",
        "headers": {
            "authorization": f"Bearer {key}",
            "accept-language": lang,
            "user-agent": "yaosu-client/0.1",
        },
        "timeout": timeout_s,
    }


def arguments(call: Call[Any]) -> dict[str, Any]:
    """The request in the words of httpx."""
    found: dict[str, Any] = {"params": dict(call.params), "headers": dict(call.headers)}
    if call.json is not None:
        found["json"] = call.json
    if call.content is not None:
        found["content"] = call.content
    return found


def _not_begun(answer: httpx.Response) -> bool:
    """Whether an answer says that nothing was done, and nothing will be."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    code = body.get("code") if isinstance(body, dict) else None
    return answer.status_code in NOT_BEGUN and code != NOT_KNOWN


class Tries:
    """How often one call was tried, and whether it may be tried again."""

    def __init__(self, call: Call[Any]) -> None:
        self._call = call
        self._done = 0

    def after_error(self, error: httpx.HTTPError) -> float:
        """Seconds to wait before the next try; raises when there is none."""
        never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        if not (self._call.repeatable or never_sent):
            raise NotReachedError(f"no answer to {self._call.method} {self._call.path}: {error!r}") from error
        return self._pause(error, None)

    def after_answer(self, answer: httpx.Response) -> float | None:
        """Seconds to wait before the next try; None when the answer is final. Raises `RefusedError`."""
        if answer.is_success:
            return None
        if answer.status_code in LATER and (self._call.repeatable or _not_begun(answer)):
            given = answer.headers.get("retry-after", "")
            return self._pause(None, float(given) if given.isdigit() else None)
        if answer.status_code in LATER:
            raise NotReachedError(f"no answer to {self._call.method} {self._call.path}: {answer.status_code}")
        try:
            body = answer.json()
        except ValueError:
            body = {}
        raise RefusedError(answer.status_code, body if isinstance(body, dict) else {})

    def _pause(self, error: Exception | None, named: float | None) -> float:
        self._done += 1
        if self._done >= TRIES or (named or 0) > PAUSE_MAX_S:
            raise NotReachedError(f"no answer to {self._call.method} {self._call.path}") from error
        return named if named is not None else PAUSES_S[self._done - 1]


GOING_ON = frozenset({"queued", "running"})
"""States of a job that is not at its end."""
sleep = time.sleep
rest = asyncio.sleep
"""Waiting of the synchronous and the asynchronous client."""
