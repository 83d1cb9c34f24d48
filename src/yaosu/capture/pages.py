"""The capture page: a photo of a case or a shelf becomes codes, verdicts and a list for the next bill (R-I2)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu.edge.deps import CurrentSubject
from yaosu.edge.pages import render
from yaosu.trace.service import SCOPE

router = APIRouter()


@router.get("/capture")
async def capture_page(request: Request, subject: CurrentSubject) -> Response:
    """Take or choose a photo; reading happens in the browser, and on the server where asked."""
    subject.require(SCOPE)
    return render(request, "capture/capture.html", {})
