"""The columns of tables: our own template, and the headings that clients and ERPs write for the same things."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from importlib import resources

from yaosu import yamls

NOTE_MARK = "说明"
EXAMPLE_MARK = "示例"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the template. `also`: other headings taken for it; `bill`: it belongs to the bill, not to a line."""

    key: str
    zh: str
    en: str
    note: str
    note_en: str
    example: str = ""
    also: tuple[str, ...] = ()
    bill: bool = False
    header: str = ""
    """The field of the bill's header it goes into, if it does."""


def _columns() -> tuple[Column, ...]:
    text = (resources.files("yaosu.exchange.files") / "columns.yaml").read_text("utf-8")
    return tuple(
        Column(
            row["key"],
            row["zh"],
            row["en"],
            row.get("note", ""),
            row.get("note_en", ""),
            row.get("example", ""),
            tuple(row.get("also", ())),
            bool(row.get("bill", False)),
            row.get("header", ""),
        )
        for row in yamls.read(text)["columns"]
    )


COLUMNS = _columns()
BY_KEY = {c.key: c for c in COLUMNS}
DATES = frozenset({"at", "produced_on", "expires_on", "invoice_date"})
PERSONAL = re.compile(
    r"身份证|证件号|购药人|购买人|患者|病人|顾客姓名|手机|电话|id_?card|phone|patient", re.IGNORECASE
)


_REMARK = re.compile(r"\((?:必填|选填|可选|可不填|必须|文本|文本格式|格式[^()]*|required|optional|text)\)")


def folded(heading: str) -> str:
    """A heading without width, case, blanks, star and colon, and without a remark such as (必填)."""
    text = unicodedata.normalize("NFKC", heading).casefold()
    plain = "".join(c for c in text if unicodedata.category(c)[0] not in "ZC")
    return _REMARK.sub("", plain).strip("*:·")


_KEYS = {folded(name): c.key for c in COLUMNS for name in (c.zh, c.en, c.key, *c.also)}


def key_of(heading: str) -> str:
    """The column that a heading means, or ``."""
    return _KEYS.get(folded(heading), "") if heading else ""
