"""The whole test command: lint, types, import rules, tests on the embedded server, on Debian's, and in Chromium.

What the tests need of the system is installed where it can be (as root through apt-get); otherwise what is
missing is named and only those parts are left out, visibly. What failed is said once more at the very end, briefly:
records of long runs often keep only that.

    python tools/run_tests.py              # everything
    python tools/run_tests.py --lint-only
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
WORKERS = str(min(os.cpu_count() or 2, 4))

DEBIAN_ROOMS = [
    "tests/circulation",
    "tests/registry",
    "tests/access",
    "tests/production",
    "tests/trace",
    "tests/ledger",
    "tests/people",
    "tests/grants",
    "tests/notify",
    "tests/exceptions",
    "tests/dispensing",
    "tests/uncoded",
    "tests/recall",
    "tests/quality",
    "tests/insurance",
    "tests/exchange",
]
"""What runs a second time on Debian's PostgreSQL: every room with stores. Pure rooms and pages run once."""

FAILURE_LINES = 40
"""Of each failed test's report, the last ones are said again at the end."""
FAILURES_MAX, LINE_MAX = 20, 300
failed: list[str] = []
"""What is said at the end: every part that failed, with its failed tests."""


def run(name: str, *command: str, env: dict[str, str] | None = None) -> bool:
    """Run one part; whether it passed."""
    started = time.monotonic()
    print(f"── {name}", flush=True)
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, check=False).returncode
    passed = code == 0
    said = f"── {name}: {'passed' if passed else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s"
    print(said, flush=True)
    if not passed:
        failed.append(said)
    return passed


def run_pytest(name: str, *options: str, env: dict[str, str] | None = None) -> bool:
    """Run tests; whether all passed. Those that did not are kept for the end."""
    with tempfile.TemporaryDirectory(prefix="yaosu-report-") as folder:
        report = Path(folder) / "report.xml"
        # A file on one worker: its databases and servers are made once. In the order of their names: by number of
        # tests the few long ones, with processes of their own, would all come last.
        command = [sys.executable, "-m", "pytest", "-q", "--dist", "loadfile", "--no-loadscope-reorder"]
        passed = run(name, *command, f"--junitxml={report}", *options, env=env)
        if not passed:
            failed.extend(failures(report))
    return passed


def failures(report: Path) -> list[str]:
    """The failed tests of a JUnit report: name and the last lines of what each said."""
    try:
        cases = ElementTree.parse(report).iter("testcase")
    except (OSError, ElementTree.ParseError):
        return ["pytest left no report: it was killed, or did not start"]
    found = []
    for case in cases:
        for trouble in case:
            if trouble.tag in ("failure", "error"):
                said = (trouble.text or trouble.get("message") or "").splitlines()[-FAILURE_LINES:]
                named = f"FAILED {case.get('classname')}::{case.get('name')}"
                found.append("\n".join(line[:LINE_MAX] for line in (named, *said)))
    left = len(found) - FAILURES_MAX
    return found[:FAILURES_MAX] + ([f"and {left} more, see above"] if left > 0 else [])


def lint() -> bool:
    """Format, lint, types, import rules."""
    parts = [
        run(
            "ruff format",
            str(BIN / "ruff"),
            "format",
            "--check",
            "--quiet",
            "src",
            "tests",
            "tools",
            "clients",
        ),
        run("ruff", str(BIN / "ruff"), "check", "--quiet", "src", "tests", "tools", "clients"),
        run("mypy --strict", str(BIN / "mypy")),
        run("import rules", str(BIN / "lint-imports"), "--no-cache"),
    ]
    return all(parts)


def installed(package: str, present: bool) -> bool:
    """Make a Debian package present; False with a line that says so when it cannot be."""
    if present:
        return True
    if os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=env, stdout=subprocess.DEVNULL)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *package.split()]
        if subprocess.run(command, check=False, env=env, stdout=subprocess.DEVNULL).returncode == 0:
            return True
    print(f"── not installed, and cannot be installed here: {package}", flush=True)
    return False


def debian_bin() -> Path | None:
    """The programs of the newest PostgreSQL of the system, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


@contextlib.contextmanager
def debian_server() -> Iterator[str | None]:
    """A PostgreSQL of the system on a folder of its own; its address, or None where there is none."""
    if not installed("postgresql", debian_bin() is not None):
        yield None
        return
    programs = debian_bin()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="yaosu-pg-"))
    folder.chmod(0o777)
    data = folder / "data"
    # PostgreSQL refuses to run as root; Debian's package brings the account `postgres`
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run(
        [
            *become,
            str(programs / "initdb"),
            "-D",
            str(data),
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-U",
            "postgres",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    options = f"-c listen_addresses='' -k {folder} -c fsync=off -c max_connections=150"
    start = [
        *become,
        str(programs / "pg_ctl"),
        "-D",
        str(data),
        "-w",
        "-l",
        str(folder / "log"),
        "-o",
        options,
        "start",
    ]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        stop = [*become, str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, stdout=subprocess.DEVNULL, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


def tests() -> bool:
    """Everything that runs."""
    parts = [run_pytest("tests (embedded PostgreSQL)", "-n", WORKERS, "-m", "not browser", "tests")]
    with debian_server() as address:
        if address is not None:
            env = {"YAOSU_TEST_DATABASE_URL": address}
            rooms = [room for room in DEBIAN_ROOMS if (ROOT / room).exists()]
            parts.append(
                run_pytest(
                    "tests (system's PostgreSQL)",
                    "-n",
                    WORKERS,
                    "-m",
                    "not browser and not slow",
                    *rooms,
                    env=env,
                )
            )
    chromium = shutil.which("chromium") is not None
    if installed("chromium fonts-noto-cjk", chromium):
        parts.append(run_pytest("tests (Chromium)", "-m", "browser", "tests"))
    return all(parts)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lint-only", action="store_true")
    chosen = parser.parse_args()
    passed = lint()
    if not chosen.lint_only:
        passed = tests() and passed
    if failed:
        print("\n══ what failed, once more")
        print("\n\n".join(failed))
    print("all parts passed" if passed else "a part FAILED, see above", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
