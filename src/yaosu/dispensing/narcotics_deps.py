"""What the narcotics API and pages share: the desk, answers, files of the register."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
from fastapi import Response
from starlette.requests import Request

from yaosu.access.openapi import problems
from yaosu.circulation.model import CodeResult
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.db.engine import Connection
from yaosu.dispensing import narcotics_register as registers
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing import narcotics_views as views
from yaosu.dispensing.narcotics_desk import Desk
from yaosu.dispensing.narcotics_model import Act, Prescription, Register
from yaosu.edge.pages import CHINA
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.papers import pdf, xlsx
from yaosu.people.model import Shown
from yaosu.people.parts import keeper_of
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

NO_STORE = {"cache-control": "no-store"}
MEDIA = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def answered(example: Any, *codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an example and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", "narcotics_hospital_only", *codes),
    }


def as_json(value: object) -> Response:
    """An answer that no cache keeps: it may tell of persons, masked."""
    return Response(orjson.dumps(value, default=str), media_type="application/json", headers=NO_STORE)


def desk_of(request: Request) -> Desk:
    """The server's desk."""
    return Desk(
        state(request).pool,
        committer_of(request),
        registry_of(request),
        batches_of(request),
        keeper_of(request),
    )


def act_answer(request: Request, act: Act, results: Iterable[CodeResult] = ()) -> Response:
    """An act as the API and the scan station read it: `waiting` until others have confirmed."""
    lang = language(request)
    view = views.act_view(registry_of(request), act, lang)
    # an opened box was looked at without its part; the act names the part, so nothing of it is refused
    told = [r.as_json(lang) for r in results if r.accepted]
    view |= {
        # the station shows a number and a link; the bill itself comes with the last confirmation
        "bill_no": act.bill_no or f"#{act.id}",
        "status": "refused" if act.state == "refused" else act.state,
        "accepted": len(view["lines"]),
        "refused": 0,
        "results": told,
        "url": f"/narcotics/acts/{act.id}",
    }
    return as_json(view)


async def persons_of(
    desk: Desk, conn: Connection, subject: Subject, found: Iterable[Prescription]
) -> dict[int, Shown]:
    """Patients and agents of prescriptions, masked."""
    return await service.shown(desk, conn, subject, [p for rx in found for p in (rx.patient, rx.agent)])


def moment(text: date | None, otherwise: datetime, after: bool = False) -> datetime:
    """The beginning of a day in China, or with `after` its end."""
    if text is None:
        return otherwise
    return datetime.combine(text + timedelta(days=1 if after else 0), time(), CHINA)


async def register_of(
    request: Request,
    conn: Connection,
    subject: Subject,
    place: int,
    drug_id: int,
    first: date | None,
    last: date | None,
    whole: bool,
) -> tuple[Register, dict[int, Shown]]:
    """The register of whole days, the last 31 unless asked otherwise, with its patients masked."""
    now = datetime.now(UTC)
    today = now.astimezone(CHINA).date()
    start = moment(first, moment(today - timedelta(days=30), now))
    end = min(moment(last, now, after=True), now)
    desk = desk_of(request)
    found = await registers.register(conn, subject, desk.registry, place, drug_id, start, end, whole)
    patients = await service.shown(desk, conn, subject, [line.patient for line in found.lines])
    return found, patients


async def register_file(
    request: Request, register: Register, patients: dict[int, Shown], kind: str, by: str
) -> Response:
    """The register as PDF or XLSX, with whoever printed it in the footer."""
    registry = registry_of(request)
    paper = registers.paper(register, registry, patients, by)
    render = pdf.render if kind == "pdf" else xlsx.render
    data = await asyncio.to_thread(render, paper)
    name = f"narcotics-{register.orgs[0]}-{register.drug_id}-{register.end.astimezone(CHINA):%Y%m%d}.{kind}"
    headers = {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type=MEDIA[kind], headers=headers)
