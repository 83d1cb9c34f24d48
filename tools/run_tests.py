"""The whole test command: lint, types, import rules, tests on the embedded server, on Debian's, and in Chromium.

What the tests need of the system is installed where it can be (as root through apt-get); otherwise what is
missing is named and only those parts are left out, visibly.

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


def run(name: str, *command: str, env: dict[str, str] | None = None) -> bool:
    """Run one part; whether it passed."""
    started = time.monotonic()
    print(f"── {name}", flush=True)
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, check=False).returncode
    passed = code == 0
    print(
        f"── {name}: {'passed' if passed else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return passed


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
    # A file on one worker: its databases and servers are made once. In the order of their names: by number of tests the
    # few long ones, with processes of their own, would all come last.
    pytest = [sys.executable, "-m", "pytest", "-q", "--dist", "loadfile", "--no-loadscope-reorder"]
    parts = [run("tests (embedded PostgreSQL)", *pytest, "-n", WORKERS, "-m", "not browser", "tests")]
    with debian_server() as address:
        if address is not None:
            env = {"YAOSU_TEST_DATABASE_URL": address}
            rooms = [room for room in DEBIAN_ROOMS if (ROOT / room).exists()]
            parts.append(
                run(
                    "tests (system's PostgreSQL)",
                    *pytest,
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
        parts.append(run("tests (Chromium)", *pytest, "-m", "browser", "tests"))
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
    print("all parts passed" if passed else "a part FAILED, see above", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
