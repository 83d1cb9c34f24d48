"""A small server for the scan station: the real page, a check and a submission that remember what they saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from web.rendering import page
from yaosu.access.headers import CSP
from yaosu.edge.pages import WEB
from yaosu.errors import Finding, YaosuError
from yaosu.subject import ANONYMOUS


class Counter:
    """What arrived, in order, and how the server should behave next."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.checked: list[str] = []
        self.checks: list[dict[str, Any]] = []
        self.submissions: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.bills: dict[str, dict[str, Any]] = {}
        self.refuse_submission = False
        self.uploads: dict[str, bytearray] = {}
        self.pieces: list[int] = []


def judge(raw: str) -> dict[str, Any]:
    """A verdict by the code's look: 8385793… is a box, 8385794… a case of 200, …9 near expiry, others unknown."""
    code = raw.removeprefix("]C1").strip()
    known = code.startswith("838579") or "\x1d" in code
    severity = "refused" if not known else "warn" if code.endswith("9") else "ok"
    text = {
        "ok": ("通过", "与上游出库信息一致", ""),
        "warn": ("近效期", "距有效期不足 6 个月", "与供货单位确认后再收货"),
        "refused": ("未知追溯码", "没有找到该追溯码的登记", "放入待处理区，并联系供货单位"),
    }[severity]
    return {
        "raw": raw,
        "code": code,
        "severity": severity,
        "verdict": text[0],
        "message": text[1],
        "next": text[2],
        "product": "正骨水" if known else "",
        "batch": "251021" if known else "",
        "expiry": "2027-09-30" if known else "",
        "level_name": "箱" if code.startswith("8385794") else "盒",
        "qty": 200 if code.startswith("8385794") else 1,
        "status": "O",
    }


def application(seen: Counter) -> Starlette:
    """The app around `seen`."""

    def html(text: str) -> Response:
        return HTMLResponse(text, headers={"content-security-policy": CSP})

    async def check(request: Request) -> Response:
        body = await request.json()
        seen.tokens.append(request.headers.get("x-csrf-token", ""))
        seen.checks.append(body)
        seen.checked.extend(body["codes"])
        return JSONResponse({"results": [judge(raw) for raw in body["codes"]]})

    async def submit(request: Request) -> Response:
        body = await request.json()
        seen.submissions.append(body)
        if seen.refuse_submission:
            error = YaosuError(
                "invalid_request", {"count": 1}, [Finding("field_invalid", {"field": "note", "reason": "x"})]
            )
            return JSONResponse(error.as_json("zh"), status_code=422)
        results = [judge(raw) for raw in body["codes"]]
        refused = sum(r["severity"] == "refused" for r in results)
        known = seen.bills.setdefault(
            body["bill_no"],
            {
                "bill_no": body["bill_no"],
                "bill_id": len(seen.bills) + 1,
                "url": f"/bills/{len(seen.bills) + 1}",
                "accepted": len(results) - refused,
                "refused": refused,
                "results": results,
            },
        )
        return JSONResponse(known)

    async def upload(request: Request) -> Response:
        key = f"u{len(seen.uploads) + 1}"
        seen.uploads[key] = bytearray()
        return JSONResponse({"id": key, "offset": 0}, status_code=201)

    async def piece(request: Request) -> Response:
        held = seen.uploads[request.path_params["key"]]
        if request.method == "PATCH":
            at = int(request.headers["upload-offset"])
            if at != len(held):
                return JSONResponse({"code": "conflict", "message": "", "next": ""}, status_code=409)
            held.extend(await request.body())
            seen.pieces.append(at)
        return JSONResponse({"offset": len(held)})

    def error(request: Request) -> Response:
        findings = [
            Finding("field_invalid", {"field": "qty", "reason": "应为整数"}, "line 12"),
            Finding("field_invalid", {"field": "batch", "reason": "必填项未填写"}, "line 13"),
        ]
        raised = YaosuError("invalid_request", {"count": 2}, findings)
        subject = {"subject": ANONYMOUS} if "anonymous" in request.query_params else {}
        return html(page("error.html", {"error": raised, "body": raised.as_json("zh")}, **subject))

    def named(request: Request) -> Response:
        lang = request.cookies.get("yaosu_lang") or request.query_params.get("lang", "zh")
        return html(page(request.path_params["name"] + ".html", path="/receive", lang=lang))

    return Starlette(
        routes=[
            Route("/check", check, methods=["POST"]),
            Route("/submit", submit, methods=["POST"]),
            Route("/api/v1/uploads", upload, methods=["POST"]),
            Route("/api/v1/uploads/{key}", piece, methods=["GET", "PATCH"]),
            Route("/error", error),
            Route("/page/{name}", named),
            Mount("/static", StaticFiles(directory=WEB / "static")),
        ]
    )


@contextmanager
def serving(seen: Counter) -> Iterator[str]:
    """The address of the app while it runs in a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(application(seen), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(60)
