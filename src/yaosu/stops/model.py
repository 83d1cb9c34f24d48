"""Values of the stops room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from yaosu.rules.world import Stop

Kind = Literal["recall", "lock", "suspension"]
Key = tuple[int, str]
"""(drug_id, code)"""

__all__ = ["Hit", "Key", "Kind", "Stop"]


@dataclass(frozen=True, slots=True)
class Hit:
    """The refusals one organisation met because of a stop."""

    org: int
    first_at: datetime
    last_at: datetime
    count: int
    first_code: str
