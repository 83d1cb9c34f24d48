"""When things do not match: exception exchange, single movements, corrections (issue 3 §1)."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from yaosu.simulate.client import DemoError
from yaosu.simulate.scenes.stage import PEOPLE, Stage, boxes_of


def drawing(lines: int = 6, colour: str = "#0b3a3e") -> bytes:
    """A small drawn picture of a carton with a label: stands for a photograph, shows nobody's goods."""
    image = Image.new("RGB", (640, 420), "#d9c7a3")
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 40, 600, 380), outline="#8a6d3b", width=6)
    pen.line((40, 210, 600, 210), fill="#bfa878", width=18)
    pen.rectangle((360, 230, 580, 360), fill="white", outline=colour, width=3)
    for n in range(44):
        pen.line((375 + n * 4.4, 245, 375 + n * 4.4, 300), fill="black", width=1 + (n * 7) % 3)
    for n in range(lines):
        pen.rectangle((375, 310 + n * 7, 470 + (n * 37) % 90, 312 + n * 7), fill=colour)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def exception(stage: Stage) -> None:
    """Three announced, two came, and one that belongs to another bill: two cases, each settled in its own way."""
    (case,) = await stage.make("danshen", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    sent = await stage.ship("wholesaler_a", "hospital_a", boxes[:3])
    other = await stage.ship("wholesaler_a", "hospital_a", boxes[3:5])
    came = [*boxes[:2], boxes[3]]
    got = await stage.receive("hospital_a", sent, came, 201, "wholesaler_a", expect=["on_other_notice"])
    check = next(c["id"] for c in got["checks"] if c["outcome"] == "mismatch")
    made = await stage.post(
        "hospital_a", "/exceptions", {"check_id": check, "note": "少一瓶，另有一瓶不在本单"}
    )
    cases = {}
    for number in made["cases"]:
        cases[(await stage.get("hospital_a", f"/exceptions/{number}"))["kind"]] = f"/exceptions/{number}"
    over, short = cases["over"], cases["short"]
    picture = {"content": drawing(), "headers": {"content-type": "image/png"}}
    await stage.ask(
        "@hospital", "POST", f"{over}/photos", params={"title": "外箱与标签（示意图）"}, **picture
    )
    await stage.post("@hospital", f"{over}/messages", {"text": "多出的一瓶属于哪一单？请核对装箱记录。"})
    await stage.post(
        "@wholesaler", f"{over}/messages", {"text": "拣货时与另一单混装，该瓶属另一单，批号相同。"}
    )
    await stage.agree(
        over,
        "@wholesaler",
        {"kind": "accepted_as_is", "text": "实物与另一单数据一致，请按原样接受"},
        "@hospital",
    )
    freed = await stage.move(
        6, "hospital_a", boxes[3:4], header={"reason_text": "协查结案，实物核对无误，放行"}
    )
    await stage.post(
        "@wholesaler", f"{short}/messages", {"text": "库存复点：该瓶未出库，多录一瓶，更正出库单。"}
    )
    now = await stage.move(
        201, "wholesaler_a", boxes[:2], bill_no=sent["bill_no"], revision=2, to_org=stage.org("hospital_a"),
        at=sent["at"], header={**PEOPLE, "reason_text": "更正：实发两瓶"},
    )  # fmt: skip
    await stage.agree(
        short,
        "@wholesaler",
        {"kind": "corrected", "text": "已更正为两瓶", "bill_no": sent["bill_no"]},
        "@hospital",
    )
    # and one that still waits for an answer
    sent2 = await stage.ship("wholesaler_a", "hospital_a", boxes[10:13])
    got2 = await stage.receive("hospital_a", sent2, boxes[10:12], 201, "wholesaler_a")
    waiting = await stage.post(
        "hospital_a", "/exceptions", {"check_id": got2["checks"][0]["id"], "note": "少一瓶，外箱完好"}
    )
    await stage.post("@hospital", f"/exceptions/{waiting['cases'][0]}/messages", {"text": "请核实是否漏装。"})
    stage.link("over", over)
    stage.link("short", short)
    stage.link("waiting", f"/exceptions/{waiting['cases'][0]}")
    for name, answer in (("corrected", now), ("freed", freed), ("other", other)):
        stage.bill(name, answer)


async def movements(stage: Stage) -> None:
    """Purchase return, consumer return, destruction, sampling, a count with surplus and shortage."""
    (case,) = await stage.make("cold_granules", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:20], "wholesaler_a", "chain", "store_2")
    back = await stage.move(
        202, "store_2", boxes[:2], to_org=stage.org("chain"), header={"reason_text": "外包装压痕，退回总部"}
    )
    taken = await stage.move(103, "chain", boxes[:2], from_org=stage.org("store_2"), notice=back["bill_no"])
    await stage.move(321, "store_2", boxes[2:3], header={"from_person": "收银员"})
    brought = await stage.move(
        116, "store_2", boxes[2:3], header={"reason_text": "顾客购错药，未拆封", "to_person": "药店质量员"}
    )
    destroyed = await stage.move(
        205, "store_2", boxes[2:3],
        header={"reason": "4", "reason_text": "消费者退货不得再售", "executer_name": "药店店长",
                "superviser_name": "药店质量员", "witness_name": "总部质量部"},
    )  # fmt: skip
    lost = await stage.move(220, "store_2", boxes[3:4], header={"reason_text": "盘点前报损：遗失"})
    batch = case.batch.number
    drug = stage.world.drugs["cold_granules"]
    # on the shelf: the lost box turned up, two others are gone
    shelf = [b.code for b in (boxes[3], *boxes[6:20])]
    body = {"bill_no": stage.number("PD"), "codes": shelf, "drug_id": drug, "batch_no": batch}
    count = await stage.post("@pharmacy2", "/counts", body)
    await stage.post(
        "@pharmacy2",
        f"/counts/{count['id']}/confirm",
        {"digest": count["comparison"]["digest"], "reason": "月末盘点，差异已复点"},
    )
    for name, answer in (
        ("return", back), ("taken", taken), ("brought", brought), ("destroyed", destroyed), ("lost", lost),
    ):  # fmt: skip
        stage.bill(name, answer)
    stage.link("count", f"/count/{count['id']}")


async def correction(stage: Stage) -> None:
    """Two boxes were not scanned: appended after others had been sold on; what a correction would do is shown first."""
    (case,) = await stage.make("danshen", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    sent = await stage.ship("wholesaler_a", "chain", boxes[:6])
    await stage.receive("chain", sent, boxes[:6], 201, "wholesaler_a")
    await stage.pass_on(boxes[:2], "chain", "store_1")
    sold = await stage.move(321, "store_1", boxes[:1], header={"from_person": "收银员"})
    body = {
        "type": 201, "bill_no": sent["bill_no"], "revision": 2, "happened_at": sent["at"].isoformat(),
        "to_org": stage.org("chain"), "codes": [b.code for b in boxes[:8]],
        "header": {**PEOPLE, "reason_text": "补录漏扫两瓶"},
    }  # fmt: skip
    shown = await stage.post("wholesaler_a", "/movements/preview", body)
    if not shown:
        raise DemoError("a preview said nothing")
    now = await stage.post("wholesaler_a", "/movements", body)
    later = await stage.receive("chain", sent, boxes[6:8], 201, "wholesaler_a")
    stage.bill("bill", now)
    stage.link("correct", f"/bills/{now['bill_id']}/correct")
    stage.link("void", f"/bills/{now['bill_id']}/void")
    stage.link("trace", f"/trace?code={boxes[0].code}")
    stage.bill("later", later)
    stage.bill("sold", sold)
