"""Bills by hand for tests of the rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from yaosu.exchange.outbox.model import RoutedBill, RoutedLine

AT = datetime(2026, 3, 1, 1, 30, 5, tzinfo=UTC)


def line(code: str, **more: Any) -> RoutedLine:
    values: dict[str, Any] = {
        "drug_id": 7,
        "batch_id": 3,
        "batch_no": "240101",
        "produced_on": "2024-01-01",
        "expires_on": "2026-12-31",
        "level": 1,
        "qty": 1,
        "home": 1,
        **more,
    }
    return RoutedLine(code=code, **values)


def bill(type: int, lines: list[RoutedLine] | None = None, **more: Any) -> RoutedBill:
    values: dict[str, Any] = {
        "id": 55,
        "owner": 9,
        "submitter": 9,
        "bill_no": "S-1",
        "kind": "use",
        "revision": 1,
        "void": False,
        "from_org": None,
        "to_org": None,
        "principal": None,
        "carrier": None,
        "direct_org": None,
        "happened_at": AT,
        "recorded_at": AT,
        "header": {},
        **more,
    }
    return RoutedBill(type=type, lines=lines if lines is not None else [line("81"), line("82")], **values)
