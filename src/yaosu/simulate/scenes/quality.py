"""Quality management: check with tasks, self-check table, controlled document, clue (issue 3 §6)."""

from __future__ import annotations

from yaosu.simulate.scenes.stage import Stage, boxes_of


async def check(stage: Stage) -> None:
    """The wholesaler's periodic check finds what is open; one task is answered; shelf and books are compared."""
    accounts = (await stage.get("@wholesaler", "/accounts"))["items"]
    quality = next(a["id"] for a in accounts if a["login"] == "wholesaler-quality")
    await stage.put("@wholesaler", "/quality/plan", {"every": "week", "account_id": quality, "active": True})
    done = await stage.post("@wholesaler", "/quality/checks", {})
    findings = (await stage.get("@wholesaler", "/quality/findings", state="open"))["items"]
    stage.link("check", f"/quality/checks/{done['id']}")
    stage.link("task", "/quality")
    if findings:
        first = findings[0]["id"]
        await stage.post("@wholesaler", f"/quality/findings/{first}/assign", {"account_id": quality})
        await stage.post(
            "@wholesaler-quality", f"/quality/findings/{first}/answer", {"text": "已联系供货方补齐，当日核对"}
        )
        stage.link("task", f"/quality/findings/{first}")


async def papers(stage: Stage) -> None:
    """A self-check table signed and filed; the trace management system in force, read by the staff."""
    document = await stage.post(
        "@wholesaler-quality", "/quality/documents",
        {"kind": "trace_system", "number": "YS-ZS-001", "title": "药品信息化追溯管理制度", "department": "质量管理部",
         "responsible": "质量负责人", "template": "trade"},
    )  # fmt: skip
    path = f"/quality/documents/{document['id']}"
    await stage.post("@wholesaler", f"{path}/approve", {"effective_on": stage.today.isoformat()})
    await stage.post("@wholesaler-quality", f"{path}/acknowledge", {})
    table = await stage.post("@wholesaler-quality", "/quality/self-checks", {})
    number = table["id"]
    whole = await stage.get("@wholesaler-quality", f"/quality/self-checks/{number}")
    items = [
        {"item": one["code"], "answer": "yes", "done_on": stage.today.isoformat(), "remark": ""}
        for one in whole["items"]
    ]
    await stage.put(
        "@wholesaler-quality", f"/quality/self-checks/{number}",
        {"checked_on": stage.today.isoformat(), "filler": "示例质量员", "contact": "0531-00000000", "items": items},
    )  # fmt: skip
    await stage.post("@wholesaler-quality", f"/quality/self-checks/{number}/sign", {"name": "示例负责人"})
    await stage.post("@wholesaler-quality", f"/quality/self-checks/{number}/file", {})
    stage.link("table", f"/quality/self-checks/{number}")
    stage.link("document", path)


async def clue(stage: Stage) -> None:
    """A pharmacy reports goods that somebody wanted to sell back, with their history."""
    (case,) = await stage.make("cold_granules", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:10], "wholesaler_a", "chain", "store_2")
    await stage.move(321, "store_2", boxes[:2], header={"from_person": "收银员"})
    told = await stage.post("@pharmacy2", "/quality/clues", {
        "kind": "resale", "title": "有人到店兜售已售出药品（演示）",
        "text": "扫码显示两盒已售出，包装完好，疑似回流，已拒收并报告。",
        "codes": [b.code for b in boxes[:2]], "bills": [],
    })  # fmt: skip
    await stage.post("@regulator", f"/quality/clues/{told['id']}/note", {})
    stage.link("clue", f"/quality/clues/{told['id']}")
