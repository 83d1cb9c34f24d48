"""The one result type of every identifier check."""

from __future__ import annotations

from dataclasses import dataclass

from yaosu.codes.model import NotACode


@dataclass(frozen=True, slots=True)
class Checked:
    """Outcome of checking one identifier: exactly one of the two fields is set."""

    value: str | None
    """The identifier in its normal form (upper case, half width, no blanks), or None if it is wrong."""
    problem: NotACode | None
    """What is wrong with it, or None if it is right."""

    @property
    def ok(self) -> bool:
        """True if the identifier is right."""
        return self.problem is None


def good(value: str) -> Checked:
    """A passed check with the normal form of the identifier."""
    return Checked(value, None)


def bad(code: str, raw: str, **params: str | int) -> Checked:
    """A failed check with its message code and parameters."""
    return Checked(None, NotACode(code, {k: str(v) for k, v in params.items()}, raw[:200]))


_FULL_WIDTH = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)}
_BLANKS = dict.fromkeys((*b" \t\r\n", 0x3000, 0xA0, 0xFEFF, *range(0x200B, 0x2010), 0x2060), None)
_NORMAL: dict[int, int | None] = {**_FULL_WIDTH, **_BLANKS}


def squeeze(raw: str) -> str:
    """Half width, without blanks, line ends and invisible characters; case is kept. At most 200 characters
    read."""
    return raw[:200].translate(_NORMAL)
