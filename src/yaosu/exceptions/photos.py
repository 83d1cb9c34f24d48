"""Photographs as evidence: only what decodes as a JPEG or PNG picture is taken, and it is drawn anew.

The stored file is made by us from the pixels, so nothing else of the upload survives: no place data, no scripts,
no second format behind the picture.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from yaosu.edge.pictures import opened

BYTES_MAX = 5 * 1024 * 1024
"""Largest upload."""
EDGE_MAX = 2400
"""Longest edge of what is kept, in pixels: enough to read a code on a case."""
PHOTOS_MAX = 20
"""Photographs of one case."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture as it is kept; `sha256` is of the upload."""

    media: str
    width: int
    height: int
    sha256: bytes
    body: bytes


def redrawn(content: bytes) -> Photo:
    """The picture in `content`, drawn anew. Refused: `photo_too_large`, `photo_unreadable`. Takes CPU: in a thread."""
    plain, form = opened(content, BYTES_MAX)
    plain.thumbnail((EDGE_MAX, EDGE_MAX))
    out = io.BytesIO()
    if form == "JPEG":
        plain.save(out, "JPEG", quality=86, optimize=True)
    else:
        plain.save(out, "PNG", optimize=True)
    media = "image/jpeg" if form == "JPEG" else "image/png"
    return Photo(media, plain.width, plain.height, hashlib.sha256(content).digest(), out.getvalue())
