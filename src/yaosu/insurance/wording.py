"""The texts that a signature of the 医保 interface may have been made over, as different software writes them. Pure.

The rule is one (`envelope`): names sorted, blanks left out, compact JSON. What differs in the field is how a number is
written (12.50 stays 12.50 for whoever signs what it sends), whether blanks inside objects are left out too, and whether
names inside objects are sorted or stand as sent. All of these say the same message, so any of them is taken; they
are tried only where the common text does not fit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


class Literal(str):
    """A number as it was written."""

    __slots__ = ()


def literal(raw: bytes) -> Any:
    """JSON with every number as it was written. ValueError: none, or nested too deep."""
    try:
        return json.loads(raw, parse_float=Literal, parse_int=Literal, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(word: str) -> Any:
    raise ValueError(word)


def written(value: Any, *, ordered: bool) -> str:
    """Compact JSON; numbers as they were written, names sorted or as they stand."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, Mapping):
        items = sorted(value.items()) if ordered else value.items()
        parts = (f"{json.dumps(k, ensure_ascii=False)}:{written(v, ordered=ordered)}" for k, v in items)
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(v, ordered=ordered) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _full(value: Any) -> Any:
    """`value` without blanks at any depth; None when nothing is left."""
    if isinstance(value, Mapping):
        return {k: c for k, v in value.items() if (c := _full(v)) is not None} or None
    if isinstance(value, list):
        return [c for v in value if (c := _full(v)) is not None] or None
    return None if value is None or value == "" else value


def others(message: Mapping[str, Any], left_out: frozenset[str], secret: str) -> Iterator[str]:
    """Other texts of a message that was read by `literal`."""
    known = set()
    for deep in (True, False):
        for ordered in (True, False):
            parts = []
            for name in sorted(message):
                value = _full(message[name]) if deep else message[name]
                if name in left_out or value is None or value in ("", [], {}):
                    continue
                if isinstance(value, Mapping | list):
                    text = written(value, ordered=ordered)
                else:
                    text = written(value, ordered=True) if isinstance(value, bool) else str(value)
                parts.append(f"{name}={text}")
            text = "&".join([*parts, f"key={secret}"])
            if text not in known:
                known.add(text)
                yield text
