"""Records of the rooms for what does not go by the book, one of each kind, for strangers to ask for."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from PIL import Image

from circulation.helpers import Goods, Market, activate
from people.helpers import card
from registry.helpers import make_product
from yaosu.db.engine import Connection
from yaosu.registry.resolver import load_registry

if TYPE_CHECKING:
    from hostile.world import World

PATIENT_NUMBER = card("370102", "19800101", 1)
"""A right identity-card number that belongs to nobody; its holder buys, is prescribed for and is looked for."""
PATIENT = "欧阳试言"


def picture() -> bytes:
    """A small drawing that is what it says."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()


async def _listed(conn: Connection, market: Market, prefix: int, flag: str, **more: Any) -> Market:
    """The market with another product of the maker, under a rule of its own."""
    levels = (("盒", 1, str(prefix)), ("箱", 10, str(prefix + 1)), ("托盘", 40, str(prefix + 2)))
    drug = await make_product(conn, market.maker, levels=levels, flags=(flag,), **more)
    prefixes = (str(prefix), str(prefix + 1), str(prefix + 2))
    return replace(market, registry=await load_registry(conn), drug_id=drug, prefixes=prefixes)


async def stock_rooms(conn: Connection, market: Market) -> dict[str, Goods]:
    """What hospital and pharmacy have on the shelf before the server starts."""
    ordinary = await activate(market, cases=2, per_case=10)
    await market.pass_on(market.maker, market.hospital, ordinary.cases)
    morphine = await _listed(conn, market, 8_385_870, "narcotic", generic_name="盐酸吗啡注射液")
    narcotic = await activate(morphine, cases=1, per_case=10)
    await morphine.pass_on(market.maker, market.hospital, narcotic.cases)
    cold = await _listed(
        conn, market, 8_385_880, "ephedrine", generic_name="复方盐酸伪麻黄碱缓释胶囊", prescription="otc_a"
    )
    listed = await activate(cold, cases=1, per_case=10)
    await cold.pass_on(market.maker, market.pharmacy, listed.cases)
    return {"ordinary": ordinary, "narcotic": narcotic, "listed": listed}


def fill_rooms(world: World, secret: str) -> None:
    """One record of every kind that a path can name, with `secret` in every text it takes."""
    market, ids = world.market, world.ids
    ordinary, narcotic, listed = (world.more[k] for k in ("ordinary", "narcotic", "listed"))
    now = datetime.now(UTC)

    def post(caller: str, path: str, body: Any, *, person: bool = False) -> Any:
        with world.person(caller) if person else world.client(caller) as client:
            answer = client.post("/api/v1" + path, json=body)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer.json()

    # split packs and pools
    pool = post("hospital", "/dispensing/pools", {"name": f"{secret}病区", "kind": "ward"})["id"]
    post(
        "hospital",
        f"/dispensing/pools/{pool}/load",
        {"number": f"{secret}-ZC", "codes": ordinary.boxes_of(0)[:3]},
    )
    ids["pool_id"] = [pool]
    parts = [{"code": ordinary.boxes_of(1)[0], "units": 2, "prescription_no": f"{secret}-CF"}]
    split = post("hospital", "/dispensing/split", {"number": f"{secret}-CL", "lines": parts})
    assert split["status"] == "accepted", split
    ids["order_id"] = [*ids.get("order_id", []), split["order_id"]]
    # uncoded stock
    with world.client("pharmacy") as client:
        proof = client.post(
            "/api/v1/uncoded/proofs", files={"file": (f"{secret}.png", picture(), "image/png")}
        )
    assert proof.status_code < 300, proof.text
    ids["proof_id"] = [proof.json()["id"]]
    bought = {
        "invoice_no": f"{secret}1"[:20],
        "invoice_date": "2025-06-12",
        "supplier": market.wholesaler,
        "zone": f"{secret}区",
        "proof_id": ids["proof_id"][0],
        "items": [
            {
                "drug_id": market.drug_id,
                "batch_no": f"{secret}批",
                "qty": 12,
                "produced_on": "2024-05-01",
                "expires_on": "2059-04-30",
            }
        ],
    }
    post("pharmacy", "/uncoded/lots", bought)
    with world.client("pharmacy") as client:
        ids["lot_id"] = [client.get("/api/v1/uncoded/lots").json()["items"][0]["id"]]
    asked = post("pharmacy", "/uncoded/requests", {"lot_id": ids["lot_id"][0], "qty": 2, "reason": secret})
    ids["request_id"] = [*ids.get("request_id", []), asked["id"]]
    # quality
    counted = post("maker", "/quality/counts", {"codes": [f"{secret}-1"]})
    ids["count_id"] = [*ids.get("count_id", []), counted["id"]]
    ids["check_id"] = [*ids.get("check_id", []), post("maker", "/quality/checks", None)["id"]]
    table = post("wholesaler", "/quality/self-checks", None)
    ids["table_id"] = [table["id"]]
    kept = {"kind": "trace_system", "number": f"{secret}-1", "title": secret, "content": f"# {secret}"}
    ids["document_id"] = [post("wholesaler", "/quality/documents", kept, person=True)["id"]]
    told = {
        "kind": "resale",
        "title": secret,
        "text": secret,
        "codes": world.goods.boxes[:1],
        "bills": [ids["bill_id"][0]],
    }
    ids["clue_id"] = [post("wholesaler", "/quality/clues", told)["id"]]
    with world.client("maker") as client:
        found = client.get("/api/v1/quality/findings").json()["items"]
    assert found, "a count that nothing explains is a finding"
    ids["finding_id"] = [found[0]["id"]]
    # people: a real-name sale, a prescription and an act that waits for a second person
    buyer = {"kind": "1", "number": PATIENT_NUMBER, "name": PATIENT, "phone": "13700000001"}
    sale = {
        "type": 321,
        "bill_no": f"{secret}-LS",
        "happened_at": (now - timedelta(minutes=9)).isoformat(),
        "codes": listed.boxes[:1],
        "person": buyer,
    }
    sold = post("pharmacy", "/dispensing/sales", sale)
    assert sold["status"] == "accepted", sold
    ids["bill_id"] = [*ids["bill_id"], sold["bill_id"]]
    prescribed = {
        "number": f"{secret}-RX",
        "drug_id": narcotic.drug_id,
        "case_kind": "ordinary",
        "patient": buyer,
        "department": f"{secret}科",
        "doctor": f"{secret}医师",
        "diagnosis": f"{secret}痛",
        "dose_units": "1",
        "times_per_day": 1,
        "days": 1,
    }
    prescription = post("hospital", "/narcotics/prescriptions", prescribed, person=True)
    number = prescription["prescription"]["id"] if "prescription" in prescription else prescription["id"]
    ids["number"] = [*ids["number"], number]
    handed = {"prescription": number, "codes": narcotic.boxes[:1], "units": 1}
    prepared = post("hospital", "/narcotics/dispensings", handed, person=True)
    act = prepared["act"]["id"] if "act" in prepared else prepared["id"]
    ids["number"].append(act)
