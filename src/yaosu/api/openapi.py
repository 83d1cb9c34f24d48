"""The OpenAPI document as it is served: what every operation may answer is said once, here, for all of them.

Rooms document the refusals of their own rules. What the edge and the guard in front of every room refuse belongs to
each operation alike: an unreadable body, a body too large, a bad key, a missing token, an internal failure.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from yaosu.access.openapi import problems

PROBLEM = "application/problem+json"
FILES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pdf": "application/pdf",
}
_SAFE = {"get", "head", "options"}
_METHODS = _SAFE | {"put", "post", "patch", "delete"}
_ANY = (
    "malformed_body",
    "key_invalid",
    "key_expired",
    "key_revoked",
    "password_change_due",
    "internal_error",
    "database_conflict",
    "database_away",
)
_CHANGING = ("csrf_refused", "body_too_large")
_FIELDS = ("invalid_request",)
_NAMED = ("not_found",)

_SCHEMA = {
    "type": "object",
    "description": "A refusal in the caller's language (R-X1).",
    "required": ["code", "message", "next", "params", "findings"],
    "properties": {
        "code": {"type": "string", "description": "stable for ever"},
        "message": {"type": "string"},
        "next": {"type": "string", "description": "what to do now"},
        "params": {"type": "object"},
        "findings": {
            "type": "array",
            "description": "every single fault with its place",
            "items": {
                "type": "object",
                "required": ["code", "message", "next", "where", "params"],
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "next": {"type": "string"},
                    "where": {"type": "string", "description": "field, line or code"},
                    "params": {"type": "object"},
                },
            },
        },
    },
}


_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer yk_…`."},
    "key_header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "yaosu_session",
        "description": "A signed-in browser; changes need the header `X-CSRF-Token`, too.",
    },
}


def install(app: FastAPI) -> None:
    """Serve the completed document of `app`."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(plain())
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """`document` with the common refusals in every operation, and our one shape of a refusal."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _SCHEMA
    document["components"]["securitySchemes"] = _SECURITY
    document["security"] = [{name: []} for name in _SECURITY]
    for item in document["paths"].values():
        for method, operation in item.items():
            if method in _METHODS:
                _complete(method, operation)
    return document


def _files(operation: dict[str, Any]) -> None:
    """An operation with `format=csv|xlsx|docx|pdf` answers with a file, too."""
    for parameter in operation.get("parameters", ()):
        if parameter["name"] != "format" or parameter["in"] != "query":
            continue
        kinds = str(parameter["schema"])
        content = operation["responses"].get("200", {}).setdefault("content", {})
        for kind, media in FILES.items():
            if kind in kinds:
                content.setdefault(media, {"schema": {"type": "string", "format": "binary"}})


def _complete(method: str, operation: dict[str, Any]) -> None:
    if operation.get("description", "").startswith("Public"):
        operation["security"] = []
    _files(operation)
    codes = _ANY + (() if method in _SAFE else _CHANGING)
    if operation.get("parameters") or operation.get("requestBody"):
        codes += _FIELDS
    if any(p["in"] == "path" for p in operation.get("parameters", ())):
        codes += _NAMED
    answers = operation.setdefault("responses", {})
    for status, answer in answers.items():
        if status >= "400":
            # the framework's own description of a 422 is not what we answer
            answer.get("content", {}).pop("application/json", None)
        elif len(answer.get("content", {})) > 1 and answer["content"].get("application/json") == {
            "schema": {}
        }:
            # added by the framework beside the file that the room declares
            del answer["content"]["application/json"]
    for number, common in problems(*codes).items():
        answer = answers.setdefault(str(number), {"description": ""})
        if answer.get("description", "") in ("", "Validation Error"):
            answer["description"] = common["description"]
        examples = answer.setdefault("content", {}).setdefault(PROBLEM, {}).setdefault("examples", {})
        for code, example in common["content"][PROBLEM]["examples"].items():
            examples.setdefault(code, example)
    for status, answer in answers.items():
        if status >= "400":
            for media in answer.get("content", {}).values():
                media["schema"] = {"$ref": "#/components/schemas/Problem"}
