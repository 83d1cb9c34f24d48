"""Pictures of shelves, drawn: labels printed askew, blurred, in shadow, of every family of codes (R-I2)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from random import Random

import numpy as np
import zxingcpp
from PIL import Image, ImageFilter

GROUND = (203, 196, 187)


def label(text: str, form: zxingcpp.BarcodeFormat, scale: int) -> Image.Image:
    """A printed label: the symbol on white with a quiet zone."""
    symbol = zxingcpp.create_barcode(text, form)
    drawn = Image.fromarray(np.array(zxingcpp.write_barcode_to_image(symbol, scale=scale))).convert("RGB")
    edge = 4 * scale
    paper = Image.new("RGB", (drawn.width + 2 * edge, drawn.height + 2 * edge), "white")
    paper.paste(drawn, (edge, edge))
    return paper


def shelf(
    linear: Sequence[str] = (),
    matrix: Sequence[str] = (),
    retail: Sequence[str] = (),
    *,
    seed: int = 1,
    tilt: float = 6,
    blur: float = 0.6,
    shadow: bool = True,
) -> Image.Image:
    """A photo of boxes in rows: `linear` as Code 128, `matrix` as Data Matrix, `retail` as EAN-13."""
    rng = Random(seed)
    labels = [label(text, zxingcpp.BarcodeFormat.Code128, 2) for text in linear]
    labels += [label(text, zxingcpp.BarcodeFormat.DataMatrix, 7) for text in matrix]
    labels += [label(text, zxingcpp.BarcodeFormat.EAN13, 3) for text in retail]
    columns, cell_w, cell_h = 4, 560, 330
    rows = max(1, -(-len(labels) // columns))
    picture = Image.new("RGB", (columns * cell_w, rows * cell_h), GROUND)
    for n, paper in enumerate(labels):
        turned = paper.convert("RGBA").rotate(
            rng.uniform(-tilt, tilt), expand=True, resample=Image.Resampling.BICUBIC
        )
        x = n % columns * cell_w + (cell_w - turned.width) // 2
        y = n // columns * cell_h + (cell_h - turned.height) // 2
        picture.paste(turned, (x, y), turned)
    if shadow:
        fall = np.linspace(1.0, 0.55, picture.width)[None, :, None]
        picture = Image.fromarray((np.asarray(picture) * fall).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(blur))


def jpeg(picture: Image.Image) -> bytes:
    """As a telephone sends it."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()
