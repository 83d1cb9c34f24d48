"""What a reader is told of a record that is not there or not theirs: the same words, without its number."""

from __future__ import annotations

from yaosu.errors import YaosuError
from yaosu.subject import Subject


def missing(subject: Subject, zh: str, en: str) -> YaosuError:
    """`not_found` for a kind of record; nothing in it tells a record of others from one that never was (D10)."""
    return YaosuError("not_found", {"what": zh if subject.lang == "zh" else en})
