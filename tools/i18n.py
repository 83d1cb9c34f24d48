"""Catalogues of the pages: Chinese is the source, English a translation (D12).

python tools/i18n.py update    # collect strings from templates and code into the .po file
python tools/i18n.py compile   # .po → .mo (also done by tools/build_assets.py)
python tools/i18n.py fill F    # put the English of a YAML file {中文: English} into the .po file
python tools/i18n.py missing   # list strings without English; exit code 1 when there are any
"""

from __future__ import annotations

import argparse
import sys
from io import BytesIO
from pathlib import Path

import yaml
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "yaosu"
PO = SOURCE / "web" / "locale" / "en" / "LC_MESSAGES" / "yaosu.po"
METHODS = [("web/templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"web/templates/**.html": {"trimmed": "true", "silent": "false"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}


def wanted_folder(path: str) -> bool:
    """Every folder of the project's own; babel by itself leaves out `_components`."""
    return not path.endswith(("node_modules", "dist", "__pycache__"))


def collected() -> Catalog:
    """Every string that templates and code mark with `_()`, with where it stands."""
    catalog = Catalog(project="yaosu", charset="utf-8")
    found = extract_from_dir(
        SOURCE, method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS, directory_filter=wanted_folder
    )
    for file, _line, text, comments, context in found:
        # files without line numbers: a moved line is not a changed catalogue
        catalog.add(text, None, [(file, 0)], auto_comments=comments, context=context)
    return catalog


def load() -> Catalog:
    """The English catalogue as it is committed."""
    if not PO.exists():
        return Catalog(locale="en", project="yaosu", charset="utf-8")
    with PO.open("rb") as file:
        return read_po(file, locale="en", charset="utf-8")


def update() -> int:
    """Bring the catalogue up to date; returns how many strings it has."""
    catalog, template = load(), collected()
    catalog.update(template, no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    write(catalog)
    return len(template)


def write(catalog: Catalog) -> None:
    """Write the .po file in a form that changes only where texts change."""
    out = BytesIO()
    write_po(out, catalog, width=120, omit_header=False, sort_output=True, include_lineno=False)
    stable = [line for line in out.getvalue().splitlines(True) if b"-Date:" not in line]
    PO.parent.mkdir(parents=True, exist_ok=True)
    PO.write_bytes(b"".join(stable))


def fill(path: Path) -> int:
    """Take English texts from the YAML mapping at `path`; returns how many it set. Unknown strings are an error."""
    texts: dict[str, str] = yaml.safe_load(path.read_text("utf-8"))
    update()
    catalog = load()
    unknown = [key for key in texts if key not in catalog]
    if unknown:
        sys.exit("not used by any page: " + ", ".join(unknown))
    for key, english in texts.items():
        catalog[key].string = english
    write(catalog)
    return len(texts)


def missing() -> list[str]:
    """Strings in use that have no English text."""
    catalog = load()
    wanted = (message.id for message in collected() if message.id)
    found = []
    for key in wanted:
        entry = catalog.get(key if isinstance(key, str) else key[0])
        text = entry.string if entry is not None else None
        texts = [text] if isinstance(text, str) else list(text or ())
        if not texts or not all(texts):
            found.append(key if isinstance(key, str) else key[0])
    return found


def compile_catalogues() -> None:
    """Write the .mo beside the .po when it is older."""
    mo = PO.with_suffix(".mo")
    if not PO.exists() or (mo.exists() and mo.stat().st_mtime >= PO.stat().st_mtime):
        return
    out = BytesIO()
    write_mo(out, load())
    mo.write_bytes(out.getvalue())


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Catalogues of the pages.")
    parser.add_argument("verb", choices=["update", "compile", "fill", "missing"])
    parser.add_argument("file", nargs="?", type=Path, help="for fill: a YAML file {中文: English}")
    options = parser.parse_args()
    verb = options.verb
    if verb == "fill":
        if options.file is None:
            parser.error("fill needs a file")
        print(f"{fill(options.file)} set, {len(missing())} without English")
    elif verb == "update":
        print(f"{update()} strings, {len(missing())} without English")
    elif verb == "compile":
        compile_catalogues()
    else:
        found = missing()
        print("\n".join(found))
        sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
