"""A bill's header is kept and shown as it is, so it is no place for persons (design §6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from yaosu.edge.pages import CHINA
from yaosu.errors import Finding
from yaosu.people import documents
from yaosu.people.free_text import holds_citizen

_PERSONAL = re.compile(
    r"customer|buyer|patient|person_?name|id_?(card|no|num)|card_?no|phone|mobile|tel$|姓名|身份证|电话|手机",
    re.IGNORECASE,
)
_OURS = frozenset({"agent_person", "second_person"})
"""Fields meant for a person, though not for a buyer's data: a number of ours, and the name of a colleague."""


def findings(header: Mapping[str, object], sale: bool = True) -> list[Finding]:
    """Fields of a header that hold a person's data: the header is kept open, persons are not (design §6).

    In a sale no field may be meant for a person; in no bill may somebody's number stand in any text.
    """
    found = []
    for name, value in header.items():
        if value in (None, ""):
            continue
        number = documents.normal(str(value))
        alone = documents.age(number, datetime.now(CHINA).date()) is not None
        if (
            (sale and name not in _OURS and _PERSONAL.search(name))
            or alone
            or holds_citizen(f"{name} {value}")
        ):
            field = "header" if holds_citizen(name) else name
            found.append(Finding("personal_in_header", {"field": field}, f"header.{field}"))
    return found
