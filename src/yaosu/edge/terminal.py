"""What the commands of all rooms share: refusals with their codes, in both languages, and strict JSON files.

Exit codes: 0 done, 1 refused or failed with the reason printed, 2 wrong use of the command (the terminal library).
A refusal goes to standard error; standard output holds results only, so that a script can take them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import orjson
import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console

from yaosu.edge import strict_json
from yaosu.edge.problem import field_findings
from yaosu.errors import Finding, YaosuError

M = TypeVar("M", bound=BaseModel)

FINDINGS_PRINTED_MAX = 50
WIDTH = 160
"""Columns where there is no terminal to ask."""

out = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON 输出 JSON.")]


def explain(error: YaosuError) -> None:
    """Print a refusal: its code, what is wrong and what to do now, in Chinese and English, then every finding."""
    err.print(f"✗ {error.code}", markup=False, style="red")
    for lang in ("zh", "en"):
        said = error.as_json(lang)
        err.print(f"{said['message']} {said['next']}".rstrip(), markup=False)
    for finding in error.findings[:FINDINGS_PRINTED_MAX]:
        place = f"{finding.where}: " if finding.where else ""
        for lang in ("zh", "en"):
            text = f"{finding.text(lang)} {finding.next_step(lang)}".rstrip()
            err.print(f"  {place}{text}" if lang == "zh" else f"    {text}", markup=False)
        err.print(f"    ({finding.code})", markup=False, style="dim")
    more = len(error.findings) - FINDINGS_PRINTED_MAX
    if more > 0:
        err.print(f"  … +{more}", markup=False)


@contextmanager
def refusals() -> Iterator[None]:
    """Around the work of a command: a refusal is explained and exits with 1, never a traceback.

    So does a database that cannot be reached or was never set up, and a number no column holds.
    """
    try:
        yield
    except YaosuError as error:
        explain(error)
        raise typer.Exit(1) from error
    except asyncpg.DataError as error:
        reason = "数值超出范围 value out of range"
        finding = Finding("field_invalid", {"field": "—", "reason": reason})
        explain(YaosuError("invalid_request", {"count": 1}, [finding]))
        raise typer.Exit(1) from error
    except asyncpg.UndefinedTableError as error:
        explain(YaosuError("database_empty"))
        raise typer.Exit(1) from error
    except (ConnectionError, asyncpg.PostgresConnectionError, asyncpg.InvalidCatalogNameError) as error:
        explain(YaosuError("database_unreachable", {"reason": str(error).splitlines()[0][:200]}))
        raise typer.Exit(1) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        explain(YaosuError("database_unreachable", {"reason": str(error).splitlines()[0][:200]}))
        raise typer.Exit(1) from error


def read_file(file: str) -> bytes:
    """The bytes of a file argument, `-` being standard input. Wrong use (2) when it cannot be read."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error


def read_lines(file: str) -> list[str]:
    """The lines of a text file that hold something. Refused (`malformed_body`) when it is not UTF-8."""
    return lines_of(read_file(file))


def lines_of(content: bytes) -> list[str]:
    """The lines that hold something. Refused (`malformed_body`) when they are not UTF-8."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start + 1
        reason = f"第 {place} 字节不是 UTF-8 / byte {place} is not UTF-8"
        raise YaosuError("malformed_body", {"reason": reason}) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def json_of(content: bytes) -> Any:
    """JSON read as strictly as the API reads it. Refused (`malformed_body`) with the place; never its content."""
    try:
        return strict_json.parse(content)
    except strict_json.MalformedBodyError as error:
        raise YaosuError("malformed_body", {"reason": f"{error.zh} / {error.en}"}) from error


def checked(model: type[M], values: Any) -> M:
    """`values` as the API's own model. Refused (`invalid_request`) with every field that is wrong, without values."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        pairs = zip(field_findings(errors, "zh"), field_findings(errors, "en"), strict=True)
        findings = [
            Finding(
                zh.code, {**zh.params, "reason": f"{zh.params['reason']} / {en.params['reason']}"}, zh.where
            )
            for zh, en in pairs
        ]
        raise YaosuError("invalid_request", {"count": len(findings)}, findings) from error


def print_json(value: object) -> None:
    """An answer on standard output, for scripts."""
    sys.stdout.write(orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode() + "\n")
