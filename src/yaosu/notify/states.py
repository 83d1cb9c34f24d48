"""The life of a delivery as one pure function: what was known, what came of an attempt, what is done next (R-X9).

pending → sent → accepted → processed | partly
        ↘ failed (tried again) … → given_up, or at rest until a person acts
        ↘ unknown (asked about before it is sent again)
held: a person stopped it. Settled: processed, partly, given_up, and failed for good. Only a settled delivery lets the
next one of its lane go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yaosu.notify.pace import Pace

State = Literal["pending", "sent", "accepted", "processed", "partly", "failed", "unknown", "given_up", "held"]

ASKED: frozenset[State] = frozenset({"unknown", "sent", "accepted"})
"""They have it, or may have it: ask before anything is sent."""
DONE: frozenset[State] = frozenset({"processed", "partly"})
_RANK: dict[State, int] = {"pending": 0, "failed": 0, "unknown": 0, "held": 0, "sent": 1, "accepted": 2}


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of a delivery. `pause_s` None: nothing more happens by itself.

    `settled`: the lane may go on. `at_rest`: somebody is to be told that it ended unfinished or waits for them.
    `limited`: the whole address is left alone for the pause.
    """

    state: State
    pause_s: float | None
    settled: bool
    tries: int
    at_rest: bool = False
    limited: bool = False


def _rest(state: State, tries: int, pace: Pace) -> Next:
    """No further try: given up where the channel says so, else it waits, and its lane with it."""
    if pace.gives_up:
        return Next("given_up", None, True, tries, at_rest=True)
    return Next(state, None, False, tries, at_rest=True)


def after(
    known: State,
    outcome: State,
    final: bool,
    wait_s: float | None,
    tries: int,
    pace: Pace,
    *,
    asking: bool,
    can_ask: bool,
) -> Next:
    """What follows an attempt. `tries`: attempts since the last progress that did not bring any."""
    state: State
    least = max(0.0, wait_s or 0.0)
    if outcome in DONE:
        return Next(outcome, None, True, 0)
    if outcome == "failed" and final:
        if pace.gives_up:
            return Next("given_up", None, True, tries, at_rest=True)
        return Next("failed", None, True, tries, at_rest=True)
    if outcome in ("sent", "accepted"):
        if not can_ask:
            # nobody will ever say more
            return Next(outcome, None, True, 0)
        ahead = _RANK[outcome] > _RANK[known]
        asked = 0 if ahead else tries + 1
        pause = pace.ask_pause(asked)
        state = outcome if _RANK[outcome] >= _RANK[known] else known
        if pause is None:
            return Next(state, None, False, asked, at_rest=True)
        return Next(state, max(pause, least), False, asked)
    if outcome == "pending" and asking:
        # they never got it: at once, under the same key
        return Next("pending", least, False, tries)
    if outcome == "pending" and wait_s is not None:
        return Next("pending", max(least, 1.0), False, tries, limited=True)
    # failed for now, unknown, or it never got through; a question without an answer changes nothing of what is known
    state = known if asking and outcome == "unknown" and known in ASKED else outcome
    pause = pace.retry_pause(tries + 1)
    if pause is None:
        return _rest(state, tries + 1, pace)
    return Next(state, max(pause, least), False, tries + 1)
