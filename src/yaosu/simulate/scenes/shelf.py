"""Uncoded stock and split packs (issue 3 §3)."""

from __future__ import annotations

from datetime import date
from typing import Any

from yaosu.simulate.scenes.mismatch import drawing
from yaosu.simulate.scenes.stage import Stage, boxes_of


async def _opened(stage: Stage, login: str, batch: str, qty: int, **more: Any) -> int:
    """Uncoded goods of an old invoice, with its picture."""
    files = {
        "file": (
            "发票（示意）.png",
            drawing(more.pop("lines", 4), more.pop("colour", "#5a2d0c")),
            "image/png",
        )
    }
    proof = await stage.ask(login, "POST", "/uncoded/proofs", files=files)
    body = {
        "invoice_no": f"0990{stage.calls:04d}", "invoice_date": "2025-05-20", "zone": "无码专区 A-01",
        "supplier": stage.org("wholesaler_a"), "proof_id": proof["id"],
        "items": [{
            "drug_id": stage.world.drugs["danshen"], "batch_no": batch, "qty": qty,
            "produced_on": "2025-03-01", "expires_on": str(date(2028, 2, 29)),
        }],
        "bill_no": stage.number("WM"), "happened_at": "2025-05-22T10:00:00+08:00", **more,
    }  # fmt: skip
    made = await stage.post(login, "/uncoded/lots", body)
    return int(made["lots"][0]["id"] if "lots" in made else made["lot_ids"][0])


async def uncoded(stage: Stage) -> None:
    """Goods without codes: proof, sale, codes supplemented by the supplier; in Xinjiang the last day has passed."""
    batch = "250301W"
    lot = await _opened(stage, "@pharmacy2", batch, 60)
    await stage.post(
        "@pharmacy2", f"/uncoded/lots/{lot}/sale",
        {"qty": 3, "receipt_no": "XSXP-0001", "reason": "historical", "note": "限期前购进"},
    )  # fmt: skip
    asked = await stage.post(
        "@pharmacy2", "/uncoded/requests", {"lot_id": lot, "qty": 20, "reason": "历史库存，请补发追溯码"}
    )
    (case,) = await stage.make("danshen", 1, batch, made_on=date(2025, 3, 1))
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    sent = await stage.ship("wholesaler_a", "store_2", boxes[:20])
    await stage.post(
        "@wholesaler", f"/uncoded/requests/{asked['id']}/answer",
        {"kind": "in_place", "text": "补码标签已寄出", "ship_bill_no": sent["bill_no"]},
    )  # fmt: skip
    await stage.post(
        "@pharmacy2", f"/uncoded/lots/{lot}/supplement",
        {"codes": [b.code for b in boxes[:20]], "notice": sent["bill_no"], "bill_no": stage.number("BM")},
    )  # fmt: skip
    await stage.post(
        "@pharmacy2",
        f"/uncoded/lots/{lot}/counts",
        {"counted": 37, "counter": "药店店长", "checker": "药店质量员"},
    )
    far = await _opened(stage, "@pharmacy-xj", "250302W", 24, lines=7, colour="#123b6b")
    stage.link("lot", f"/uncoded/lots/{lot}")
    stage.link("request", f"/uncoded/requests/{asked['id']}")
    stage.link("far", f"/uncoded/lots/{far}")
    stage.link("sold", f"/trace?code={boxes[0].code}")


async def split(stage: Stage) -> None:
    """A box for several patients, a part brought back, one lost; a pool that feeds a dispensing machine."""
    (case,) = await stage.make("metformin", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a", "hospital_a")
    drug = stage.world.drugs["metformin"]
    one, two = boxes[0].code, boxes[1].code

    def line(code: str, units: int, number: str) -> dict[str, Any]:
        return {
            "code": code,
            "units": units,
            "prescription_no": f"MZ-YS-{number}",
            "dosage": "每次1片，每日2次",
        }

    done = await stage.post(
        "@hospital", "/dispensing/split",
        {"number": stage.number("CL"), "lines": [line(one, 14, "001"), line(one, 10, "002"), line(two, 6, "003")],
         "happened_at": stage.later().isoformat()},
    )  # fmt: skip
    await stage.post(
        "@hospital", "/dispensing/split/returns",
        {"number": stage.number("CT"), "lines": [{"code": one, "units": 4, "prescription_no": "MZ-YS-002"}],
         "happened_at": stage.later().isoformat()},
    )  # fmt: skip
    await stage.post(
        "@hospital", "/dispensing/split/losses",
        {"number": stage.number("CS"), "reason": "分装时掉落污染", "lines": [{"code": one, "units": 1}],
         "happened_at": stage.later().isoformat()},
    )  # fmt: skip
    pool = await stage.post(
        "@hospital", "/dispensing/pools", {"name": "住院药房一号包药机", "kind": "machine"}
    )
    number = pool["id"]
    await stage.post(
        "@hospital", f"/dispensing/pools/{number}/load",
        {"number": stage.number("ZC"), "codes": [b.code for b in boxes[2:8]]},
    )  # fmt: skip
    await stage.put("@hospital", f"/dispensing/pools/{number}/levels/{drug}", {"refill_below": 200})
    draws = [{"drug_id": drug, "units": 2 + n % 3, "prescription_no": f"ZY-YS-{n:03d}"} for n in range(1, 13)]
    await stage.post(
        "@hospital", f"/dispensing/pools/{number}/draw", {"number": stage.number("BY"), "draws": draws}
    )
    order = done.get("id") or done.get("order_id")
    stage.link("order", f"/split/orders/{order}")
    stage.link("box", f"/split/box?code={one}")
    stage.link("pool", f"/pools/{number}")
