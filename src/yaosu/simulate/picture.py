"""Draws a shelf with labels for the demo: JSON in, JPEG out. A program of its own."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence

import numpy as np
import zxingcpp
from PIL import Image

COLUMNS, WIDE, HIGH = 4, 560, 330
GROUND = (203, 196, 187)


def drawn_shelf(linear: Sequence[str], matrix: Sequence[str], retail: Sequence[str]) -> bytes:
    """A shelf as JPEG: labels of Code 128, Data Matrix and EAN-13, drawn, not photographed."""
    symbols = [(t, zxingcpp.BarcodeFormat.Code128, 2) for t in linear]
    symbols += [(t, zxingcpp.BarcodeFormat.DataMatrix, 7) for t in matrix]
    symbols += [(t, zxingcpp.BarcodeFormat.EAN13, 3) for t in retail]
    picture = Image.new("RGB", (COLUMNS * WIDE, -(-len(symbols) // COLUMNS) * HIGH), GROUND)
    for n, (text, form, scale) in enumerate(symbols):
        drawn = zxingcpp.write_barcode_to_image(zxingcpp.create_barcode(text, form), scale=scale)
        label = Image.fromarray(np.array(drawn)).convert("RGB")
        paper = Image.new("RGB", (label.width + 8 * scale, label.height + 8 * scale), "white")
        paper.paste(label, (4 * scale, 4 * scale))
        turned = paper.convert("RGBA").rotate(n % 5 - 2, expand=True, resample=Image.Resampling.BICUBIC)
        x, y = (
            n % COLUMNS * WIDE + (WIDE - turned.width) // 2,
            n // COLUMNS * HIGH + (HIGH - turned.height) // 2,
        )
        picture.paste(turned, (x, y), turned)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    sys.stdout.buffer.write(drawn_shelf(asked["linear"], asked["matrix"], asked["retail"]))
