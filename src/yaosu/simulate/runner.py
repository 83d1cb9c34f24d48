"""Plays a plan: as many calls side by side as their packages allow, each answer checked against the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from yaosu.simulate.client import Api, DemoError
from yaosu.simulate.state import Journal
from yaosu.simulate.steps import Plan, Step

SIDE_BY_SIDE = 12
ACTIVATIONS = 2

Done = Callable[[int, int], None]


def in_order(plan: Plan) -> list[Step]:
    """The steps as they would have been recorded: by time, but never before what they wait for.

    So the newest bills of the province are also the last on record, as in a list of bills newest first.
    """
    moment: list[datetime] = []
    for step in plan.steps:
        moment.append(max([step.at, *(moment[n] for n in step.after)]))
    return sorted(plan.steps, key=lambda step: (moment[step.n], step.n))


class Runner:
    """Runs the steps of a plan that the journal does not hold yet."""

    def __init__(self, api: Api, plan: Plan, journal: Journal, progress: Done) -> None:
        self.api = api
        self.plan = plan
        self.journal = journal
        self.progress = progress
        self._done = [asyncio.Event() for _ in plan.steps]
        self._activations = asyncio.Semaphore(ACTIVATIONS)
        self._waiting = iter(in_order(plan))
        self._count = 0

    async def run(self) -> None:
        """All steps; the first that is not answered as planned ends it with a DemoError."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(SIDE_BY_SIDE):
                    group.create_task(self._work())
        except BaseExceptionGroup as failed:
            first = failed.exceptions[0]
            raise first from None

    async def _work(self) -> None:
        """Takes the next step, waits for those before it, calls; what it waits for was taken earlier."""
        for step in self._waiting:
            if step.n not in self.journal.answers:
                for n in step.after:
                    await self._done[n].wait()
                self.journal.note(step.n, await self._call(step))
            self._done[step.n].set()
            self._count += 1
            self.progress(self._count, len(self.plan.steps))

    async def _call(self, step: Step) -> Mapping[str, Any]:
        match step.kind:
            case "activate":
                return await self._activate(step)
            case "movement":
                return await self._move(step)
            case "void":
                bill = self._about(step)["bill_id"]
                answer = await self._revised(step, f"/bills/{bill}/void", "bill_is_void")
                return {"bill_id": answer.get("bill_id")}
            case "answer":
                check = self._about(step)["check"]
                await self._revised(step, f"/receipt-checks/{check}/answer", "check_not_open")
                return {}
            case _:
                # pack, unpack, replace, void of codes: numbered, so that a repetition gets the same answer
                body = {**step.body, "bill_no": f"BZ{step.at:%Y%m%d}-{step.n}"}
                answer = await self.api.post(step.who, f"/packing/{step.kind}", body)
                return {"bill_id": answer["bill_id"]}

    def _about(self, step: Step) -> Mapping[str, Any]:
        assert step.about is not None
        return self.journal.answers[step.about]

    async def _revised(self, step: Step, path: str, already: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = await self.api.post(step.who, path, step.body)
            return found
        except DemoError as error:
            if f'"code":"{already}"' in str(error).replace(" ", ""):
                return {}  # done by an attempt that ended before it could write so down
            raise

    async def _activate(self, step: Step) -> Mapping[str, Any]:
        params = {
            "name": step.body["name"],
            "stock_in": str(step.body["stock_in"]).lower(),
            "happened_at": step.at.isoformat(),
        }
        async with self._activations:
            sent = await self.api.raw(
                step.who, "POST", "/relations", params=params, content=step.body["content"]
            )
        answer = sent.json()
        return {"bill_id": answer["bill_id"]}

    async def _move(self, step: Step) -> Mapping[str, Any]:
        answer = await self.api.post(step.who, "/movements", step.body)
        said = tuple(sorted(r["verdict"] for r in answer["results"] if r["severity"] != "ok"))
        if said != step.expect:
            odd = [
                (r["raw"], r["verdict"], r["evidence"]) for r in answer["results"] if r["severity"] != "ok"
            ]
            raise DemoError(
                f"step {step.n} {step.who} {step.body['type']} {step.body['bill_no']}: "
                f"planned {step.expect}, answered {odd[:5]}"
            )
        checks = answer["checks"]
        return {"bill_id": answer["bill_id"], "check": checks[0]["id"] if checks else None}
