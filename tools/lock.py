"""Lock the requirements with hashes and without any registry's address.

python tools/lock.py            # keep what is locked, add what is new
python tools/lock.py --upgrade  # take the newest of everything
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "requirements"


def main() -> None:
    for name in ("base", "dev"):
        command = [
            sys.executable,
            "-m",
            "piptools",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--strip-extras",
        ]
        command += [
            "--allow-unsafe",
            "--no-emit-index-url",
            "--no-emit-trusted-host",
            "--no-header",
            "--no-emit-find-links",
        ]
        command += ["--no-annotate", "--output-file", f"{name}.txt", f"{name}.in", *sys.argv[1:]]
        subprocess.run(command, cwd=ROOT, check=True)
        text = (ROOT / f"{name}.txt").read_text()
        kept = [
            line
            for line in text.splitlines()
            if not re.match(r"\s*(--(extra-)?index-url|--find-links|--trusted-host)", line)
        ]
        (ROOT / f"{name}.txt").write_text("\n".join(kept) + "\n")


if __name__ == "__main__":
    main()
