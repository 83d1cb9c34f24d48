"""Where each duty is answered: `compliance.yaml` as values, filtered for the page, written as a document.

Every page, operation, command, document and test named there exists; `tests/console/test_compliance.py` sees to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from yaosu import yamls

State = Literal["done", "partly", "planned"]
STATES: tuple[State, ...] = ("done", "partly", "planned")
GROUPS = {
    "A": ("编码、备案、生产", "Codes, filing, production"),
    "B": ("流通", "Circulation"),
    "C": ("销售与使用", "Sale and use"),
    "D": ("无码库存", "Uncoded stock"),
    "E": ("质量管理、召回、记录", "Quality management, recall, records"),
    "F": ("监管", "Regulation"),
    "G": ("公众", "Public"),
    "H": ("平台运营", "Operator"),
    "I": ("对接", "Integration"),
    "X": ("本平台自有", "What this product adds"),
}
"""Letter of an id → Chinese and English name of its group."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    zh: str
    en: str

    def of(self, lang: str) -> str:
        """The text for a reader of `lang`."""
        return self.zh if lang == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Duty:
    """One requirement: what is demanded, by whom, how far it is met, and where.

    `pages` need no number in their path; `api` are "METHOD /path" under /api/v1; `cli` commands without `yaosu`;
    `docs` and `tests` paths in the repository, tests with `::name` or whole files. `gap` says what is missing, and
    is blank exactly when the state is done; `note` says what else must be known.
    """

    id: str
    duty: Text
    source: str
    roles: tuple[str, ...]
    state: State
    pages: tuple[str, ...]
    api: tuple[str, ...]
    cli: tuple[str, ...]
    docs: tuple[str, ...]
    tests: tuple[str, ...]
    gap: Text
    note: Text

    @property
    def group(self) -> str:
        """The letter of the id, a key of `GROUPS`."""
        return self.id[2]


@dataclass(frozen=True, slots=True)
class Door:
    """A page outside the navigation: its name and what a reader needs to open it."""

    name: Text
    scope: str
    types: tuple[str, ...]
    public: bool


@dataclass(frozen=True, slots=True)
class Register:
    """All of `compliance.yaml`. `sources` and `roles` by their short names."""

    sources: dict[str, Text]
    roles: dict[str, Text]
    role_types: dict[str, tuple[str, ...]]
    doors: dict[str, Door]
    duties: tuple[Duty, ...]

    def of(self, role: str = "", state: str = "") -> list[Duty]:
        """Duties of one role and state; blank means any."""
        return [d for d in self.duties if (not role or role in d.roles) and (not state or d.state == state)]


def _duty(number: str, entry: dict[str, Any]) -> Duty:
    return Duty(
        id=number,
        duty=Text(entry["zh"], entry["en"]),
        source=entry["source"],
        roles=tuple(entry["roles"]),
        state=entry["state"],
        pages=tuple(entry.get("pages", ())),
        api=tuple(entry.get("api", ())),
        cli=tuple(entry.get("cli", ())),
        docs=tuple(entry.get("docs", ())),
        tests=tuple(entry.get("tests", ())),
        gap=Text(entry.get("gap_zh", ""), entry.get("gap_en", "")),
        note=Text(entry.get("note_zh", ""), entry.get("note_en", "")),
    )


@cache
def register() -> Register:
    """The list as it is delivered."""
    text = (resources.files("yaosu.console") / "compliance.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yamls.read(text)
    return Register(
        sources={name: Text(e["zh"], e["en"]) for name, e in loaded["sources"].items()},
        roles={name: Text(e["zh"], e["en"]) for name, e in loaded["roles"].items()},
        role_types={name: tuple(e["types"]) for name, e in loaded["roles"].items()},
        doors={
            path: Door(
                Text(e["zh"], e["en"]), e.get("scope", ""), tuple(e.get("types", ())), e.get("public", False)
            )
            for path, e in loaded["doors"].items()
        },
        duties=tuple(_duty(number, entry) for number, entry in loaded["requirements"].items()),
    )


def document() -> str:
    """`docs/compliance.md`, in English with the Chinese duty beside it; links are relative to `docs`."""
    known = register()
    counts = {state: len(known.of(state=state)) for state in STATES}
    lines = [
        "# Compliance",
        "",
        "Each duty that a policy notice puts on somebody, how far the product answers it, and where.",
        "Written from `src/yaosu/console/compliance.yaml` by `python tools/compliance.py`; the same list is the page",
        "`/compliance`. A test holds it complete and every reference alive.",
        "Done means that the product does its part; obeying stays with the firm.",
        "",
        f"{counts['done']} done · {counts['partly']} partly · {counts['planned']} planned.",
        "",
        "Sources: " + " · ".join(f"{k} = {t.en} ({t.zh})" for k, t in known.sources.items()) + ".",
    ]
    group = ""
    for duty in known.duties:
        if duty.group != group:
            group = duty.group
            lines += ["", f"## {GROUPS[group][1]} {GROUPS[group][0]}"]
        lines += ["", f"### {duty.id} · {duty.state}", "", f"{duty.duty.en}.  ", f"{duty.duty.zh}。  "]
        lines.append(f"*{duty.source}* · for {', '.join(known.roles[r].en.lower() for r in duty.roles)}")
        lines += ["", *_places(duty)]
        if duty.gap.en:
            lines.append(f"* **Missing:** {duty.gap.en} {duty.gap.zh}")
        if duty.note.en:
            lines.append(f"* **Note:** {duty.note.en} {duty.note.zh}")
    return "\n".join(lines) + "\n"


def _places(duty: Duty) -> Iterable[str]:
    """The lines of a duty that say where it is answered."""
    if duty.pages:
        yield "* Pages: " + ", ".join(f"`{p}`" for p in duty.pages)
    if duty.api:
        yield "* API: " + ", ".join(f"`{a}`" for a in duty.api)
    if duty.cli:
        yield "* Command line: " + ", ".join(f"`yaosu {c}`" for c in duty.cli)
    if duty.docs:
        yield "* Documents: " + ", ".join(f"[{d[5:]}]({d[5:]})" for d in duty.docs)
    if duty.tests:
        yield "* Tests: " + ", ".join(_test(t) for t in duty.tests)


def _test(reference: str) -> str:
    """A test as a link to its file, its sentence as the text."""
    file, _, name = reference.partition("::")
    sentence = name.removeprefix("test_").replace("_", " ") or file.removeprefix("tests/")
    return f"[{sentence}](../{file})"
