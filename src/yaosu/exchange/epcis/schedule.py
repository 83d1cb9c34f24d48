"""Schedules of subscriptions: second, minute, hour, dayOfMonth, month, dayOfWeek (EPCIS 2.0 §8.2.5.3), in UTC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from yaosu.errors import YaosuError

FIELDS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "dayOfMonth": (1, 31),
    "month": (1, 12),
    "dayOfWeek": (1, 7),
}
LOOK_AHEAD_DAYS = 800


def read(given: object) -> dict[str, str]:
    """A schedule as given, checked; refused (`epcis_subscription_form`) with the field."""
    if not isinstance(given, Mapping) or not given:
        raise YaosuError("epcis_subscription_form", {"field": "schedule", "reason": "second … dayOfWeek"})
    found = {}
    for name, text in given.items():
        if name not in FIELDS:
            raise YaosuError(
                "epcis_subscription_form", {"field": f"schedule.{str(name)[:40]}", "reason": "—"}
            )
        values(name, str(text))
        found[name] = str(text)
    return found


def values(name: str, text: str) -> frozenset[int] | None:
    """The values that fit a field; None for all."""
    low, high = FIELDS[name]
    text = text.strip()
    if text in ("", "*"):
        return None
    found: set[int] = set()
    for part in text.split(","):
        piece = re.fullmatch(r"\[?(\d{1,2})(?:-(\d{1,2}))?\]?(?:/(\d{1,2}))?|\*/(\d{1,2})", part.strip())
        if piece is None:
            raise YaosuError(
                "epcis_subscription_form", {"field": f"schedule.{name}", "reason": f"{low}–{high}"}
            )
        if piece[4]:
            begin, end, step = low, high, int(piece[4])
        else:
            begin = int(piece[1])
            step = int(piece[3]) if piece[3] else 1
            end = int(piece[2]) if piece[2] else high if piece[3] else begin
        if not low <= begin <= end <= high or step < 1:
            raise YaosuError(
                "epcis_subscription_form", {"field": f"schedule.{name}", "reason": f"{low}–{high}"}
            )
        found |= set(range(begin, end + 1, step))
    return frozenset(found)


def following(schedule: Mapping[str, str], after: datetime) -> datetime:
    """The first moment after `after` (UTC) that fits; a field left out fits any, seconds left out mean 0."""
    wanted = {name: values(name, schedule.get(name, "*")) for name in FIELDS}
    if "second" not in schedule:
        wanted["second"] = frozenset([0])
    at = after.replace(microsecond=0) + timedelta(seconds=1)
    for _ in range(LOOK_AHEAD_DAYS):
        if not _fits_day(wanted, at):
            at = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0)
            continue
        found = _in_day(wanted, at)
        if found is not None:
            return found
        at = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    raise YaosuError("epcis_subscription_form", {"field": "schedule", "reason": "never"})


def _fits_day(wanted: Mapping[str, frozenset[int] | None], at: datetime) -> bool:
    pairs = (("month", at.month), ("dayOfMonth", at.day), ("dayOfWeek", at.isoweekday()))
    return all(wanted[name] is None or value in (wanted[name] or ()) for name, value in pairs)


def _in_day(wanted: Mapping[str, frozenset[int] | None], at: datetime) -> datetime | None:
    hours, minutes, seconds = (wanted[n] for n in ("hour", "minute", "second"))
    for hour in range(at.hour, 24):
        if hours is not None and hour not in hours:
            continue
        for minute in range(at.minute if hour == at.hour else 0, 60):
            if minutes is not None and minute not in minutes:
                continue
            begin = at.second if (hour, minute) == (at.hour, at.minute) else 0
            for second in range(begin, 60):
                if seconds is None or second in seconds:
                    return at.replace(hour=hour, minute=minute, second=second)
    return None
