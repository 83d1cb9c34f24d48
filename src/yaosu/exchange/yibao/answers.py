"""What answers of 医保 platforms mean for a call and its rows (R-C6, R-C7). Pure.

What a platform takes in and doubts all the same is no plain success: `warn_msg` carries it, and a bureau on Yaosu opens
a case besides (R-X11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from yaosu.exchange.outbox.model import Outcome
from yaosu.insurance import envelope
from yaosu.insurance.envelope import Answer
from yaosu.insurance.fields import codes_of, normal
from yaosu.insurance.profiles import Profile

_ROW = re.compile(r"第(\d+)行\s*")
_MORE = re.compile(r"另有\d+处")


def number_of(entry: Mapping[str, Any]) -> str:
    """批次流水号 of a delivery's row."""
    return str(entry["fields"]["fixmedins_bchno"])


def judged(
    infno: str,
    entries: Sequence[Mapping[str, Any]],
    answer: envelope.Answer,
    like: Profile,
    *,
    resent: bool = False,
) -> tuple[Outcome, dict[str, tuple[str, str]]]:
    """What an answer means for the call, and the state of each row (bchno → done or refused, and what was said)."""
    all_rows = [number_of(e) for e in entries]
    said = " ".join(p for p in (answer.infcode, answer.err_msg, answer.message, answer.warn_msg) if p)
    if not answer.passed:
        if answer.infcode == envelope.TIMEOUT:
            return Outcome("pending", 200, said, remote=answer.refmsgid, wait_s=5.0), {}
        if any(word in said for word in like.again):
            return Outcome("failed", 200, said), {}
        return Outcome("failed", 200, said, final=True, remote=answer.refmsgid), dict.fromkeys(
            all_rows, ("refused", said)
        )
    refused = _refused(entries, answer)
    if refused:
        states = {b: ("refused", refused[b]) if b in refused else ("done", "") for b in all_rows}
        arrived = [
            b for b, (state, told) in states.items() if state == "refused" and resent and _there(told, like)
        ]
        states |= {b: ("done", refused[b]) for b in arrived}
        bad = {b: told for b, (state, told) in states.items() if state == "refused"}
        details = _details(entries, bad)
        told = "；".join(f"{b}：{why}" for b, why in bad.items())[:3000]
        if not bad:
            return Outcome("processed", 200, said, remote=answer.refmsgid), states
        if len(bad) == len(all_rows):
            return Outcome("failed", 200, f"{said} {told}", True, answer.refmsgid, details), states
        return Outcome("partly", 200, f"{said} {told}", False, answer.refmsgid, details), states
    if answer.ok is False:
        if resent and _there(answer.message, like):
            return Outcome("processed", 200, said, remote=answer.refmsgid), dict.fromkeys(
                all_rows, ("done", said)
            )
        details = _details(entries, dict.fromkeys(all_rows, answer.message))
        return Outcome("failed", 200, said, True, answer.refmsgid, details), dict.fromkeys(
            all_rows, ("refused", answer.message)
        )
    return Outcome("processed", 200, said, remote=answer.refmsgid), dict.fromkeys(
        all_rows, ("done", answer.message)
    )


def _refused(entries: Sequence[Mapping[str, Any]], answer: Answer) -> dict[str, str]:
    """Rows that the answer refuses, and why: by their number, their place (`row` from 1) or one of their codes.

    Where a refused row is none that we sent, nobody knows which one is meant: then no row counts as taken.
    """
    numbers = [number_of(e) for e in entries]
    by_code = {
        code: number for e, number in zip(entries, numbers, strict=True) for code in codes_of(e["fields"])
    }
    found: dict[str, str] = {}
    lost: list[str] = []
    for given in answer.rows:
        row = normal({_snake(k) if k not in _OWN else k: v for k, v in given.items()})
        if str(row.get("retRslt", "0")) == "1":
            continue
        said = str(row.get("msgRslt") or row.get("err_msg") or "")
        number, place = str(row.get("fixmedins_bchno") or ""), str(row.get("row") or "")
        if (
            number not in numbers
            and place.isascii()
            and place.isdigit()
            and len(place) < 7
            and 1 <= int(place) <= len(numbers)
        ):
            number = numbers[int(place) - 1]
        if number not in numbers:
            number = next((by_code[code] for code in codes_of(row) if code in by_code), "")
        if number or len(numbers) == 1:
            found[number or numbers[0]] = said
        else:
            lost.append(said)
    if lost:
        told = "；".join(dict.fromkeys(one for one in lost if one))[:500]
        found = {n: found.get(n) or f"平台拒绝了 {len(lost)} 行，未指明哪一行：{told}" for n in numbers}
    return found


_OWN = frozenset({"retRslt", "msgRslt"})
"""Names that are written so in every platform."""


def _there(told: str, like: Profile) -> bool:
    """Whether a refusal of something sent again says that it is there already."""
    return any(word in told for word in like.already)


def _details(entries: Sequence[Mapping[str, Any]], bad: Mapping[str, str]) -> dict[str, Any]:
    codes = {
        code: {"code": "refused", "text": bad[number_of(e)], "row": number_of(e)}
        for e in entries
        if number_of(e) in bad
        for code in codes_of(e["fields"])
    }
    return {"codes": codes, "rows": {b: {"text": told} for b, told in bad.items()}}


def records(output: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Records of an answer to a query, wherever the platform puts the list, under snake_case names."""
    listed: list[Any] = []
    for name in ("data", "list", "result", "output", "drugTracInfo", "seltracinfo"):
        value = output.get(name)
        if isinstance(value, list):
            listed = value
        elif isinstance(value, Mapping):
            inner = value.get("data", value.get("list", value.get("records")))
            listed = inner if isinstance(inner, list) else [value]
        if listed:
            break
    if not listed and ("fixmedinsBchno" in output or "fixmedins_bchno" in output):
        listed = [output]
    return [{_snake(k): v for k, v in r.items()} for r in listed if isinstance(r, Mapping)]


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def doubts(
    entries: Sequence[Mapping[str, Any]], answer: Answer, refused: Sequence[str] = ()
) -> dict[str, str]:
    """By 批次流水号, what was said of a row that was taken: the part that names the row or one of its codes.

    What names neither is said of every row of the call. Rows in `refused` have been told otherwise.
    """
    text = answer.warn_msg.strip()
    if not answer.passed or not text:
        return {}
    numbers = [number_of(e) for e in entries]
    codes = [codes_of(e["fields"]) for e in entries]
    found: dict[str, list[str]] = {}
    for place, part in _parts(text):
        if place is not None and 1 <= place <= len(entries):
            about = [place - 1]
        else:
            about = [n for n, mine in enumerate(codes) if any(code in part for code in mine)]
            about = about or [n for n, number in enumerate(numbers) if number in part]
        for n in about or range(len(entries)):
            if numbers[n] not in refused:
                found.setdefault(numbers[n], []).append(part)
    return {number: "；".join(parts)[:2000] for number, parts in found.items()}


def _parts(text: str) -> list[tuple[int | None, str]]:
    """(row from 1, what is said of it) of a message that names rows; the whole of one that names none."""
    marks = list(_ROW.finditer(text))
    if not marks:
        return [(None, text)]
    parts: list[tuple[int | None, str]] = []
    head = text[: marks[0].start()].strip("；; ")
    if head:
        parts.append((None, head))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        said = text[mark.end() : following.start() if following else None].strip("；; ")
        said = _MORE.sub("", said).strip("；; ")
        if said:
            parts.append((int(mark[1]), said))
    return parts


def doubted_details(
    entries: Sequence[Mapping[str, Any]], doubted: Mapping[str, str], before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Details of a delivery with what was said of codes that were taken."""
    details = dict(before or {})
    said = {
        code: {"code": "warned", "text": doubted[number_of(e)], "row": number_of(e)}
        for e in entries
        if number_of(e) in doubted
        for code in codes_of(e["fields"])
    }
    details["codes"] = said | dict(details.get("codes", {}))
    return details
