"""Which lines of a bill are owed through a connection: pure, by rules as data (`route_rule`; R-X9, R-A4, R-A6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from yaosu.exchange.outbox.model import Link, RoutedBill, RoutedLine
from yaosu.registry.lists import CodeLists

REASONS = (
    "route_no_rule", "route_rule_excludes", "route_other_home", "route_exempt", "route_before_since", "route_region",
    "route_not_owned", "route_nothing_built", "route_in_stream", "route_no_movement",
)  # fmt: skip
"""Why something is not owed; each is a message code."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules ask beyond the bill: the owner, its products, the homes of codes."""

    org_type: int
    region: str
    flags: Mapping[int, frozenset[str]]
    """Product flags by drug_id."""
    systems: Mapping[int, tuple[str, bool]]
    """Name and own, by trace system."""
    owner_home: int = 0
    """The organisation that the owner is a place of; 0: it is none."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`bill`: what a channel builds from, only with the lines that are owed; None when nothing is."""

    bill: RoutedBill | None
    rule: str = ""
    reason: str = ""
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the revision that a bill replaces: whether it went out through the connection, and the codes that
    were left out of it. What went out has to be followed by its correction or void, whatever the rules say by now."""

    owed: bool
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One item of the list, read once."""

    code: str
    channel: str
    org_types: frozenset[str]
    kinds: frozenset[str]
    types: frozenset[str]
    flags: frozenset[str]
    home: str
    exempt: str
    partner: bool
    quantities: bool
    owed: bool


def rules_of(lists: CodeLists, channel: str, day: date, region: str) -> list[Rule]:
    """The channel's rules in force on a day in a region, in the list's order."""

    def words(attrs: Mapping[str, Any], name: str) -> frozenset[str]:
        return frozenset(str(v) for v in attrs.get(name) or ())

    return [
        Rule(
            item.code, channel, words(a, "org_types"), words(a, "kinds"), words(a, "types"), words(a, "flags"),
            str(a.get("home") or ""), str(a.get("exempt") or ""), bool(a.get("partner")), bool(a.get("quantities")),
            bool(a.get("owed", True)),
        )
        for item in lists.get("route_rule", day, region)
        for a in (dict(item.attrs),)
        if a.get("channel") == channel
    ]  # fmt: skip


def _fits_bill(rule: Rule, bill: RoutedBill, facts: Facts, foreign: bool) -> bool:
    return (
        (not rule.org_types or str(facts.org_type) in rule.org_types)
        and (not rule.kinds or bill.kind in rule.kinds)
        and (not rule.types or str(bill.type) in rule.types)
        and (not foreign or rule.partner)
    )


def _fits_home(rule: Rule, home: int, link: Link, facts: Facts) -> bool:
    if not rule.home:
        return True
    name, own = facts.systems.get(home, ("", True))
    if rule.home == "own":
        return own
    if rule.home == "other":
        return not own
    if rule.home == "linked":
        wanted = str(link.account.get("system") or "")
        return wanted in (str(home), name) if wanted else not own
    return name == rule.home


def decide(
    bill: RoutedBill, link: Link, facts: Facts, lists: CodeLists, told: Told | None = None
) -> Decision:
    """What of `bill` is owed through `link`. Every code of it is either in the answer's bill or in `left_out`.

    `told`: the decision on the revision before, where there was one.
    """
    follows = told is not None and told.owed
    if link.region and not facts.region.startswith(link.region) and not follows:
        return Decision(None, reason="route_region")
    foreign = link.org not in (bill.owner, facts.owner_home) and not link.everyone
    if foreign and link.org not in (bill.from_org, bill.to_org):
        return Decision(None, reason="route_not_owned")
    day = bill.happened_at.date()
    rules = [
        r for r in rules_of(lists, link.channel, day, facts.region) if _fits_bill(r, bill, facts, foreign)
    ]
    if not rules and not follows:
        return Decision(None, reason="route_no_rule")
    exempt = {
        scope: frozenset(
            str(i.attrs.get("flag"))
            for i in lists.get("exemption", day, facts.region)
            if i.attrs.get("scope") == scope
        )
        for scope in {r.exempt for r in rules if r.exempt}
    }

    def why_not(line: RoutedLine) -> tuple[str, str]:
        """(rule, '') when it is owed, else (rule or '', reason)."""
        flags = facts.flags.get(line.drug_id, frozenset())
        reason = "route_no_rule"
        for rule in rules:
            if rule.flags and not rule.flags & flags:
                continue
            if not _fits_home(rule, line.home, link, facts):
                reason = "route_other_home"
                continue
            if rule.exempt and exempt[rule.exempt] & flags:
                return rule.code, "route_exempt"
            return rule.code, "" if rule.owed else "route_rule_excludes"
        return "", reason

    return _sorted_out(bill, rules, why_not, told)


def _sorted_out(
    bill: RoutedBill,
    rules: Sequence[Rule],
    why_not: Callable[[RoutedLine], tuple[str, str]],
    told: Told | None,
) -> Decision:
    used: dict[str, int] = defaultdict(int)
    out: dict[str, dict[str, None]] = defaultdict(dict)

    def owed(lines: Sequence[RoutedLine]) -> tuple[RoutedLine, ...]:
        kept = []
        for line in lines:
            code, reason = why_not(line)
            if reason:
                out[reason][line.code] = None
            else:
                used[code] += 1
                kept.append(line)
        return tuple(kept)

    lines = owed(bill.lines)
    if told is None:
        before = owed(bill.before)
    else:
        # what they were told is what has to be taken back
        before = tuple(x for x in bill.before if told.owed and x.code not in told.left_out)
    with_quantities = next((r for r in rules if r.quantities and r.owed), None)
    quantities = bill.quantities if with_quantities is not None else ()
    if quantities and with_quantities is not None:
        used[with_quantities.code] += 1
    left_out = {reason: list(codes) for reason, codes in out.items()}
    if lines or before or quantities or (told is not None and told.owed):
        rule = max(used, key=lambda r: used[r]) if used else ""
        made = replace(bill, lines=lines, before=before, quantities=quantities)
        return Decision(made, rule, "", left_out)
    reason = max(out, key=lambda r: len(out[r])) if out else "route_no_rule"
    return Decision(None, "", reason, left_out)
