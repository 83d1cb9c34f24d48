"""Files an institution adds to a case: PDF, JPEG or PNG, kept whole, given out as downloads and never run."""

from __future__ import annotations

import hashlib

from yaosu.errors import YaosuError
from yaosu.papers.model import clean

BYTES_MAX = 10 * 1024 * 1024
COUNT_MAX = 20
NAME_MAX = 120

_KINDS = ((b"%PDF-", "application/pdf"), (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


def media_of(body: bytes) -> str:
    """The kind of a file by its first bytes. Refused: `insurance_file_kind`, `insurance_file_large`."""
    if len(body) > BYTES_MAX:
        raise YaosuError("insurance_file_large", {"limit_mb": BYTES_MAX // 1024 // 1024})
    for head, media in _KINDS:
        if body.startswith(head):
            return media
    raise YaosuError("insurance_file_kind")


def clean_name(name: str) -> str:
    """A file's name for showing: no path, no controls."""
    plain = clean(name).replace("\\", "/").rsplit("/", 1)[-1].strip()
    return plain[-NAME_MAX:] or "file"


def digest(body: bytes) -> bytes:
    """SHA-256 of the content."""
    return hashlib.sha256(body).digest()
