"""What the lists say of the rules in one region on one day (D11): severities, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from yaosu.insurance.model import CHINA, SEVERITIES, Limits, Said, Severity
from yaosu.registry.lists import CodeLists

RULES = "insurance_rule"
LIMITS = "insurance_limit"


def limit(lists: CodeLists, name: str, region: str) -> int:
    """A number of list `insurance_limit` in a region."""
    item = lists.item(LIMITS, name, region=region)
    assert item is not None, name
    return int(str(item.attrs["value"]))


def limits_of(lists: CodeLists, region: str) -> Limits:
    """The numbers the rules use, in a region."""
    return Limits(
        limit(lists, "same_act_hours", region) * 3600,
        limit(lists, "double_scan_seconds", region),
        limit(lists, "late_upload_hours", region) * 3600,
        limit(lists, "ahead_minutes", region) * 60,
    )


class Weights:
    """What each rule means in one region on one day (list `insurance_rule`)."""

    def __init__(self, lists: CodeLists, region: str, at: datetime) -> None:
        self._items = {i.code: i for i in lists.get(RULES, at.astimezone(CHINA).date(), region)}

    def severity(self, rule: str) -> Severity:
        """refuse, examine or ok; a rule that is not in force there says nothing: ok."""
        item = self._items.get(rule)
        found = str(item.attrs["severity"]) if item is not None else "ok"
        return found if found in SEVERITIES else "refuse"

    def sorted(self, said: Sequence[Said]) -> list[Said]:
        """Heaviest first."""
        return sorted(said, key=lambda s: (-SEVERITIES.index(self.severity(s.rule)), self._order(s.rule)))

    def worst(self, said: Sequence[Said]) -> Severity:
        """Of several."""
        return max((self.severity(s.rule) for s in said), key=SEVERITIES.index, default="ok")

    def case(self, rule: str) -> bool:
        """Whether it is looked into by a case."""
        item = self._items.get(rule)
        return item is not None and bool(item.attrs.get("case")) and self.severity(rule) != "ok"

    def _order(self, rule: str) -> int:
        item = self._items.get(rule)
        return int(str(item.attrs.get("order", 99))) if item is not None else 99
