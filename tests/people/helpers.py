"""Persons for tests: valid numbers that belong to nobody, and register rows without a bill behind them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from yaosu.codes.identifiers.identity_card import identity_card_check_character
from yaosu.people.keeper import Keeper
from yaosu.people.model import Given, Purchase

KEEPER = Keeper(bytes(range(32)))
NOW = datetime(2026, 6, 1, 4, tzinfo=UTC)
_numbers = itertools.count(1)


def card(region: str = "650102", born: str = "19800101", sequence: int | None = None) -> str:
    """A right identity-card number."""
    body = f"{region}{born}{(next(_numbers) if sequence is None else sequence) % 1000:03d}"
    return body + identity_card_check_character(body)


def given(name: str = "买买提", kind: str = "1", number: str = "", phone: str = "13800001234") -> Given:
    """Somebody at the counter."""
    return Given(kind, number or card(), name, phone)


def purchase(org: int, drug_id: int, person: int | None, qty: int = 1, **more: Any) -> Purchase:
    """One line of a retail sale."""
    values: dict[str, Any] = {"bill_type": 321, "batch_id": 1, "codes": ["c"], "happened_at": NOW, **more}
    return Purchase(org=org, person=person, drug_id=drug_id, qty=qty, **values)
