"""Codes as 64-bit numbers.

A 20-digit code is a 7-digit prefix and a 13-digit ending. Endings need 44 bits, and a file has few prefixes, so
`prefix number << 44 | ending` holds the code in 8 bytes, sorts like the text within a prefix, and compares in one
instruction. Other codes (GS1, enterprise-defined) are kept as text once and get `1 << 63 | number`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from yaosu.codes import CustomPattern, NotACode, Scheme, TraceCode, parse

ENDING_BITS = 44
ENDING_MASK = (1 << ENDING_BITS) - 1
TEXT_BIT = 1 << 63
NO_PARENT = 0xFFFF_FFFF_FFFF_FFFF
"""Parent of an outermost package."""
BAD_PARENT = 0xFFFF_FFFF_FFFF_FFFE
"""Parent that was named but could not be read; reported where it was read."""

U64 = npt.NDArray[np.uint64]
RECENT_MAX = 4_096
_CANONICAL_GS1 = re.compile(r"\(01\)([0-9]{14})\(21\)[0-9A-Za-z+._/:;=*%&!?,-]{1,20}\Z", re.ASCII)
"""The canonical form without a character that could mean anything else: read as it stands, once its GTIN is known."""
_RAW_GS1 = re.compile(
    r"01([0-9]{14})21([0-9A-Za-z](?:(?!10[0-9A-Za-z]|1[17][0-9]{2}(?:0[1-9]|1[0-2])[0-3])[0-9A-Za-z]){2,19})\Z",
    re.ASCII,
)
"""GTIN and serial number as a scanner gives them, the serial number without anything that could be a batch or a date
behind a lost separator (codes.gs1_lost): there is one reading and nothing to note."""


class TooManyError(ValueError):
    """More prefixes or texts than the limits allow; `what` names which."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(what)
        self.what, self.limit = what, limit


class KeySpace:
    """The numbering of one file: prefixes and texts by number."""

    def __init__(self, customs: Sequence[CustomPattern] = (), prefixes: int = 4_000, texts: int = 2_000_000):
        self.customs = customs
        self.prefixes: list[str] = []
        """Prefix (what the registry resolves) by number."""
        self.schemes: list[Scheme] = []
        """Scheme of each prefix."""
        self._numbers: dict[str, int] = {}
        self.texts: list[str] = []
        self.text_prefix: list[int] = []
        self._text_numbers: dict[str, int] = {}
        self._prefix_max, self._text_max = prefixes, texts
        self._recent: dict[str, int] = {}
        # prefix as a number -> prefix number + 1; 20 MB once, so that a million look-ups are one gather
        self._table: npt.NDArray[np.uint16] | None = None

    def prefix_number(self, prefix: str, scheme: Scheme) -> int:
        """The number of a prefix, given out at first sight. Raises TooManyError."""
        found = self._numbers.get(prefix)
        if found is None:
            if len(self.prefixes) >= self._prefix_max:
                raise TooManyError("prefixes", self._prefix_max)
            found = self._numbers[prefix] = len(self.prefixes)
            self.prefixes.append(prefix)
            self.schemes.append(scheme)
            if self._table is not None and scheme is Scheme.CN20:
                self._table[int(prefix)] = found + 1
        return found

    def key(self, raw: str) -> tuple[int, TraceCode | None] | NotACode:
        """The key of a text; with the parsed code when it was more than 20 digits and says more than product and
        serial number. Raises TooManyError.
        """
        if len(raw) == 20 and raw[0] != "0" and raw.isascii() and raw.isdigit():
            number = self._numbers.get(raw[:7])
            if number is None:
                number = self.prefix_number(raw[:7], Scheme.CN20)
            return number << ENDING_BITS | int(raw[7:]), None
        plain = _CANONICAL_GS1.match(raw)
        if plain is not None and plain.group(1) in self._numbers:
            return self._text_key(raw, plain.group(1), Scheme.GS1), None
        scanned = _RAW_GS1.match(raw)
        if scanned is not None and (gtin := scanned.group(1)) in self._numbers:
            return self._text_key(f"(01){gtin}(21){scanned.group(2)}", gtin, Scheme.GS1), None
        code = parse(raw, self.customs)
        if isinstance(code, NotACode):
            return code
        if code.scheme is Scheme.CN20:
            number = self.prefix_number(code.prefix, Scheme.CN20)
            return number << ENDING_BITS | int(code.text[7:]), code
        # an SSCC is its own prefix: one number for all of them, they are taken out by scheme
        prefix = "sscc" if code.scheme is Scheme.SSCC else code.prefix
        return self._text_key(code.text, prefix, code.scheme), code

    def _text_key(self, text: str, prefix: str, scheme: Scheme) -> int:
        index = self._text_numbers.get(text)
        if index is None:
            if len(self.texts) >= self._text_max:
                raise TooManyError("texts", self._text_max)
            number = self.prefix_number(prefix, scheme)
            index = self._text_numbers[text] = len(self.texts)
            self.texts.append(text)
            self.text_prefix.append(number)
        return TEXT_BIT | index

    def parent_key(self, raw: str) -> int | NotACode:
        """The key of a parent. Children stand behind one another, so the last parents are remembered."""
        known = self._recent.get(raw)
        if known is not None:
            return known
        found = self.key(raw)
        if isinstance(found, NotACode):
            return found
        if len(self._recent) >= RECENT_MAX:
            self._recent.clear()
        self._recent[raw] = found[0]
        return found[0]

    def order(self, keys: U64) -> npt.NDArray[np.int64]:
        """The places of `keys` in the order of their texts within a prefix, which is that of the database's index."""
        if not self.texts or not bool((keys & np.uint64(TEXT_BIT)).any()):
            return np.argsort(keys, kind="stable")
        texts = [self.texts[k & ~TEXT_BIT] if k & TEXT_BIT else "" for k in keys.tolist()]
        rank = np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.int64)
        plain = keys[rank] & np.uint64(TEXT_BIT) == 0
        first = rank[plain]
        return np.concatenate([first[np.argsort(keys[first], kind="stable")], rank[~plain]])

    def keys_of(self, prefix: U64, ending: U64) -> U64:
        """Keys of many 20-digit codes given as 7-digit prefixes and 13-digit endings. Raises TooManyError."""
        if self._table is None:
            self._table = np.zeros(10_000_000, dtype=np.uint16)
            for number, text in enumerate(self.prefixes):
                if self.schemes[number] is Scheme.CN20:
                    self._table[int(text)] = number + 1
        numbers = self._table[prefix]
        if not numbers.all():
            for fresh in np.unique(prefix[numbers == 0]).tolist():
                self.prefix_number(f"{fresh:07d}", Scheme.CN20)
            numbers = self._table[prefix]
        return ((numbers.astype(np.uint64) - np.uint64(1)) << np.uint64(ENDING_BITS)) | ending

    def text(self, key: int) -> str:
        """The canonical code of a key."""
        if key & TEXT_BIT:
            return self.texts[key & ~TEXT_BIT]
        return f"{self.prefixes[key >> ENDING_BITS]}{key & ENDING_MASK:013d}"

    def prefix_numbers(self, keys: U64) -> npt.NDArray[np.int32]:
        """Prefix number of each key."""
        numbers = (keys >> np.uint64(ENDING_BITS)).astype(np.int32)
        if self.texts:
            is_text = (keys & np.uint64(TEXT_BIT)) != 0
            index = (keys[is_text] & np.uint64(TEXT_BIT - 1)).astype(np.int64)
            numbers[is_text] = np.asarray(self.text_prefix, dtype=np.int32)[index]
        return numbers

    def close(self) -> None:
        """Give back what only reading needs."""
        self._table = None
        self._text_numbers = {}
        self._recent = {}
