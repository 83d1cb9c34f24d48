"""Grants and the flow view; messages and a webhook (issue 3 §2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from yaosu.simulate.client import DemoError
from yaosu.simulate.scenes.stage import Stage, boxes_of


async def grants(stage: Stage) -> None:
    """One wholesaler shows the maker where its product went; another had agreed and took it back; a third is asked."""
    drug = stage.world.drugs["danshen"]
    (case,) = await stage.make("danshen", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:40], "wholesaler_a", "hospital_a")
    await stage.pass_on(boxes[40:90], "wholesaler_a", "chain", "store_1")
    await stage.pass_on(boxes[90:120], "wholesaler_a", "wholesaler_b", "hospital_b")
    until = (stage.world.anchor + timedelta(days=180)).isoformat()

    async def agreed(grantor: str, login: str, fields: list[str]) -> int:
        body: dict[str, Any] = {
            "drug_ids": [drug], "fields": fields, "until": until, "grantor": stage.org(grantor),
            "grantee": stage.org("maker_a"), "note": "质量协议附件：流向查询",
        }  # fmt: skip
        asked = await stage.post("@maker", "/grants", body)
        if login:
            await stage.post(login, f"/grants/{asked['id']}/accept", {})
        return int(asked["id"])

    given = await agreed("wholesaler_a", "@wholesaler", ["flow", "parties", "bills"])
    ended = await agreed("wholesaler_b", "@wholesaler2", ["flow", "parties"])
    await stage.ask("@wholesaler2", "DELETE", f"/grants/{ended}")
    asked = await agreed("chain", "", ["flow"])
    await stage.get("@maker", "/flow", drug_id=drug)
    stage.link("given", f"/grants/{given}")
    stage.link("ended", f"/grants/{ended}")
    stage.link("asked", f"/grants/{asked}")
    stage.link("flow", f"/flow?drug_id={drug}")


async def messages(stage: Stage) -> None:
    """A subscription of the wholesaler's own system, which listens on this machine and checks every signature."""
    receiver = stage.world.receiver
    if receiver is None:
        raise DemoError("nobody listens for webhooks")
    hook = await stage.post("@wholesaler", "/webhooks", {"url": receiver.address, "kinds": []})
    receiver.secret = hook["secret"]
    await stage.post("@wholesaler", f"/webhooks/{hook['id']}/test", {})
    stage.link("hook", f"/webhooks/{hook['id']}")
    stage.link("receiver", receiver.address.removesuffix("/yaosu"))
