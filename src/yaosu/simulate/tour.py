"""Writes the played scenes as the page `/stories` tells them: a file in the data folder, read while the demo runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yaosu.simulate.cast import Cast, DemoOrg, Staff
from yaosu.simulate.partner import Partner
from yaosu.simulate.scenes.play import texts
from yaosu.simulate.setup import OPERATOR_LOGIN, PASSWORD

FILE = "stories.json"
"""`yaosu.console.stories` reads it under the same name."""


def told(links: Mapping[str, Mapping[str, str]], cast: Cast, other: Partner | None = None) -> dict[str, Any]:
    """Stories whose scenes were played, with addresses put in; and who can sign in.

    A step `there` is on the other system, whose accounts are listed after ours.
    """
    stories = []
    for story in texts():
        found = links.get(story["key"])
        if found is None:
            continue
        steps = [{**step, "link": step["link"].format_map(found)} for step in story["steps"]]
        for step in steps:
            if step.get("there") and other is not None:
                step["link"] = other.public + step["link"]
        stories.append({**story, "steps": steps})
    accounts: list[DemoOrg | Staff] = [*cast.orgs.values(), *cast.staff]
    people = [{"login": one.login, "zh": one.role_zh, "en": one.role_en} for one in accounts]
    people.append({"login": OPERATOR_LOGIN, "zh": "平台运营", "en": "Operator"})
    if other is not None:
        for far in other.cast.orgs.values():
            people.append({"login": far.login, "zh": far.role_zh, "en": far.role_en, "there": other.public})
    return {"password": PASSWORD, "people": people, "stories": stories}


def write(
    data: Path, links: Mapping[str, Mapping[str, str]], cast: Cast, other: Partner | None = None
) -> None:
    """In one step: a reader sees the old file or the new."""
    draft = data / f"{FILE}.new"
    draft.write_text(json.dumps(told(links, cast, other), ensure_ascii=False, indent=1), "utf-8")
    draft.replace(data / FILE)
