"""One registry of everything the system can say is wrong, doubtful or noteworthy.

A code is stable for ever; its texts live in `messages/<room>.yaml`, in Chinese and English, each with the
next step (R-X1). API, pages, CLI and log take the same entry, so they say the same thing. Loading fails when
a code stands in two files or lacks a text: a missing explanation is a defect, not a runtime surprise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from yaosu import yamls

_MISSING = re.compile(r"\{(\w+)\}")
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})\+08:00")


@dataclass(frozen=True, slots=True)
class Message:
    """Texts of one code. `http` is the status when the code is the error of a request."""

    code: str
    http: int
    zh: str
    en: str
    next_zh: str
    next_en: str

    def text(self, lang: str, params: Mapping[str, object]) -> str:
        """The explanation in `lang` ("zh" or anything else for English), parameters filled in."""
        return _fill(self.zh if lang.startswith("zh") else self.en, params)

    def next_step(self, lang: str, params: Mapping[str, object]) -> str:
        """What the reader should do now; empty when there is nothing to do."""
        return _fill(self.next_zh if lang.startswith("zh") else self.next_en, params)


def _fill(text: str, params: Mapping[str, object]) -> str:
    return _MISSING.sub(lambda m: _read_out(params.get(m.group(1), "—")), text)


def _read_out(value: object) -> str:
    """A parameter as people read it: moments are kept with their zone, and texts name them in China time without."""
    found = _MOMENT.fullmatch(str(value))
    return found.group(1) if found else str(value)


@cache
def registry() -> Mapping[str, Message]:
    """All messages by code. Raises ValueError at the first code that is doubled or incomplete."""
    found: dict[str, Message] = {}
    folder = resources.files("yaosu") / "messages"
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".yaml"):
            continue
        content = yamls.read(entry.read_text("utf-8")) or {}
        for code, row in content.items():
            if code in found:
                raise ValueError(f"message code {code!r} stands twice (again in {entry.name})")
            if not row.get("zh") or not row.get("en"):
                raise ValueError(f"message code {code!r} in {entry.name} lacks a text")
            found[code] = Message(
                code=code,
                http=int(row.get("http", 422)),
                zh=row["zh"],
                en=row["en"],
                next_zh=row.get("next_zh", ""),
                next_en=row.get("next_en", ""),
            )
    return found


def message(code: str) -> Message:
    """The entry of `code`. Raises KeyError for a code nobody registered."""
    return registry()[code]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing said about one place: `where` is a line, a field or a code of the caller's input."""

    code: str
    params: Mapping[str, object] = field(default_factory=dict)
    where: str = ""

    def text(self, lang: str = "zh") -> str:
        """Explanation in the reader's language."""
        return message(self.code).text(lang, self.params)

    def next_step(self, lang: str = "zh") -> str:
        """What to do now."""
        return message(self.code).next_step(lang, self.params)

    def as_json(self, lang: str = "zh") -> dict[str, object]:
        """The form that API answers carry."""
        return {
            "code": self.code,
            "message": self.text(lang),
            "next": self.next_step(lang),
            "where": self.where,
            "params": {k: v if isinstance(v, (int, bool)) else str(v) for k, v in self.params.items()},
        }


class YaosuError(Exception):
    """A refused request: a registered code, its parameters, and every finding behind it.

    Raised by services; turned into a problem answer or page by the edge. Nothing of the refused request has
    been kept unless the code's text says so.
    """

    def __init__(
        self, code: str, params: Mapping[str, object] | None = None, findings: Iterable[Finding] = ()
    ) -> None:
        self.entry = message(code)
        self.code = code
        self.params = dict(params or {})
        self.findings = tuple(findings)
        super().__init__(self.entry.text("en", self.params))

    @property
    def http(self) -> int:
        """HTTP status of the answer."""
        return self.entry.http

    def as_json(self, lang: str = "zh") -> dict[str, object]:
        """The problem body: `{code, message, next, params, findings}`."""
        body = Finding(self.code, self.params).as_json(lang)
        body.pop("where")
        body["findings"] = [f.as_json(lang) for f in self.findings]
        return body
