"""Dates of a batch, and the four ways in which shelf life becomes an expiry date (standards §8.3)."""

from __future__ import annotations

import calendar
import re
import unicodedata
from datetime import date, timedelta

from yaosu.access.types import is_clean
from yaosu.production.relation.columns import Columns
from yaosu.production.relation.model import BatchPart

_DATE = re.compile(
    r"(\d{4})[-./](\d{1,2})(?:[-./](\d{1,2}))?|(\d{4})(\d{2})(\d{2})?|(\d{4})年(\d{1,2})月(?:(\d{1,2})日)?"
)
_TIME = re.compile(r"[ T]+(上午|下午)? ?\d{1,2}:\d{2}(:\d{2})?(\.\d+)?(\+08:?00)?\Z")

EXPIRY_RULES = ("same_day", "day_before", "month_before_end", "month_end")
"""Made + shelf life: that day, the day before, the last day of the month before, the last day of its month."""


def parse_date(text: str, last_of_month: bool) -> date | None:
    """A day as files write it (2026-09-23, 2026.9.23, 20260923, 2026年9月23日); a month alone only as an expiry."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    matched = _DATE.fullmatch(_TIME.sub("", text.strip()))
    if matched is None:
        return None
    year, month, day = next(
        (matched.group(i), matched.group(i + 1), matched.group(i + 2)) for i in (1, 4, 7) if matched.group(i)
    )
    try:
        if day is None:
            if not last_of_month:
                return None
            return date(int(year), int(month), calendar.monthrange(int(year), int(month))[1])
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def read_date(part: BatchPart, columns: Columns) -> None:
    """Fill in both dates of a part and report what cannot be read; a batch number is needed too."""
    where = columns.where(part.line)
    if not part.batch_no:
        columns.problems.add("relation_batch_no_missing", where)
    elif len(part.batch_no) > 40:
        columns.problems.add("relation_value_too_long", where, name="batchNo", limit=40)
    for name in ("batch_no", "workshop", "line_name", "line_manager"):
        if not is_clean(getattr(part, name)):
            columns.problems.add("relation_text_unclean", where, name=name)
    part.made_on = parse_date(part.made_text, last_of_month=False)
    part.expires_on = parse_date(part.expires_text, last_of_month=True)
    for name, text, value in (
        ("madeDate", part.made_text, part.made_on),
        ("validateDate", part.expires_text, part.expires_on),
    ):
        if value is None:
            columns.problems.add("relation_date_unreadable", where, name=name, value=text[:30])


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def add_shelf_life(made: date, shelf_life: int, unit: int) -> date | None:
    """The day `shelf_life` days (unit 1), months (2) or years (3) later; the last day where a month is shorter."""
    try:
        if unit == 1:
            return made + timedelta(days=shelf_life)
        months = made.year * 12 + made.month - 1 + shelf_life * (12 if unit == 3 else 1)
        year, month = divmod(months, 12)
        last = calendar.monthrange(year, month + 1)[1]
        return date(year, month + 1, min(made.day, last))
    except (OverflowError, ValueError):
        return None


def expiry_dates(made: date, shelf_life: int, unit: int) -> dict[str, date]:
    """The expiry date by each of the four rules; empty when it lies beyond the calendar."""
    due = add_shelf_life(made, shelf_life, unit)
    if due is None:
        return {}
    return dict(
        zip(
            EXPIRY_RULES,
            (due, due - timedelta(days=1), due.replace(day=1) - timedelta(days=1), _month_end(due)),
            strict=True,
        )
    )
