"""Recall orders, a drill, a lock, a suspension (issue 3 §5)."""

from __future__ import annotations

from typing import Any

from yaosu.simulate.scenes.stage import Stage, boxes_of


def _order(stage: Stage, drug: str, batch: str, **more: Any) -> dict[str, Any]:
    return {
        "drug_id": stage.world.drugs[drug], "level": 1, "title": "示例品种召回", "reason": "留样检验含量不合格（演示）",
        "hazard": "可能影响疗效（演示）", "measure": "return", "contact": "示例制药质量部 0531-00000000",
        "public": True, "batches": [batch], "return_to": stage.org("maker_a"), **more,
    }  # fmt: skip


async def recalled(stage: Stage) -> None:
    """Class 1: one holder returned its boxes, one destroyed them, one has read it, others have not answered."""
    (case,) = await stage.make("danshen", 1, f"ZH{stage.today:%m%d}1")
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:30], "wholesaler_a", "hospital_a")
    await stage.pass_on(boxes[30:60], "wholesaler_a", "chain")
    await stage.pass_on(boxes[30:42], "chain", "store_1")
    await stage.pass_on(boxes[42:50], "chain", "store_2")
    await stage.pass_on(boxes[60:80], "wholesaler_a", "wholesaler_b")
    on_way = await stage.ship("wholesaler_b", "hospital_b", boxes[60:65])
    sold = await stage.move(321, "store_1", boxes[30:31], header={"from_person": "收银员"})
    order = await stage.post(
        "@maker-quality",
        "/recalls",
        _order(stage, "danshen", case.batch.number, title="复方丹参片（演示批号）一级召回"),
    )
    number = order["id"]
    path = f"/recalls/{number}"
    await stage.post("@maker", f"{path}/approve", {})
    await stage.post("@maker", f"{path}/publish", {})
    # a sale is tried after the publication
    await stage.move(321, "store_1", boxes[31:32], at=stage.present(), expect=["recalled"])
    # the first hospital: acknowledged, scanned, counted, returned, done
    await stage.post("@hospital", f"{path}/task/acknowledge", {})
    await stage.post(
        "@hospital",
        f"{path}/task/scans",
        {"codes": [b.code for b in boxes[:30]], "bill_no": stage.number("QD")},
    )
    await stage.post("@hospital", f"{path}/task/count", {})
    back = await stage.move(
        211,
        "hospital_a",
        boxes[:30],
        to_org=stage.org("maker_a"),
        at=stage.present(),
        header={"reason_text": "一级召回退回"},
    )
    await stage.move(
        108,
        "maker_a",
        boxes[:30],
        from_org=stage.org("hospital_a"),
        notice=back["bill_no"],
        at=stage.present(),
    )
    await stage.post("@hospital", f"{path}/task/close", {})
    # the second store: destroyed before witnesses
    await stage.post("@pharmacy2", f"{path}/task/acknowledge", {})
    await stage.post("@pharmacy2", f"{path}/task/count", {"counted": 8, "note": "封存于不合格品区"})
    destroyed = await stage.move(
        205, "store_2", boxes[42:50], at=stage.present(),
        header={"reason": "4", "reason_text": "一级召回，就地监督销毁",
                "executer_name": "药店店长", "superviser_name": "药店质量员"},
    )  # fmt: skip
    await stage.post("@pharmacy2", f"{path}/task/close", {})
    await stage.post("@wholesaler", f"{path}/task/acknowledge", {})
    await stage.post("@maker", f"{path}/reports", {"kind": "progress", "findings": "两家持有单位已处理完毕"})
    stage.link("order", path)
    stage.link("task", f"{path}/task")
    stage.link("public", f"/recalls/public/{order['number']}")
    stage.link("box", f"/q/{boxes[31].code}")
    for name, answer in (("back", back), ("destroyed", destroyed), ("on_way", on_way), ("sold", sold)):
        stage.bill(name, answer)


async def stopped(stage: Stage) -> None:
    """A drill that stops nothing, a lock by the regulator, a wholesaler's own suspension."""
    (drill,) = await stage.make("cold_granules", 1, f"YL{stage.today:%m%d}1")
    (locked,) = await stage.make("cold_granules", 1, f"SD{stage.today:%m%d}1")
    (held,) = await stage.make("danshen", 1, f"TS{stage.today:%m%d}1")
    boxes = boxes_of(drill)
    await stage.pass_on([drill, locked, held], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:20], "wholesaler_a", "chain", "store_1")
    order = await stage.post(
        "@maker-quality", "/recalls",
        _order(stage, "cold_granules", drill.batch.number, level=2, simulated=True, title="年度召回演练", public=False),
    )  # fmt: skip
    for act in ("approve", "publish"):
        await stage.post("@maker", f"/recalls/{order['id']}/{act}", {})
    await stage.post("@pharmacy", f"/recalls/{order['id']}/task/acknowledge", {})
    await stage.move(321, "store_1", boxes[:1], at=stage.present(), header={"from_person": "收银员"})
    lock = await stage.post("@regulator", "/locks", {
        "kind": "lock", "drug_id": stage.world.drugs["cold_granules"], "batches": [locked.batch.number],
        "reason": "sampling", "reason_text": "监督抽检待复验（演示）",
    })  # fmt: skip
    pause = await stage.post("@wholesaler", "/locks", {
        "kind": "suspension", "drug_id": stage.world.drugs["danshen"], "batches": [held.batch.number],
        "reason": "storage", "reason_text": "库区温度超限，待评估（演示）",
    })  # fmt: skip
    await stage.move(
        201,
        "wholesaler_a",
        boxes_of(locked)[:1],
        to_org=stage.org("chain"),
        at=stage.present(),
        expect=["locked"],
    )
    await stage.move(
        201,
        "wholesaler_a",
        boxes_of(held)[:1],
        to_org=stage.org("chain"),
        at=stage.present(),
        expect=["suspended"],
    )
    stage.link("drill", f"/recalls/{order['id']}")
    stage.link("lock", f"/locks/{lock['id']}")
    stage.link("pause", f"/locks/{pause['id']}")
