"""OpenAPI turned into what a reader needs: operations in groups, each with its fields and a worked example.

Pure: takes the document, gives values for a template. An example is the one the room wrote; where it wrote none,
it is put together from the examples of the fields. So every operation has one, and it fits the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
DEPTH_MAX = 6
"""Levels of nested objects in a made-up example: schemas may contain themselves."""

NOTHING = "…"
"""Stands for a text nobody gave an example of."""
Doc = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter or body field."""

    name: str
    place: str
    """path, query, header or body."""
    kind: str
    """Type and limits in one line: `text ≤ 64`, `integer 1 … 500`."""
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """One body: its media type and text."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A documented refusal: HTTP status and the message code (empty where only the status is documented)."""

    http: str
    code: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    public: bool
    fields: tuple[Field, ...]
    request: Example | None
    status: str
    """The status of success."""
    answer: Example | None
    curl: str
    refusals: tuple[Refusal, ...]


@dataclass(slots=True)
class Group:
    """Operations with one tag."""

    id: str
    name: str
    operations: list[Operation] = field(default_factory=list)


def groups(doc: Doc, base: str) -> list[Group]:
    """All operations of `doc`, grouped by first tag in order of appearance. `base`: address used in examples."""
    found: dict[str, Group] = {}
    for path, item in doc["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            tag = (item[method].get("tags") or ["other"])[0]
            group = found.setdefault(tag, Group("group-" + anchor(tag), tag))
            group.operations.append(_operation(doc, base, method, path, item[method]))
    return list(found.values())


def common_refusals(all_groups: list[Group]) -> tuple[Refusal, ...]:
    """What every operation may refuse with: said once for all of them."""
    operations = [op for group in all_groups for op in group.operations]
    shared = set(operations[0].refusals).intersection(*(op.refusals for op in operations))
    return tuple(r for r in operations[0].refusals if r in shared)


def anchor(text: str) -> str:
    """`text` as the name of a place in the page."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _operation(doc: Doc, base: str, method: str, path: str, op: Doc) -> Operation:
    refusals = tuple(_refusals(op["responses"]))
    # a bad key is refused everywhere; what needs one says so
    public = "unauthenticated" not in {r.code for r in refusals}
    fields = [_parameter(doc, p) for p in op.get("parameters", [])]
    request = None
    content = op.get("requestBody", {}).get("content", {})
    if content:
        kind, media = next(iter(content.items()))
        fields += _body_fields(doc, media.get("schema", {}))
        request = Example(kind, _text(_example(doc, media)))
    status = next(s for s in op["responses"] if s.startswith("2"))
    answer = _answer(doc, op["responses"][status])
    return Operation(
        id=anchor(f"{method} {path.removeprefix('/api/v1')}"),
        method=method.upper(),
        path=path,
        summary=op.get("summary", ""),
        description=op.get("description", ""),
        public=public,
        fields=tuple(fields),
        request=request,
        status=status,
        answer=answer,
        curl=_curl(doc, base, method, path, op, request, public),
        refusals=refusals,
    )


def _answer(doc: Doc, response: Doc) -> Example | None:
    for kind, media in response.get("content", {}).items():
        if "json" in kind:
            value = _example(doc, media)
            # a schema that says nothing: the body is not JSON but whatever was put in
            return Example(kind, _text(value)) if value is not None else Example("", "")
        return Example(kind, _text(media["example"]) if "example" in media else "")
    return None


def _refusals(responses: Doc) -> list[Refusal]:
    found = []
    for status, response in responses.items():
        if status.startswith("2"):
            continue
        codes: list[str] = []
        for media in response.get("content", {}).values():
            codes += media.get("examples", {})
            if "example" in media:
                codes.append(media["example"].get("code", ""))
        found += [Refusal(status, code) for code in codes or [""]]
    return found


def resolve(doc: Doc, schema: Doc) -> Doc:
    """`schema` itself, or what it refers to; the first real alternative of an `anyOf`."""
    while True:
        if "$ref" in schema:
            schema = doc["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema or "oneOf" in schema:
            ways = [w for w in schema.get("anyOf") or schema["oneOf"] if w.get("type") != "null"]
            rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
            schema = {**resolve(doc, ways[0]), **rest} if ways else rest
        elif len(schema.get("allOf", ())) == 1:
            schema = {**schema["allOf"][0], **{k: v for k, v in schema.items() if k != "allOf"}}
        else:
            return schema


def _parameter(doc: Doc, parameter: Doc) -> Field:
    schema = parameter.get("schema", {})
    text = parameter.get("description") or resolve(doc, schema).get("description", "")
    kind = kind_of(doc, schema)
    return Field(parameter["name"], parameter["in"], kind, parameter.get("required", False), text)


def _body_fields(doc: Doc, schema: Doc) -> list[Field]:
    body = resolve(doc, schema)
    needed = body.get("required", ())
    return [
        Field(
            name,
            "body",
            kind_of(doc, one),
            name in needed,
            one.get("description") or resolve(doc, one).get("description", ""),
        )
        for name, one in body.get("properties", {}).items()
    ]


def kind_of(doc: Doc, schema: Doc) -> str:
    """Type and limits of a field, for people."""
    ways = [w for w in schema.get("anyOf") or schema.get("oneOf") or () if w.get("type") != "null"]
    if ways:
        return " or ".join(dict.fromkeys(kind_of(doc, w) for w in ways))
    schema = resolve(doc, schema)
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        return " | ".join(str(v) for v in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        inner = kind_of(doc, schema.get("items", {}))
        return f"[{inner}]" + (f" ≤ {schema['maxItems']}" if "maxItems" in schema else "")
    if kind == "string":
        name = schema.get("format", "text")
        return f"{name} ≤ {schema['maxLength']}" if "maxLength" in schema else str(name)
    if kind in ("integer", "number"):
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and high is not None and high < 2**31 - 1:
            return f"{kind} {low:.15g} … {high:.15g}"
        return f"{kind} ≥ {low:.15g}" if low is not None else str(kind)
    return str(kind)


def _example(doc: Doc, media: Doc) -> Any:
    if "example" in media:
        return media["example"]
    for one in media.get("examples", {}).values():
        return one.get("value")
    return made_up(doc, media.get("schema", {}))


def made_up(doc: Doc, schema: Doc, depth: int = 0) -> Any:
    """A value that fits `schema`, from its own examples and its fields'."""
    for one in (schema, resolve(doc, schema)):
        if one.get("examples"):
            return one["examples"][0]
        if "example" in one:
            return one["example"]
    schema = resolve(doc, schema)
    if schema.get("default") is not None:
        return schema["default"]
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if depth >= DEPTH_MAX:
        return None
    if kind == "object":
        return {k: made_up(doc, v, depth + 1) for k, v in schema.get("properties", {}).items()}
    if kind == "array":
        return [made_up(doc, schema["items"], depth + 1)] if "items" in schema else []
    simple = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1), "boolean": False}
    if kind == "string":
        formats = {
            "date-time": "2026-09-30T10:12:31+08:00",
            "date": "2026-09-30",
            "uuid": "0d6e4cbe-7c0f-4bd0-8a56-5b3f1c2d9e11",
            "binary": NOTHING,
        }
        return formats.get(schema.get("format", ""), NOTHING)
    return simple.get(kind or "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _curl(doc: Doc, base: str, method: str, path: str, op: Doc, request: Example | None, public: bool) -> str:
    address, query = path, []
    for parameter in op.get("parameters", []):
        value = parameter.get("example")
        if value is None:
            value = made_up(doc, {**parameter.get("schema", {}), **_only(parameter, "examples")})
        if parameter["in"] == "path":
            shown = parameter["name"].upper() if value in (None, NOTHING) else str(value)
            address = address.replace("{" + parameter["name"] + "}", shown)
        elif parameter["in"] == "query" and parameter.get("required"):
            query.append(f"{parameter['name']}={parameter['name'].upper() if value == NOTHING else value}")
    target = f"{base}{address}" + ("?" + "&".join(query) if query else "")
    parts = ["curl"] if method == "get" else [f"curl -X {method.upper()}"]
    parts.append(f"'{target}'")
    if not public:
        parts.append('-H "Authorization: Bearer $YAOSU_KEY"')
    if request is not None and request.kind == "application/json":
        parts += ["-H 'Content-Type: application/json'", "-d @request.json"]
    elif request is not None and request.kind.startswith("multipart/"):
        parts.append("-F file=@file.xml")
    elif request is not None:
        parts += [f"-H 'Content-Type: {request.kind}'", "--data-binary @file"]
    return " \\\n  ".join(parts)


def _only(parameter: Doc, key: str) -> dict[str, Any]:
    """OpenAPI's named examples of a parameter as a schema's list."""
    given = parameter.get(key)
    if isinstance(given, dict):
        return {key: [one.get("value") for one in given.values()]}
    return {key: given} if given else {}
