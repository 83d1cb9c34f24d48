"""How a channel's deliveries are paced: pauses, limits and rates, all from the lists `delivery_retry` and
`delivery_channel` (D11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yaosu.registry.lists import CodeLists

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Pace:
    """One channel's. `retries`: seconds after the 1st, 2nd, … failure; asking waits twice as long each time.

    `gives_up`: after the last try it is given up and the lane goes on; otherwise it waits for a person and its lane
    waits with it. `calls_per_s` 0 means no limit. `keep_days`: how long the content of settled deliveries is kept.
    """

    retries: tuple[float, ...]
    gives_up: bool
    lease_s: float = 60.0
    calls_per_s: float = 0.0
    burst: int = 1
    ask_first_s: float = 5.0
    ask_most_s: float = 3600.0
    ask_times: int = 200
    keep_days: int = 90

    def retry_pause(self, tries: int) -> float | None:
        """Seconds until the next try after `tries` failed ones; None when there is none."""
        return self.retries[tries - 1] if 1 <= tries <= len(self.retries) else None

    def ask_pause(self, asked: int) -> float | None:
        """Seconds until they are asked (again) after `asked` answers that brought nothing new."""
        if asked >= self.ask_times:
            return None
        return min(self.ask_most_s, self.ask_first_s * 2.0 ** min(asked, 20))


def pace_of(lists: CodeLists, channel: str) -> Pace:
    """The channel's own entries, or those of `default`."""
    item = lists.item("delivery_channel", channel) or lists.item("delivery_channel", DEFAULT)
    attrs: dict[str, Any] = dict(item.attrs) if item is not None else {}
    retries = _retries(lists, f"{channel}.") or _retries(lists, "")
    return Pace(
        retries,
        bool(attrs.get("gives_up", False)),
        float(attrs.get("lease_s", 60)),
        float(attrs.get("calls_per_s", 0)),
        int(attrs.get("burst", 1)),
        float(attrs.get("ask_first_s", 5)),
        float(attrs.get("ask_most_s", 3600)),
        int(attrs.get("ask_times", 200)),
        int(attrs.get("keep_days", 90)),
    )


def _retries(lists: CodeLists, prefix: str) -> tuple[float, ...]:
    found: list[float] = []
    while (item := lists.item("delivery_retry", f"{prefix}{len(found) + 1}")) is not None:
        found.append(float(str(item.attrs["seconds"])))
    return tuple(found)
