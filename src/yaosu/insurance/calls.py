"""What the handling of a verified 医保 call needs and gives back, and the words of its answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from yaosu.errors import Finding, message
from yaosu.insurance import fields
from yaosu.insurance.model import CHINA, Institution, Outcome, Verdict
from yaosu.insurance.profiles import Profile
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import Registry
from yaosu.trace.verify import BatchMemory

MSG_MAX = 500
SHOWN_MAX = 20
"""Findings named in err_msg or warn_msg; rows carry their own."""


@dataclass
class Taken:
    """What became of a call. `whole` is the finding that refuses all of it."""

    output: dict[str, Any] = field(default_factory=dict)
    whole: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rows: int = 0
    refused: int = 0
    kept: bool = True
    failed: str = ""
    """err_msg of a call that was taken in and answered with a refusal (a settlement that is not paid)."""


@dataclass(frozen=True)
class Call:
    """One verified call and all that its handling needs."""

    registry: Registry
    memory: BatchMemory
    keeper: Keeper
    institution: Institution
    profile: Profile
    infno: str
    message: Mapping[str, Any]
    sent_at: datetime
    now: datetime

    @property
    def body(self) -> Any:
        """The `input` node."""
        return self.message.get("input")

    def person(self, row: Mapping[str, Any]) -> bytes | None:
        """A keyed hash of the person a row names, or None. psn_no first: one person has one."""
        for name in ("psn_no", "certno"):
            value = str(row.get(name) or "").strip()
            if value:
                return self.keeper.match(f"insurance {name} {value}")
        return None

    def hashed(self, value: object) -> bytes:
        """A keyed hash of content: says whether two are equal, and nothing more."""
        return self.keeper.match(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str).decode())


def words(finding: Finding) -> str:
    """A finding as err_msg says it: text, place, code."""
    place = f"（{finding.where}）" if finding.where else ""
    return f"{finding.text('zh')}{place}[{finding.code}]"


def told(verdict: Verdict) -> list[str]:
    """What is said of a code, in Chinese, with the next step."""
    found = []
    for said in verdict.said:
        entry = message(f"ins_{said.rule}")
        params = {"code": verdict.code, **said.params}
        found.append(entry.text("zh", params))
    return found


def remarks(outcome: Outcome) -> dict[int, list[str]]:
    """By row, what is said of codes and lines that are not simply in order."""
    found: dict[int, list[str]] = defaultdict(list)
    for verdict in (*outcome.codes, *outcome.lines):
        if verdict.severity == "ok":
            continue
        lead = f"{verdict.code}：" if verdict.code else ""
        number = f"（核查单 {verdict.case_no}）" if verdict.case_no else ""
        found[verdict.row].append(lead + "；".join(told(verdict)) + number)
    return found


def moment_of(value: object) -> datetime | None:
    """A time of the interface (wall clock of China) as a moment; None when it is none."""
    found = fields.as_time(value) if value not in (None, "") else None
    return found.replace(tzinfo=CHINA) if found is not None else None
