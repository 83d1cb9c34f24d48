"""Make the virtual environment; where the system's Python lacks `venv`, install it or say what is missing."""

import os
import shutil
import subprocess
import sys


def main() -> int:
    target = sys.argv[1]
    if sys.version_info < (3, 11):  # noqa: UP036 - the system's Python runs this
        print(f"Yaosu needs Python 3.11 or newer; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 1
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        package = f"python3.{sys.version_info.minor}-venv"
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            print(f"Python's venv module is missing. Install the system package {package}.", file=sys.stderr)
            return 1
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", package], check=True)
    return subprocess.run([sys.executable, "-m", "venv", target], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
