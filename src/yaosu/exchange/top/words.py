"""What our refusals are called in the incumbent's words (list `words.yaml`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

import orjson

from yaosu import yamls
from yaosu.circulation.model import CodeResult
from yaosu.errors import Finding, YaosuError, message
from yaosu.exchange.top.fields import CHINA
from yaosu.exchange.top.protocol import Refused, Reply

LANG = "zh"
"""The protocol knows no languages; its messages are Chinese."""


@dataclass(frozen=True, slots=True)
class Words:
    """The list."""

    msg_codes: Mapping[str, str]
    refused: Mapping[str, tuple[int, str]]
    types: Mapping[str, str]
    """Error type of a verdict."""
    names: Mapping[str, str]
    """What an error type is called."""
    other: str
    format: str
    decoding: frozenset[str]
    used_number: str
    fields: Mapping[str, str]
    """Names of our fields."""


@cache
def words() -> Words:
    """The list in force."""
    text = (resources.files("yaosu.exchange.top") / "words.yaml").read_text("utf-8")
    data = yamls.read(text)
    return Words(
        data["msg_codes"],
        {code: (int(no), sub) for code, (no, sub) in data["refused"].items()},
        {verdict: kind for kind, one in data["code_errors"].items() for verdict in one["verdicts"]},
        {kind: one["zh"] for kind, one in data["code_errors"].items()},
        data["other"],
        data["format"],
        frozenset(data["decoding"]),
        data["used_number"],
        data["fields"],
    )


def reply(error: YaosuError) -> Reply:
    """A refusal as the method's answer with success false; raises `Refused` where it concerns the call itself."""
    said = Finding(error.code, error.params)
    refused = words().refused.get(error.code)
    if refused is not None:
        raise Refused(refused[1], said.text(LANG), refused[0]) from error
    findings = error.findings
    code = findings[0].code if error.code == "invalid_request" and findings else error.code
    msg_code = words().msg_codes.get(code)
    if msg_code is None:
        msg_code = words().msg_codes["invalid_request"] if findings else f"FAIL_BIZ_{error.code.upper()}"
    parts = [f.text(LANG) for f in findings[:20]] or [said.text(LANG), said.next_step(LANG)]
    if error.code == "bill_conflict":
        parts = [words().used_number + "，内容不同", *(_difference(f).text(LANG) for f in findings)]
    elif error.code == "bill_is_void":
        parts = [words().used_number, said.text(LANG)]
    return Reply(None, False, msg_code, "；".join(p.rstrip("。；") for p in parts if p))


def _difference(found: Finding) -> Finding:
    """A difference between two bills of one number, with the field's name and times as this interface writes them."""
    shown = dict(found.params)
    field = str(shown.get("field"))
    shown["field"] = words().fields.get(field, field)
    if field == "happened_at":
        for name in ("recorded", "given"):
            at = datetime.fromisoformat(str(shown[name])).astimezone(CHINA)
            shown[name] = at.strftime("%Y-%m-%d %H:%M:%S")
    return Finding(found.code, shown, found.where)


def kind_of(verdict: str) -> str:
    """The error type under which a verdict is listed."""
    found = words().types.get(verdict)
    if found is not None:
        return found
    return words().format if verdict.startswith("code_") else words().other


def text_of(one: CodeResult) -> str:
    """Why a code was refused, for people."""
    return message(one.verdict).text(LANG, {"code": one.code or one.raw, **(one.params or {})})


def code_errors(refused: Iterable[CodeResult]) -> str:
    """Refused codes by error type as published: `{"3":"code,code","6":"X(下级);Y(上级)"}`."""
    found: dict[str, list[str]] = {}
    for one in refused:
        kind = kind_of(one.verdict)
        code = one.raw.strip() or one.code
        package = (one.params or {}).get("package")
        found.setdefault(kind, []).append(f"{code}(下级);{package}(上级)" if package else code)
    return orjson.dumps({kind: ",".join(codes) for kind, codes in sorted(found.items())}).decode()
