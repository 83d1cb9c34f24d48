"""The Chinese font of printed documents: Noto Sans SC (SIL Open Font License 1.1).

`tools/build_assets.py` takes it from a locked npm package into `web/static/fonts`; it is not kept in the
repository. Without it no document is made: a page of empty boxes would be worse than an error.
"""

from __future__ import annotations

from pathlib import Path

from yaosu.errors import YaosuError

FOLDER = Path(__file__).resolve().parent.parent / "web" / "static" / "fonts"
REGULAR = "NotoSansSC-Regular.ttf"
BOLD = "NotoSansSC-Bold.ttf"


def path(name: str) -> Path:
    """The font file. Raises `paper_font_missing`."""
    found = FOLDER / name
    if not found.is_file():
        raise YaosuError("paper_font_missing", {"file": name})
    return found
