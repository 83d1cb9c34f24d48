"""Free text is kept and shown as it is, so no citizen's number may stand in it (design §6; R-C2).

Found are right identity-card numbers (GB 11643: shape, birth date, check character) anywhere in a text, also with
blanks or hyphens between the digits. Trace codes, bill numbers and credit codes are no such numbers. Names cannot be
told from other words, so forms say where they belong instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from yaosu.codes.identifiers import holds_citizen
from yaosu.errors import Finding, YaosuError

__all__ = ["NOT_KEPT", "findings", "holds_citizen", "refuse"]

NOT_KEPT = "***"
"""What stands for a scan that is an identity card."""


def findings(texts: Mapping[str, object]) -> list[Finding]:
    """Fields whose text holds somebody's number; a finding never repeats it."""
    return [
        Finding("personal_in_text", {"field": field}, field)
        for field, text in texts.items()
        if text not in (None, "") and holds_citizen(str(text))
    ]


def refuse(**texts: object) -> None:
    """Refuse (`invalid_request`) texts in which somebody's number stands."""
    if found := findings(texts):
        raise YaosuError("invalid_request", {"count": len(found)}, found)
