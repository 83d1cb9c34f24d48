"""Undo a wrong keyboard layout: the scanner sends key positions, the computer believes in another layout.

Each table maps the character that arrived to the one on the same key of the US layout, which scanners assume.
A table is only a proposal: `repairs` lists all of them, and the caller keeps one only if exactly one makes a
code whose check digits or length confirm it.
"""

from __future__ import annotations

from collections.abc import Iterator

NOTE_LAYOUT = "note_keyboard_layout"

_SHIFT = dict(zip("!@#$%^&*()", "1234567890", strict=True))
"""Digit row typed with shift (or shift lock) held."""


def _layout(typed: str, meant: str) -> dict[int, str]:
    return {ord(a): b for a, b in zip(typed, meant, strict=True) if a != b}


_AZERTY = _layout(
    "&é\"'(-è_çà)=azqwmAZQWM,;:!ù^$1234567890°+?./§%¨£µ*",
    "1234567890-=qwaz;QWAZ:m,./'[]!@#$%^&*()_+M<>?\"{}|\\",
)
"""French layout: the unshifted digit row gives ``&é"'(-è_çà``."""
_QWERTZ = _layout("zyZYßüöä#ÜÖÄ'-_\"§&/()=?+*;:`", "yzYZ-[;'\\{:\"|/?@#^&*()_]}<>=")
"""German layout: z and y change places, the colon becomes Ö, the slash a hyphen."""

_SHIFT_SET = frozenset(_SHIFT) | frozenset("0123456789")
_AZERTY_SET = frozenset("&é\"'(-è_çà")


def repairs(text: str) -> Iterator[str]:
    """Texts that would have been meant if one of the known layout faults had happened; without repetition."""
    seen = {text}
    characters = set(text)
    proposals = []
    if characters <= _SHIFT_SET:
        proposals.append("".join(_SHIFT.get(c, c) for c in text))
    if characters & _AZERTY_SET:
        proposals.append(text.translate(_AZERTY))
    if characters & frozenset("ßüöäÜÖÄ-+_"):
        proposals.append(text.translate(_QWERTZ))
    for proposal in proposals:
        if proposal not in seen:
            seen.add(proposal)
            yield proposal
