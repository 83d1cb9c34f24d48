"""Bodies that no honest program sends: each gets a clear refusal in the caller's language and changes nothing.

Generic over the OpenAPI document: every operation with a JSON body is asked, so a new one is covered when it appears.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from hostile.world import World, body_of, counts, operations
from yaosu.edge.strict_json import MalformedBodyError, parse

RAW: dict[str, tuple[bytes, str]] = {
    "nested lists": (b"[" * 100_000, "嵌套"),
    "nested objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "嵌套"),
    "deep but legal": (b'{"codes":' + b"[" * 300 + b"]" * 300 + b"}", "嵌套"),
    "huge number": (b'{"type":' + b"9" * 5_000 + b"}", "过长"),
    "out of range": (b'{"type": 1e999}', "超出范围"),
    "NaN": (b'{"type": NaN}', "NaN"),
    "infinity": (b'{"type": -Infinity}', "Infinity"),
    "lone surrogate": (b'{"bill_no": "\\ud800"}', "代理"),
    "lone surrogate as a name": (b'{"\\udfff": 1}', "代理"),
    "NUL escape": (b'{"bill_no": "a\\u0000b"}', "NUL"),
    "NUL byte": (b'{"bill_no": "a\x00b"}', ""),
    "UTF-16 with NUL escape": ('{"bill_no": "a\\u0000b"}'.encode("utf-16"), ""),
    "UTF-32": ('{"bill_no": "a"}'.encode("utf-32"), ""),
    "invalid UTF-8": (b'{"bill_no": "\xff\xfe\xfa"}', "UTF-8"),
    "overlong UTF-8": (b'{"bill_no": "\xc0\xaf"}', "UTF-8"),
    "GB18030": ('{"bill_no": "销售单据"}'.encode("gb18030"), "GB18030"),
    "a field twice": ('{"type": 201, "备注": 1, "备注": 2}'.encode(), "备注"),
    "cut off": (b'{"type": 201,\n "bill_no": "x', "第 2 行"),
    "two documents": (b'{"type": 201}\n{"type": 202}', "第 2 行"),
    "comment": (b'{"type": 201 /* sale */}', "第 1 行第 14 个字符"),
    "nothing but spaces": (b"    ", "第 1 行"),
}


def _json_operations(schema: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (method, path)
        for method, path, operation in operations(schema)
        if body_of(schema, operation)[0] == "application/json"
    ]


def _filled(world: World, path: str) -> str:
    path = path.replace("{name}", "bill_types").replace("{code}", "201")
    return re.sub(r"\{(\w+)\}", lambda found: str((world.ids.get(found[1]) or [1])[0]), path)


@pytest.mark.parametrize("kind", RAW)
def test_a_malformed_body_is_refused_everywhere_in_the_callers_language_and_changes_nothing(
    world: World, schema: dict[str, Any], kind: str
) -> None:
    body, said = RAW[kind]
    before = counts(world.database)
    wrong = {}
    with world.client("maker", headers={"content-type": "application/json"}) as client:
        for turn, (method, path) in enumerate(_json_operations(schema)):
            lang = "en" if turn % 2 else "zh"
            answer = client.request(method, f"{_filled(world, path)}?lang={lang}", content=body)
            told = answer.json()
            problem = answer.headers["content-type"].startswith("application/problem+json")
            clear = said in told["message"] if lang == "zh" else told["message"].isascii() or said == "备注"
            if answer.status_code != 400 or told["code"] != "malformed_body" or not problem or not clear:
                wrong[f"{method} {path} {lang}"] = (answer.status_code, answer.text[:300])
    assert not wrong
    assert counts(world.database) == before


TYPES = [
    "",
    "text/plain",
    "application/xml",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "nonsense",
]


@pytest.mark.parametrize("content_type", TYPES, ids=lambda t: t or "none")
def test_json_under_another_content_type_is_refused(
    world: World, schema: dict[str, Any], content_type: str
) -> None:
    before = counts(world.database)
    wrong = {}
    with world.client("maker") as client:
        for method, path in _json_operations(schema):
            example = json.dumps({"bill_no": "a\x00b"}).encode()
            headers = {"content-type": content_type} if content_type else {}
            answer = client.request(method, _filled(world, path), content=example, headers=headers)
            if not 400 <= answer.status_code < 500 or not answer.json()["message"]:
                wrong[f"{method} {path}"] = (answer.status_code, answer.text[:200])
    assert not wrong
    assert counts(world.database) == before


VALUES: dict[str, Any] = {
    "a list": [],
    "an object": {"a": {"b": []}},
    "a huge whole number": 10**30,
    "a negative number": -(2**63),
    "a fraction": 1.5,
    "a truth value": True,
    "nothing": None,
    "a very long text": "长" * 100_000,
    "text that turns direction": "\u202egnp.exe",
    "a text of blanks": " \u3000 ",
    "surrogate pair": "𠮷😀",
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_the_wrong_kind_in_any_field_never_fails_on_our_side(
    world: World, schema: dict[str, Any], kind: str
) -> None:
    wrong = {}
    for caller in ("maker", "operator"):
        with world.client(caller) as client:
            for method, path, operation in operations(schema):
                media, body = body_of(schema, operation)
                if media != "application/json" or not isinstance(body, dict):
                    continue
                for field in body:
                    answer = client.request(method, _filled(world, path), json={**body, field: VALUES[kind]})
                    if answer.status_code >= 500:
                        wrong[f"{caller} {method} {path} {field}"] = answer.text[:200]
                    elif answer.status_code == 422:
                        told = answer.json()
                        if not told["message"] or any(not f["message"] for f in told["findings"]):
                            wrong[f"{caller} {method} {path} {field}"] = answer.text[:200]
    assert not wrong, (wrong, world.incidents()[-1:])


def test_a_refusal_of_a_field_names_the_field_in_the_callers_language(world: World) -> None:
    body = {"type": "x", "bill_no": "", "happened_at": "gestern", "codes": {}, "extra": 1}
    with world.client("maker") as client:
        zh = client.post("/api/v1/movements", json=body).json()
        en = client.post("/api/v1/movements?lang=en", json=body).json()
    assert {f["where"] for f in zh["findings"]} == {"type", "bill_no", "happened_at", "codes", "extra"}
    assert all(f["message"].isascii() for f in en["findings"])
    assert all(not f["params"]["reason"].isascii() for f in zh["findings"])


def _nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf{}", {}),
        (b'{"a": {"b": 1}, "c": {"b": 2}}', {"a": {"b": 1}, "c": {"b": 2}}),
        (b'{"a": "[[[[{{{{"}', {"a": "[[[[{{{{"}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
    ],
)
def test_what_is_legal_is_read(body: bytes, value: object) -> None:
    assert parse(body) == value


def test_nesting_is_refused_from_the_limit_on() -> None:
    parse(_nested(200))
    refused: Callable[[], Any] = lambda: parse(_nested(201))  # noqa: E731
    with pytest.raises(MalformedBodyError):
        refused()
