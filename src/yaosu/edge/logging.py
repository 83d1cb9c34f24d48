"""The log: one JSON object per line, configured once, with nothing personal in it (design §6, R-X5).

Three nets under what a line may say, because a log is read by more people than the record it speaks of: fields whose
names promise a secret or a person lose their value; texts lose API keys and long numbers; of an exception only its
type, its place and a message without quoted values are kept (a database's message quotes the row it refuses).
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

FRAMES_MAX = 12
"""Innermost frames of an exception that are kept."""
TEXT_MAX = 300
"""Characters of a text in a line."""
CAUSES_MAX = 5

HIDDEN = "[hidden]"
_OURS = frozenset({"exception", "timestamp", "level", "logger", "id", "incident", "job"})
"""Made by the server itself: random numbers that a reader looks up must stay whole."""
_SECRET = re.compile(
    r"pass(word|wd)|secret|token|cookie|csrf|authori[sz]ation|api_?key|^key$|session$"
    r"|^(raw|code|codes|body|header|headers|query|params|sql|args)$"
    r"|phone|mobile|email|id_?card|id_?no|patient|person|login|^name$|address$",
    re.IGNORECASE,
)
_KEY = re.compile(r"yk_[a-z0-9]{4,}(_[A-Za-z0-9_-]+)?")
_NUMBER = re.compile(r"[0-9０-９]{7,}[0-9０-９Xx]?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\([^()]*\)=\([^()]*\)|\u201c[^\u201d]*\u201d")
_FOREIGN = re.compile(r"[^\x20-\x7e]+")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def plain(text: str) -> str:
    """`text` without API keys and numbers long enough to be a person's, a telephone's or a package's."""
    return _NUMBER.sub("…", _KEY.sub("yk_…", text))[:TEXT_MAX]


def _message(error: BaseException) -> str:
    """First line of an exception's message, quoted values and everything that is not ASCII taken out."""
    first = str(error).partition("\n")[0]
    return plain(_FOREIGN.sub("…", _QUOTED.sub("…", first)))


def describe(error: BaseException) -> list[dict[str, Any]]:
    """An exception and its causes as data: type, place, message without values; of the database the state code."""
    told: list[dict[str, Any]] = []
    seen: BaseException | None = error
    while seen is not None and len(told) < CAUSES_MAX:
        frames = traceback.extract_tb(seen.__traceback__)[-FRAMES_MAX:]
        one: dict[str, Any] = {
            "type": f"{type(seen).__module__}.{type(seen).__qualname__}",
            "message": _message(seen),
            "at": [f"{_module(f.filename)}:{f.lineno} {f.name}" for f in frames],
        }
        for key in ("sqlstate", "table_name", "column_name", "constraint_name"):
            value = getattr(seen, key, None)
            if isinstance(value, str):
                one[key] = value
        told.append(one)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return told


def _module(file: str) -> str:
    """The file below its package folder; where the program is installed is nobody's business."""
    for mark in ("/site-packages/", "/src/"):
        _, found, rest = file.rpartition(mark)
        if found:
            return rest
    return file.rpartition("/")[2]


def _exceptions(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`exc_info` in any of its forms becomes `exception`, a list of causes."""
    given: Any = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    if isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        event["exception"] = describe(given)
    return event


def _clean(value: object, depth: int = 0) -> object:
    if isinstance(value, str):
        return plain(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth < 4 and isinstance(value, Mapping):
        return {str(k): HIDDEN if _SECRET.search(str(k)) else _clean(v, depth + 1) for k, v in value.items()}
    if depth < 4 and isinstance(value, (list, tuple)):
        return [_clean(v, depth + 1) for v in value[:50]]
    return plain(str(value))


def without_persons(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> EventDict:
    """Values under names that promise a secret or a person are hidden; texts are made plain."""
    for key, value in event.items():
        if key in _OURS or key.startswith("_"):
            continue
        event[key] = HIDDEN if _SECRET.search(key) else _clean(value)
    return event


def configure(level: str = "info", json: bool = True, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging to write lines to `stream` (default: standard error).

    `level` is the lowest that is written ("debug" … "error"); ValueError for any other word. `json` false writes for
    people at a terminal. Loggers are cached at first use: call this once, before anything logs.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"unknown log level {level!r}")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exceptions,
        without_persons,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    target = stream or sys.stderr
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=True,
    )
    # what libraries say goes through the same nets
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(number, logging.WARNING))
