"""Values of the codes room: a trace code that was understood, or the reason why a text is none.

Both are plain immutable values without behaviour, so that they can be made by the hundred thousand per
second, compared, pickled and kept in sets. Canonical forms of different schemes can never be equal (decision
D7):

========  =============================  ===========================================
scheme    canonical ``text``             ``prefix`` (what the registry resolves)
========  =============================  ===========================================
CN20      20 digits                      first 7 digits, the 药品标识码
GS1       ``(01)GTIN14(21)SERIAL``       the GTIN-14, packaging indicator included
SSCC      ``(00)`` + 18 digits           ``sscc:`` + the 18 digits
CUSTOM    ``issuer:TEXT``                the issuer key
========  =============================  ===========================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

CANONICAL_LENGTH_MAX = 100
"""Longest canonical text in characters: the width of the 医保 field and of our key column."""

RAW_LENGTH_MAX = 4096
"""Longest raw text, in characters, that is looked at. Longer input is refused unread."""


class Scheme(StrEnum):
    """Family of a trace code (追溯码体系)."""

    CN20 = "cn20"
    """20 digits, the first 7 being the 药品标识码 (NMPAB/T 1002-2019, option a)."""
    GS1 = "gs1"
    """GTIN + serial number in GS1 syntax (option b, ISO/IEC 15459)."""
    SSCC = "sscc"
    """GS1 serial shipping container code: a logistics container, not a sales package."""
    CUSTOM = "custom"
    """Enterprise-defined code, recognised by a registered pattern."""


class TraceCode(NamedTuple):
    """One understood trace code (药品追溯码) in canonical form.

    A named tuple rather than a dataclass because building one costs a quarter as much, and every scan builds
    one. Two readings of the same box may differ in ``batch``, ``expiry``, ``produced`` and ``notes``; the
    identity of the box is ``text`` alone.
    """

    text: str
    """Canonical form, at most 100 characters: the key in the database."""
    scheme: Scheme
    """Which family the code belongs to."""
    prefix: str
    """The part that names product and package level (药品标识码, GTIN, …); see the module table."""
    serial: str
    """The part that tells one package from the next (单品序列号)."""
    batch: str | None = None
    """Batch (生产批号) when the carrier states it: GS1 AI (10)."""
    expiry: date | None = None
    """Last day of use (有效期至) when stated: GS1 AI (17); day 00 means last day of the month."""
    produced: date | None = None
    """Date of production (生产日期) when the carrier states it: GS1 AI (11)."""
    notes: tuple[str, ...] = ()
    """Message codes of everything that was repaired or is remarkable, in order; empty for a clean reading."""


@dataclass(frozen=True, slots=True)
class NotACode:
    """Why a text is not a trace code, with the likely cause."""

    code: str
    """Stable message code, for example ``code_is_retail_barcode``."""
    params: dict[str, str] = field(default_factory=dict)
    """Values for the placeholders of the message."""
    raw: str = ""
    """The text as received; shortened where it was over-long, blanked where it is a personal identifier."""

    def __hash__(self) -> int:
        return hash((self.code, self.raw))
