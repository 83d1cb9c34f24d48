"""The table for people and the file for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from yaosu import __version__
from yaosu.bench.database import Server
from yaosu.bench.measure import TARGETS, Row, Scale

_COLOURS = {"aim": "green", "hold": "yellow", "missed": "red"}
_VERDICTS = {"aim": "aim 目标", "hold": "hold 达标", "missed": "missed 未达标"}


def commit() -> str:
    """The commit measured, with `+` when files differ from it; empty outside a checkout."""
    folder = Path(__file__).parent

    def git(*args: str) -> str:
        done = subprocess.run(  # noqa: S603
            ("git", *args),  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "HEAD")
        return head + ("+" if head and git("status", "--porcelain", "--untracked-files=no") else "")
    except OSError:
        return ""


def machine() -> dict[str, object]:
    """What it ran on."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = 0
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_mb": memory,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def as_json(
    rows: Sequence[Row], failed: dict[str, str], server: Server, scale: Scale, seconds: float, load: float
) -> dict[str, object]:
    """The content of `--json FILE` (design §5)."""
    return {
        "commit": commit(),
        "version": __version__,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": machine(),
        "load_average_before": load,
        "postgresql": server.version,
        "embedded": server.embedded,
        "sizes": asdict(scale),
        "rows": [row.as_json() for row in rows],
        "failed": failed,
    }


def write(path: Path, content: dict[str, object]) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def figure(value: float) -> str:
    """A number with three significant digits or as many as it has before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _span(values: Sequence[float]) -> str:
    return f"{figure(median(values))}\n[dim]{figure(min(values))}–{figure(max(values))}[/dim]"


def show(console: Console, rows: Sequence[Row]) -> None:
    """The table: both sides with their range, ratio, what is held and aimed at, verdict."""
    table = Table(title="yaosu bench", show_lines=True)
    for name in ("id", "ours 本系统", "baseline 基线", "unit", "ratio", "hold / aim", "verdict", "work"):
        table.add_column(name, overflow="fold", justify="right" if name[:4] in ("ours", "base") else "left")
    for row in rows:
        verdict = row.verdict
        table.add_row(
            row.id,
            _span(row.ours),
            _span(row.baseline) if row.baseline else "—",
            row.unit,
            f"{row.ratio:.3f}" if row.ratio is not None else "—",
            TARGETS[row.id].text,
            f"[{_COLOURS[verdict]}]{_VERDICTS[verdict]}[/]",
            row.work,
        )
    console.print(table)
    for row in rows:
        for name, value in row.extra.items():
            shown = (
                json.dumps(_rounded(value), ensure_ascii=False)
                if isinstance(value, dict)
                else _rounded(value)
            )
            console.print(f"[bold]{row.id}[/bold] {name}: {shown}", soft_wrap=True, highlight=False)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return value
