"""The two doors of a watched folder: a server over HTTP with an API key, or the database beside us."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from yaosu.errors import YaosuError
from yaosu.exchange.files import reading, results, service
from yaosu.exchange.files.reading import Room
from yaosu.exchange.files.watch import Outcome
from yaosu.subject import Subject

INCOMPLETE = frozenset({"file_cut", "file_archive_cut", "file_empty"})
LATER = frozenset({"file_busy", "too_busy", "file_server"})
POLL_S = 0.5
TIMEOUT_S = 120.0
PROBLEMS_TOLD = 20
JOB_ENDED = frozenset({"refused", "failed"})


def told(name: str, answer: Mapping[str, Any]) -> str:
    """The human summary of a sent or waiting file, Chinese first."""
    out = [f"文件 File: {name}"]
    total = answer.get("summary") or {}
    if answer["state"] == "done":
        all_good = total.get("refused", 0) == 0
        out.append(
            "结果 Result: "
            + ("全部受理 accepted" if all_good else "有未受理的内容，请查看 .result.csv refused lines")
        )
        if answer.get("repeats"):
            out.append(
                f"与此前的文件相同，结果取自第 {answer['repeats']} 号 Same as file {answer['repeats']}"
            )
        keys = ("lines", "accepted", "refused", "ignored")
        n = {k: total.get(k, 0) for k in keys}
        out.append(
            f"行 Lines: {n['lines']} = 受理 {n['accepted']} + 未受理 {n['refused']} + 非单据内容 {n['ignored']}"
        )
        for bill in list(answer.get("bills") or [])[:200]:
            if bill["n"]:
                why = (bill.get("error") or {}).get("message", "")
                out.append(
                    f"  {bill['bill_no']}: {bill['status']} {bill['accepted']}/{bill['lines']} {why}".rstrip()
                )
    else:
        out.append("结果 Result: 未提交，需要先回答下列问题 not sent, questions are open")
        asked = [*answer.get("questions", ()), *(answer.get("relation") or {}).get("findings", ())]
        for one in asked[:PROBLEMS_TOLD]:
            out.append(f"  {one.get('where', '')} {one['message']} {one['next']}".rstrip())
        out.append(
            f"在网页“文件收发”第 {answer['id']} 号文件中回答后会记住 Answer them on the page of file {answer['id']}"
        )
    return "\r\n".join(out) + "\r\n"


def refused(name: str, body: Mapping[str, Any]) -> Outcome:
    """A file refused as a whole."""
    lines = [
        f"文件 File: {name}",
        "结果 Result: 未受理 refused",
        f"{body['message']} {body['next']}",
        f"({body['code']})",
    ]
    for one in list(body.get("findings") or [])[:PROBLEMS_TOLD]:
        lines.append(f"  {one.get('where', '')} {one['message']} {one['next']}".rstrip())
    where = str((body.get("params") or {}).get("line", ""))
    row = [where.replace("—", ""), "", "", "", name, results.outcome("refused", "zh")]
    table = results.csv_text([results.heads("zh"), [*row, body["code"], body["message"], body["next"]]])
    return Outcome(
        False,
        "\r\n".join(lines) + "\r\n",
        b"\xef\xbb\xbf" + table.encode(),
        incomplete=body["code"] in INCOMPLETE,
        again=body["code"] in LATER,
    )


def _later(reason: str) -> Outcome:
    return Outcome(False, reason, again=True)


class HttpDoor:
    """A server, by its API. Unreachable or busy: later. Wrong key or rights: YaosuError."""

    def __init__(self, url: str, key: str, *, poll_s: float = POLL_S) -> None:
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {key}", "accept-language": "zh"},
            timeout=httpx.Timeout(TIMEOUT_S, connect=10),
        )
        self._poll_s = poll_s

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def process(self, data: bytes, name: str, type_: int | None) -> Outcome:
        """Send, wait, fetch the table."""
        params: dict[str, Any] = {"name": name[:200], "send": "true", "way": "folder"}
        if type_ is not None:
            params["type"] = type_
        try:
            got = await self._client.post(
                "/api/v1/files",
                params=params,
                content=data,
                headers={"content-type": "application/octet-stream"},
            )
            if got.status_code != 201:
                return self._refusal(name, got)
            return await self._outcome(name, got.json())
        except (httpx.HTTPError, ValueError) as error:
            # lost on the way, perhaps after it arrived: the next time it is recognised
            return _later(type(error).__name__)

    def _refusal(self, name: str, got: httpx.Response) -> Outcome:
        if got.status_code in (429, 500, 502, 503, 504):
            return _later(str(got.status_code))
        body = got.json()
        if got.status_code in (401, 403):
            raise YaosuError(
                "forbidden" if got.status_code == 403 else "unauthenticated", body.get("params") or {}
            )
        return refused(name, body)

    async def _outcome(self, name: str, answer: dict[str, Any]) -> Outcome:
        while answer["state"] == "sending":
            await asyncio.sleep(self._poll_s)
            got = await self._client.get(f"/api/v1/files/{answer['id']}")
            got.raise_for_status()
            answer = got.json()
            progress = answer.get("progress") or {}
            if answer["state"] == "sending" and progress.get("state") in JOB_ENDED:
                return _later(str(progress["state"]))
        table = b""
        if answer["state"] == "done" and answer["kind"] == "movements":
            got = await self._client.get(f"/api/v1/files/{answer['id']}/result.csv")
            got.raise_for_status()
            table = got.content
        good = answer["state"] == "done" and (answer["summary"] or {}).get("refused") == 0
        return Outcome(good, told(name, answer), table)


class LocalDoor:
    """The database beside us. `direct`: large files are sent here and now instead of by the worker."""

    def __init__(self, room: Room, subject: Subject, *, direct: bool, poll_s: float = POLL_S) -> None:
        self._room, self._subject, self._direct, self._poll_s = room, subject, direct, poll_s

    async def process(self, data: bytes, name: str, type_: int | None) -> Outcome:
        """Send, wait, make the table."""
        room, subject = self._room, self._subject
        try:
            choices = {"type": type_} if type_ is not None else {}
            file_id, known = await service.receive(room, subject, data, name, "folder", choices)
            answer = await service.send_if_clear(
                room, subject, file_id, "zh", False, direct=self._direct, known=known
            )
            while answer["state"] == "sending":
                await asyncio.sleep(self._poll_s)
                answer = await service.view(room, subject, file_id, "zh")
                if (answer.get("progress") or {}).get("state") in JOB_ENDED:
                    return _later("job")
        except YaosuError as error:
            if error.http in (401, 403) and error.code in ("forbidden", "unauthenticated"):
                raise
            return refused(name, error.as_json("zh"))
        table = b""
        if answer["state"] == "done" and answer["kind"] == "movements":
            table = b"".join([p async for p in results.as_csv(reading.lines(room, subject, file_id), "zh")])
        good = answer["state"] == "done" and (answer["summary"] or {}).get("refused") == 0
        return Outcome(good, told(name, answer), table)
