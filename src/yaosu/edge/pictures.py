"""Pictures from outside: what decodes as a JPEG or PNG within limits, and nothing else, becomes pixels."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from yaosu.errors import YaosuError

PIXELS_MAX = 40_000_000
"""Largest picture that is decoded: 120 MB of memory."""

_MAGIC = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}


def opened(content: bytes, bytes_max: int) -> tuple[Image.Image, str]:
    """The upright picture in `content`, in RGB (RGBA for a PNG with transparency), and its format, JPEG or PNG.

    Refused: `photo_too_large`, `photo_unreadable`. Takes CPU: in a thread.
    """
    if len(content) > bytes_max:
        raise YaosuError("photo_too_large", {"mb": bytes_max // 1024 // 1024})
    form = next((name for magic, name in _MAGIC.items() if content.startswith(magic)), None)
    if form is None:
        raise YaosuError("photo_unreadable")
    try:
        with Image.open(io.BytesIO(content), formats=[form]) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise YaosuError("photo_too_large", {"mb": bytes_max // 1024 // 1024})
            turned = ImageOps.exif_transpose(picture)
            return turned.convert("RGBA" if form == "PNG" and turned.has_transparency_data else "RGB"), form
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise YaosuError("photo_unreadable") from error
