"""Who the registry's verbs are for, shared by its services."""

from __future__ import annotations

from yaosu.errors import YaosuError
from yaosu.subject import Subject

LIMIT_MAX = 200
"""Most entries of one page of a list."""


def is_operator(subject: Subject) -> bool:
    """Whether the subject administers the platform's registry: it belongs to no organisation."""
    return subject.org_id is None and subject.can("registry.admin")


def require_operator(subject: Subject) -> None:
    """Refuse (`unauthenticated`, `forbidden`) everybody but the operator."""
    subject.require("registry.admin")
    if not is_operator(subject):
        raise YaosuError("forbidden", {"scope": "registry.admin"})


def page_size(limit: int) -> int:
    """A limit between 1 and `LIMIT_MAX`."""
    return max(1, min(limit, LIMIT_MAX))
