"""From the fields of a form to a draft: blank is «not given», dates and numbers are read, errors name the field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from starlette.datastructures import FormData
from starlette.requests import Request

from yaosu.errors import Finding, YaosuError

FIELD_MAX = 4_000


class Form:
    """A submitted form. `refuse` raises with everything that could not be read."""

    def __init__(self, data: FormData) -> None:
        self._data = data
        self.findings: list[Finding] = []

    @classmethod
    async def of(cls, request: Request) -> Form:
        """The form of the request; files are read by their own page."""
        return cls(await request.form(max_files=0, max_fields=400))

    def text(self, name: str) -> str:
        """A text, stripped; "" when the field is absent. Control characters are left for the checks to name."""
        value = self._data.get(name, "")
        text = value.strip() if isinstance(value, str) else ""
        if len(text) > FIELD_MAX:
            self.findings.append(
                Finding("value_too_long", {"field": name, "length": len(text), "max": FIELD_MAX}, name)
            )
            return ""
        if any(ord(c) < 32 and c not in "\r\n\t" for c in text):
            self.findings.append(Finding("value_characters", {"field": name}, name))
            return ""
        return text

    def number(self, name: str) -> int | None:
        """A whole number of up to nine digits, or None when blank."""
        text = self.text(name)
        if not text:
            return None
        if text.isascii() and text.isdigit() and len(text) <= 9:
            return int(text)
        self.findings.append(Finding("import_value_number", {"value": text[:40]}, name))
        return None

    def small(self, name: str) -> int | None:
        """A code-list number, or None when blank."""
        value = self.number(name)
        if value is not None and value > 32_767:
            self.findings.append(Finding("value_shape", {"field": name}, name))
            return None
        return value

    def day(self, name: str) -> date | None:
        """A date, or None when blank."""
        text = self.text(name)
        if not text:
            return None
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.findings.append(Finding("import_value_date", {"value": text[:40]}, name))
            return None

    def several(self, name: str) -> list[str]:
        """All values of a repeated field."""
        return [v.strip() for v in self._data.getlist(name) if isinstance(v, str) and v.strip()]

    def lines(self, name: str) -> list[str]:
        """Non-empty lines of a text area; commas and semicolons separate too."""
        text = self.text(name)
        for mark in ",，;；\n\t ":
            text = text.replace(mark, "\r")
        return [line.strip() for line in text.split("\r") if line.strip()]

    def ticked(self, name: str) -> bool:
        """Whether a box was ticked."""
        return bool(self.text(name))

    def refuse(self, code: str) -> None:
        """Raise `code` when anything could not be read."""
        if self.findings:
            raise YaosuError(code, {"count": len(self.findings)}, self.findings)

    def back(self) -> Mapping[str, str]:
        """What was typed, to show the form again."""
        return {k: v[:FIELD_MAX] for k, v in self._data.items() if isinstance(v, str)}
