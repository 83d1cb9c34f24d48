"""The fields of 医保 transactions 3501–3507, 3513 and of 2207's codes: one table, checked on both sides (fields.yaml).

`check_row` says everything that is wrong with one row, each with its place; `rows_of` finds the rows in a
transaction's `input`, in the single and in the `A` form; `codes_of` the trace codes of a row in any of the shapes met
in the field (list of objects, one object, old flat field). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from typing import Any

from yaosu import yamls
from yaosu.errors import Finding
from yaosu.insurance.profiles import Profile

CODE_FIELD = "drug_trac_codg"
YEAR_MIN, YEAR_MAX = 1900, 9999
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}\Z")
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,12})?\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: Chinese name, type (text, number, date, time), length in characters, decimals, allowed values."""

    name: str
    zh: str
    type: str
    length: int = 0
    decimals: int = 0
    values: frozenset[str] = frozenset()
    person: bool = False
    above: int | None = None
    """A number is more than this."""
    least: int | None = None
    """A number is not below this."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction. `infno` is the single form's; `batch_infno` and `batch_node` are empty where there is no batch.

    `kind` is the inv_data_type under which 3507 deletes its records (1 count, 2 stock change, 3 purchase, 4 sale).
    """

    infno: str
    zh: str
    en: str
    node: str
    batch_infno: str
    batch_node: str
    errors_node: str
    codes_node: str
    kind: str
    time: str
    count: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    many: bool = False
    """The node is a list even in the single form (2207)."""
    query: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All its fields."""
        return self.required + self.optional


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything of fields.yaml."""

    fields: Mapping[str, Field]
    aliases: Mapping[str, str]
    transactions: Mapping[str, Transaction]
    """By infno, single and batch form."""
    answer_3513: tuple[str, ...] = field(default=())
    orders: tuple[tuple[str, str], ...] = ()
    """Pairs of dates, of which the second is not before the first."""


@cache
def tables() -> Tables:
    """The tables, read once. ValueError: a defect of the package."""
    text = (resources.files("yaosu.insurance") / "fields.yaml").read_text("utf-8")
    content: dict[str, Any] = yamls.read(text)
    fields: dict[str, Field] = {}
    aliases: dict[str, str] = {}
    for name, row in content["fields"].items():
        fields[name] = Field(
            name,
            row["zh"],
            row["type"],
            int(row.get("length", 0)),
            int(row.get("decimals", 0)),
            frozenset(row.get("values", ())),
            bool(row.get("person", False)),
            row.get("above"),
            row.get("least"),
        )
        for other in row.get("aliases", ()):
            if other in aliases or other in content["fields"]:
                raise ValueError(f"fields.yaml: {other!r} stands twice")
            aliases[other] = name
    found: dict[str, Transaction] = {}
    for infno, row in content["transactions"].items():
        batch = row.get("batch") or {}
        one = Transaction(
            infno,
            row["zh"],
            row["en"],
            row["node"],
            batch.get("infno", ""),
            batch.get("node", ""),
            batch.get("errors", ""),
            row.get("codes", ""),
            row["kind"],
            row.get("time", ""),
            row.get("count", ""),
            tuple(row["required"]),
            tuple(row["optional"]),
            bool(row.get("many", False)),
            bool(row.get("query", False)),
        )
        unknown = [name for name in one.names if name not in fields]
        if unknown:
            raise ValueError(f"fields.yaml: {infno} names unknown fields {unknown}")
        found[infno] = one
        if one.batch_infno:
            found[one.batch_infno] = one
    return Tables(
        fields, aliases, found, tuple(content["answer_3513"]), tuple((a, b) for a, b in content["orders"])
    )


def transaction(infno: str) -> Transaction | None:
    """The transaction of a number, single or `A`; None for one that carries no trace codes."""
    return tables().transactions.get(infno)


def is_batch(infno: str) -> bool:
    """Whether this is an `A` form."""
    one = transaction(infno)
    return one is not None and infno == one.batch_infno


def normal(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row under the names of the table: other spellings are read, a name that stands there itself wins."""
    aliases = tables().aliases
    made: dict[str, Any] = {}
    for name, value in row.items():
        ours = aliases.get(name)
        if ours is None:
            made[name] = value
        elif ours not in row:
            made[ours] = value
    return made


def rows_of(infno: str, body: object) -> tuple[list[dict[str, Any]], list[Finding]]:
    """The rows in `input` under their table names, and what is wrong with its shape.

    A single form may hold its row in a list of one, an `A` form must hold a list. Codes that stand beside the rows
    (`input.drugtracinfo`, an old spelling) belong to the row of a single form.
    """
    one = transaction(infno)
    if one is None:
        return [], [Finding("yibao_infno_unknown", {"infno": infno}, "infno")]
    node = one.batch_node if is_batch(infno) else one.node
    if not isinstance(body, Mapping) or node not in body:
        return [], [Finding("yibao_node_missing", {"node": node}, f"input.{node}")]
    value = body[node]
    several = is_batch(infno) or one.many
    listed = value if isinstance(value, list) else [value]
    wrong = (
        []
        if all(isinstance(row, Mapping) for row in listed)
        else [Finding("yibao_node_shape", {"node": node}, f"input.{node}")]
    )
    if not listed or (several and not isinstance(value, list)) or (not several and len(listed) != 1):
        wrong.append(Finding("yibao_node_shape", {"node": node}, f"input.{node}"))
    if wrong:
        return [], wrong[:1]
    rows = [normal(row) for row in listed]
    beside = body.get(one.codes_node) if one.codes_node else None
    if beside and len(rows) == 1 and not rows[0].get(one.codes_node):
        rows[0][one.codes_node] = beside
    return rows, []


def codes_of(row: Mapping[str, Any], node: str = "drugtracinfo") -> list[str]:
    """The trace codes of a row: list of objects, one object, texts, or the flat field of 2023; blanks left out."""
    value = row.get(node)
    listed: Sequence[Any] = value if isinstance(value, list) else [value] if value else []
    found = []
    for entry in listed:
        code = normal(entry).get(CODE_FIELD) if isinstance(entry, Mapping) else entry
        if isinstance(code, str) and code.strip():
            found.append(code.strip())
    flat = row.get(CODE_FIELD)
    if not found and isinstance(flat, str) and flat.strip():
        found.append(flat.strip())
    return found


def _required(one: Transaction, row: Mapping[str, Any], profile: Profile) -> list[str]:
    def named(names: Sequence[str]) -> set[str]:
        return {n.partition("@")[0] for n in names if n.partition("@")[2] in ("", one.infno)}

    wanted = [n for n in one.required if n not in named(profile.less)]
    wanted += [n for n in named(profile.more) if n in tables().fields and n not in wanted]
    return wanted


def check_row(infno: str, row: Mapping[str, Any], profile: Profile, where: str = "input") -> list[Finding]:
    """What is wrong with one row (under the table's names): missing, too long, of a wrong form, not an allowed value.

    The findings name field and Chinese name and never repeat a value of a person's field.
    """
    one = transaction(infno)
    if one is None:
        return [Finding("yibao_infno_unknown", {"infno": infno}, where)]
    known = tables().fields
    found = [
        Finding("yibao_field_missing", {"field": n, "name": known[n].zh}, f"{where}.{n}")
        for n in _required(one, row, profile)
        if row.get(n) is None or str(row[n]).strip() == ""
    ]
    for name, value in row.items():
        spec = known.get(name)
        if spec is None or value is None or value == "":
            continue
        wrong = _wrong(spec, value)
        if wrong is not None:
            found.append(Finding(wrong[0], {"field": name, "name": spec.zh, **wrong[1]}, f"{where}.{name}"))
    for first, second in tables().orders:
        begin, end = as_time(row.get(first), "date"), as_time(row.get(second), "date")
        if begin is not None and end is not None and end.date() < begin.date():
            names = {"field": second, "name": known[second].zh, "other": known[first].zh}
            found.append(Finding("yibao_field_order", names, f"{where}.{second}"))
    if one.codes_node:
        found += _check_codes(one, row, profile, where)
    return found


def _check_codes(one: Transaction, row: Mapping[str, Any], profile: Profile, where: str) -> list[Finding]:
    codes = codes_of(row, one.codes_node)
    spec = tables().fields[CODE_FIELD]
    place = f"{where}.{one.codes_node}"
    value = row.get(one.codes_node)
    listed = value if isinstance(value, list) else [value] if value else []
    found = []
    if any(_numeric(entry) for entry in listed):
        # a number of twenty digits does not survive most programs: codes are text
        found.append(
            Finding("yibao_field_form", {"field": CODE_FIELD, "name": spec.zh, "form": _form(spec)}, place)
        )
    elif len([e for e in listed if e]) > len(codes):
        found.append(Finding("yibao_field_missing", {"field": CODE_FIELD, "name": spec.zh}, place))
    for number, code in enumerate(codes):
        wrong = _wrong(spec, code)
        if wrong is not None:
            params = {"field": CODE_FIELD, "name": spec.zh, **wrong[1]}
            found.append(Finding(wrong[0], params, f"{place}[{number}]"))
    if len(set(codes)) < len(codes):
        twice = sorted({c for c in codes if codes.count(c) > 1})
        found.append(Finding("yibao_code_twice", {"code": twice[0][:100]}, place))
    if len(codes) > profile.codes_most:
        found.append(Finding("yibao_codes_many", {"limit": profile.codes_most, "got": len(codes)}, place))
    return found


def _numeric(entry: object) -> bool:
    value = normal(entry).get(CODE_FIELD) if isinstance(entry, Mapping) else entry
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(spec: Field, value: object) -> tuple[str, dict[str, object]] | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return "yibao_field_form", {"form": _form(spec)}
    text = str(value)
    if _CONTROL.search(text):
        return "yibao_field_form", {"form": _form(spec)}
    if spec.type == "number":
        return _wrong_number(spec, text)
    if spec.type in ("date", "time"):
        return None if as_time(text, spec.type) is not None else ("yibao_field_form", {"form": _form(spec)})
    if spec.length and len(text) > spec.length:
        return "yibao_field_long", {"limit": spec.length, "got": len(text)}
    if spec.values and text not in spec.values:
        shown = "、".join(sorted(spec.values))
        return "yibao_field_value", {"values": shown}
    return None


def _wrong_number(spec: Field, text: str) -> tuple[str, dict[str, object]] | None:
    number = as_number(text)
    if number is None:
        return "yibao_field_form", {"form": _form(spec)}
    digits = number.as_tuple()
    exponent = digits.exponent if isinstance(digits.exponent, int) else 0
    decimals = max(0, -exponent)
    whole = max(0, len(digits.digits) + exponent)
    low = (spec.above is not None and number <= spec.above) or (
        spec.least is not None and number < spec.least
    )
    if decimals > spec.decimals or whole > spec.length - spec.decimals or low:
        return "yibao_field_form", {"form": _form(spec)}
    return None


def as_number(value: object) -> Decimal | None:
    """A number of the interface, given as a number or as text; None when it is none. Trailing zeros do not count."""
    text = str(value).strip()
    if not _NUMBER.match(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number.normalize() if number else Decimal(0)


def as_time(value: object, kind: str = "time") -> datetime | None:
    """A date or time of the interface (wall clock of China, no zone); None when it is none.

    A time where a date is meant is read, and a date where a time is meant is midnight: both are met in the field.
    """
    text = str(value).strip()
    try:
        if _DATE.match(text):
            found = datetime.combine(date.fromisoformat(text), datetime.min.time())
        elif _TIME.match(text):
            found = datetime.fromisoformat(text)
        else:
            return None
    except ValueError:
        return None
    # the last year stands for "without end" and has no day after it; the first have no moment before them
    return found if found.year >= YEAR_MIN and (kind == "date" or found.year < YEAR_MAX) else None


def _form(spec: Field) -> str:
    if spec.type == "date":
        return "yyyy-MM-dd"
    if spec.type == "time":
        return "yyyy-MM-dd HH:mm:ss"
    if spec.type == "number":
        bound = f"，大于 {spec.above}" if spec.above is not None else ""
        bound += f"，不小于 {spec.least}" if spec.least is not None else ""
        return f"数值({spec.length},{spec.decimals}){bound}"
    return "文本"
