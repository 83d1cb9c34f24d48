"""Unit statuses (追溯码状态) and what each means; the letters are the field's (standards §5.7).

Q 待处理 and D 拆零中 are ours: goods in hand that must not enter stock until disposed of (R-B4), and opened boxes
that are dispensed in parts (R-C9). B and E are never stored:
B is computed for issued codes without a unit (D6), E is a code nobody knows.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Status of a unit."""

    APPLIED = "B"
    ACTIVATED = "A"
    IN_STOCK = "I"
    SHIPPED = "O"
    SOLD = "S"
    CANCELLED = "C"
    DESTROYED = "X"
    DISABLED = "N"
    QUARANTINE = "Q"
    OPENED = "D"
    PRODUCED = "P"
    """Not a unit's status: the contra account that activation draws on (D4)."""
    UNCODED = "U"
    """Not a unit's status: stock without codes, by quantity (无码库, R-C8)."""
    UNCODED_SOLD = "T"
    """Not a unit's status: uncoded goods sold or settled."""
    UNCODED_OUTSIDE = "W"
    """Not a unit's status: the contra account of uncoded goods; may be below nothing."""


LABELS = {
    "B": ("申请未激活", "applied"),
    "A": ("已激活", "activated"),
    "I": ("在库", "in stock"),
    "O": ("已出库（在途）", "shipped"),
    "S": ("已售出/已使用", "sold or used"),
    "C": ("已注销", "cancelled"),
    "X": ("已销毁", "destroyed"),
    "N": ("已停用", "disabled"),
    "Q": ("待处理", "quarantine"),
    "D": ("拆零中", "opened"),
    "P": ("生产", "produced"),
    "U": ("无码在库", "uncoded stock"),
    "T": ("无码已售", "uncoded, sold"),
    "W": ("无码对方", "uncoded, outside"),
    "E": ("不存在", "unknown"),
}


def label(status: str, lang: str = "zh") -> str:
    """Name of a status in the reader's language."""
    zh, en = LABELS[status]
    return zh if lang.startswith("zh") else en


WITHOUT_UNITS = frozenset("PUTW")
"""Accounts of the ledger that no unit stands for."""

BELOW_NOTHING = frozenset("PW")
"""Contra accounts: what came into being. All others never go below nothing (D4)."""

TERMINAL = frozenset("CX")
"""Statuses nothing leads out of."""
