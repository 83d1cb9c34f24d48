"""Every command refuses what it cannot do with a code, in both languages, and never shows a traceback (R-X1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from yaosu.cli import main as cli

UNKNOWN = "99999"
OTHERS = {"serve", "demo", "migrate", "worker", "version", "bench"}
"""They run the server or measure it."""
TEXTS = {"kind": "in_place", "level": "1=10", "since": "2026-01-01"}


def _leaves(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        return [(path, command)]
    return [leaf for name, child in children.items() for leaf in _leaves(child, (*path, name))]


def _commands() -> list[tuple[tuple[str, ...], Any]]:
    cli._mount()
    return [one for one in _leaves(typer.main.get_command(cli.app)) if one[0][0] not in OTHERS]


COMMANDS = _commands()
NAMES = [" ".join(path) for path, _ in COMMANDS]


@pytest.fixture(autouse=True)
def _settings(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("YAOSU_DATA", str(tmp_path))
    monkeypatch.setenv("YAOSU_MASTER_SECRET", bytes(range(32)).hex())


def _value(param: Any, folder: Path) -> str:
    """Something of the right shape that means nothing here."""
    if param.name in TEXTS:
        return TEXTS[param.name]
    if param.name in ("start", "end"):
        return f"2026-01-0{1 + (param.name == 'end')}"
    kind = str(param.bare_type()).lower()
    if "int" in kind:
        return UNKNOWN
    if "date" in kind:
        return "2026-01-01"
    if "path" in kind or "file" in kind or param.name in ("file", "out"):
        made = folder / "given.pdf"
        made.write_bytes(b"\xff\xfe{")
        return str(made)
    return "x"


def _words(path: tuple[str, ...], command: Any, folder: Path, **fixed: str) -> list[str]:
    words = list(path)
    for param in command.params:
        if not param.required and param.name not in fixed:
            continue
        value = fixed.get(param.name) or _value(param, folder)
        words += [value] if param.param_type_name == "argument" else [param.opts[0], value]
    return words


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_a_command_that_means_nothing_here_is_answered_without_a_traceback(
    path: tuple[str, ...], command: Any, tmp_path: Path
) -> None:
    words = _words(path, command, tmp_path)
    done = CliRunner().invoke(cli.app, words, input="x\n")
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert done.exit_code in (0, 1, 2), words
    if any(p.name == "org" and p.required for p in command.params) and done.exit_code != 2:
        assert done.exit_code == 1, (words, done.output)
        assert "not_found" in done.output or "malformed_body" in done.output, (words, done.output)
    if done.exit_code == 1:
        assert any("\u4e00" <= c <= "\u9fff" for c in done.output), (words, done.output)
        assert any(line.startswith("✗ ") for line in done.output.splitlines()), (words, done.output)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_the_help_of_a_command_is_in_both_languages(path: tuple[str, ...], command: Any) -> None:
    said = command.help or ""
    assert any("\u4e00" <= c <= "\u9fff" for c in said), said
    assert any(word.isascii() and len(word) > 3 for word in said.split()), said
    for param in command.params:
        assert getattr(param, "help", None), (path, param.name)


def test_a_database_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    for words in (["bill", "list", "--org", "1"], ["place", "list", "--org", "1"]):
        done = CliRunner().invoke(cli.app, words)
        assert done.exit_code == 1 and "database_unreachable" in done.output, (done.output, done.exception)
