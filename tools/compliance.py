"""Write docs/compliance.md from src/yaosu/console/compliance.yaml; a test compares the two.

python tools/compliance.py
"""

from __future__ import annotations

from pathlib import Path

from yaosu.console.compliance import document

PLACE = Path(__file__).resolve().parent.parent / "docs" / "compliance.md"

if __name__ == "__main__":
    PLACE.write_text(document(), "utf-8")
    print(PLACE.name)
