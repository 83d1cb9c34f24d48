"""What can go wrong with a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class YaosuClientError(Exception):
    """Anything this package raises."""


class NotReachedError(YaosuClientError):
    """No answer after all tries. A submitted bill may or may not have been recorded: send the same one again."""


class RefusedError(YaosuClientError):
    """The server refused the request as a whole; nothing of it was saved.

    `code` is stable for ever, `message` and `next` are for people, `findings` name each field or code at fault.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.code: str = str(body.get("code", f"http_{status}"))
        self.message: str = str(body.get("message", f"HTTP {status}"))
        self.next: str = str(body.get("next", ""))
        self.params: dict[str, Any] = dict(body.get("params") or {})
        self.findings: Sequence[dict[str, Any]] = list(body.get("findings") or [])
        shown = "; ".join(f"{f.get('where', '')}: {f.get('message', '')}" for f in self.findings[:5])
        super().__init__(f"{self.code}: {self.message}" + (f" ({shown})" if shown else ""))
