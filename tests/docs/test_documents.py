"""What the documents say can be checked is checked: links, settings, dependencies, commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer

from yaosu.cli import main as cli

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
INTERNAL = {"YAOSU_TEST_DATABASE_URL", "YAOSU_TEST_DATA"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_and_picture_leads_somewhere(path: Path) -> None:
    places = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
    missing = [p for p in places if "://" not in p and not (path.parent / p).exists()]
    assert missing == []


@pytest.mark.parametrize("path", READMES, ids=lambda p: p.name)
def test_the_readme_names_every_setting_and_only_those(path: Path) -> None:
    read = set()
    for source in (ROOT / "src" / "yaosu").rglob("*.py"):
        if source.is_relative_to(ROOT / "src" / "yaosu" / "bench"):
            continue  # starts servers of its own for itself
        text = source.read_text("utf-8")
        read |= set(re.findall(r"(?:env|environ\.get)\(\s*\"(YAOSU_[A-Z_]+)\"", text))
    told = set(re.findall(r"`(YAOSU_[A-Z_]+)`", path.read_text("utf-8")))
    assert read - INTERNAL == told - INTERNAL
    assert len(read) > 5


def test_every_direct_dependency_has_its_reason() -> None:
    told = (ROOT / "docs" / "dependencies.md").read_text("utf-8").lower()
    names = set()
    for file in ("base.in", "dev.in"):
        for line in (ROOT / "requirements" / file).read_text("utf-8").splitlines():
            if line.strip() and not line.startswith(("-", "#")):
                names.add(re.split(r"[\[<>=;\s]", line.strip())[0].lower())
    package = json.loads((ROOT / "src" / "yaosu" / "web" / "package.json").read_text("utf-8"))
    names |= set(package.get("dependencies", {})) | set(package.get("devDependencies", {}))
    named = {word for cell in re.findall(r"^\| ([^|]+) \|", told, re.M) for word in re.split(r", |\[", cell)}
    assert names - named == set()


@pytest.mark.parametrize("path", READMES, ids=lambda p: p.name)
def test_the_readme_names_every_command(path: Path) -> None:
    cli._mount()
    root = typer.main.get_command(cli.app)
    text = path.read_text("utf-8")
    commands = set(getattr(root, "commands", {})) - {"version"}
    assert [name for name in sorted(commands) if not re.search(rf"`(?:yaosu )?{name}[ `…]", text)] == []


@pytest.mark.parametrize("path", READMES, ids=lambda p: p.name)
def test_the_examples_of_the_readme_are_movements_the_api_takes(path: Path) -> None:
    from yaosu.circulation.schemas import MovementIn

    bodies = re.findall(r"-d '(\{.*?\})'", path.read_text("utf-8"), re.S)
    kinds = [MovementIn.model_validate_json(body).type for body in bodies]
    assert kinds == [201, 102, 321]
