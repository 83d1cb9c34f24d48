"""Times of EPCIS: always with their offset (EPCIS 2.0 §7.4, dateTimeStamp)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def moment(text: str) -> datetime | None:
    """A time with date, seconds and offset; None for anything else."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return None
    try:
        fraction = (found[2] or "0")[:6].ljust(6, "0")
        return datetime.fromisoformat(f"{found[1]}.{fraction}{found[3].replace('Z', '+00:00')}")
    except ValueError:
        return None


def offset(text: str) -> timedelta | None:
    """`+08:00` as a span; None when it is none or beyond ±14:00."""
    found = _OFFSET.fullmatch(text)
    if found is None or int(found[3]) > 59:
        return None
    span = timedelta(hours=int(found[2]), minutes=int(found[3]))
    if span > timedelta(hours=14):
        return None
    return -span if found[1] == "-" else span


def stamp(at: datetime) -> str:
    """A time as we write it: UTC with milliseconds, as the event hash wants it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
