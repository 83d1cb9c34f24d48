"""Names of organisations made comparable (interfaces §2.4: one firm, several spellings)."""

from __future__ import annotations

import unicodedata

_BRACKETS = str.maketrans("[]{}〔〕【】〈〉《》「」『』", "()()()()()()()()")
_DOTS = str.maketrans(dict.fromkeys("•‧∙⋅・･.．", "·"))
ROUNDS_MAX = 8


def normalise(name: str) -> str:
    """`name` with one width, one kind of bracket, one case, without blanks and invisible characters.

    Two names that are equal here are taken to mean the same organisation until somebody says otherwise.
    Applying it twice changes nothing.
    """
    for _ in range(ROUNDS_MAX):
        before = name
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        name = name.translate(_BRACKETS).translate(_DOTS)
        # Z: blanks, C: control and invisible characters
        name = "".join(c for c in name if unicodedata.category(c)[0] not in "ZC")
        if name == before:
            break
    return name
