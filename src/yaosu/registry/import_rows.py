"""What the rows of an import share: parsed cells, an error with its cell, references to organisations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from yaosu.codes.identifiers import check_uscc
from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.registry import columns
from yaosu.registry.lists import CodeLists
from yaosu.registry.names import normalise

# organisations by code or by normalised name; abolished ones are no partners of new records
REFERENCES = """
SELECT id, uscc, name_norm FROM org WHERE status = 1 AND (uscc = ANY ($1) OR name_norm = ANY ($2))"""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One row: its line in the file, its values by field, and the fields whose cells could not be read."""

    row: int
    values: Mapping[str, Any]
    broken: frozenset[str]


@dataclass(frozen=True, slots=True)
class CellError:
    """What is wrong with one cell."""

    row: int
    key: str
    finding: Finding
    column: str = ""
    """Heading of the column."""

    def titled(self, headings: Mapping[str, str]) -> CellError:
        """With the heading, and the place in the finding."""
        column = headings.get(self.key, self.key)
        params = dict(self.finding.params)
        if params.get("field") == self.key:
            params["field"] = column
        finding = replace(self.finding, params=params, where=f"{self.row}:{column}")
        return replace(self, column=column, finding=finding)

    def as_json(self, lang: str) -> dict[str, object]:
        """Row, column, problem and fix, as API answers carry them."""
        return {"row": self.row, "column": self.column, **self.finding.as_json(lang)}


@dataclass(frozen=True, slots=True)
class RowReference:
    """An organisation that an earlier row of the same file registers."""

    row: int


@dataclass(slots=True)
class References:
    """Organisations that cells refer to, by 统一社会信用代码 or full name, looked up once for the whole file."""

    by_uscc: dict[str, int | RowReference] = field(default_factory=dict)
    by_name: dict[str, list[int | RowReference]] = field(default_factory=dict)
    _choices: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    async def load(cls, conn: Connection, texts: Iterable[str]) -> References:
        """References for all `texts` of the file."""
        made = cls()
        wanted = list(texts)
        usccs = [u for t in wanted if (u := check_uscc(t).value) is not None]
        for row in await conn.fetch(REFERENCES, usccs, [normalise(t) for t in wanted]):
            if row["uscc"]:
                made.by_uscc[row["uscc"]] = row["id"]
            made.by_name.setdefault(row["name_norm"], []).append(row["id"])
        return made

    def find(self, text: str) -> int | RowReference | Finding:
        """The organisation a cell means; a finding when there is none or the name means several."""
        uscc = check_uscc(text).value
        if uscc is not None and uscc in self.by_uscc:
            return self.by_uscc[uscc]
        named = self.by_name.get(normalise(text), [])
        return named[0] if len(named) == 1 else Finding("import_org_unknown", {"value": text[:60]})

    def add_row(self, number: int, values: Mapping[str, Any]) -> None:
        """Let later rows refer to the organisation of this one."""
        reference = RowReference(number)
        uscc = check_uscc(values.get("uscc", "")).value
        if uscc is not None:
            self.by_uscc.setdefault(uscc, reference)
        if values.get("name"):
            self.by_name.setdefault(normalise(values["name"]), []).append(reference)

    def choices(self, code_lists: CodeLists, name: str) -> dict[str, str]:
        """`columns.labels`, once per list."""
        if name not in self._choices:
            self._choices[name] = columns.labels(code_lists, name)
        return self._choices[name]
