"""数据落地: upstream's bills as in/out XML files, fetched by a signed link (interfaces §2.2 `drug.download.*`)."""

from __future__ import annotations

from yaosu.access.visibility import Sight
from yaosu.db.engine import Pool
from yaosu.exchange.top import inout_xml, store_landing
from yaosu.exchange.top import store_trade as store
from yaosu.exchange.top.fields import CHINA
from yaosu.exchange.top.shaping import is_number
from yaosu.registry.resolver import Registry

CODES_MAX = 100_000


def name_of(bill_id: int) -> str:
    """The file's name."""
    return f"bill_{bill_id}.xml"


def bill_of(name: str) -> int | None:
    """The bill a file name or address is of; None when it is none of ours."""
    stem = name.rsplit("/", 1)[-1].removeprefix("bill_").removesuffix(".xml")
    return int(stem) if is_number(stem) and len(stem) < 19 else None


async def file_of(pool: Pool, registry: Registry, org: int, bill_id: int) -> tuple[str, bytes] | None:
    """Name and content of one bill's file, for the firm it was shipped to; None when there is none."""
    sight = Sight("own", org)
    async with pool.acquire() as conn:
        row = await store_landing.one(conn, sight, org, bill_id)
        if row is None:
            return None
        goods = await store.goods(conn, sight, bill_id, row["drug_ids"])
        codes = await store.codes(conn, sight, bill_id, row["drug_ids"], CODES_MAX)
    batches = {(g["drug_id"], g["batch_id"]): g for g in goods}
    sender, receiver = registry.org(row["owner"]), registry.org(org)
    head = {
        "CorpOrderID": row["bill_no"],
        "ActDate": row["happened_at"].astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        "FromCorpID": sender.uscc if sender is not None else "",
        "ToCorpID": receiver.uscc if receiver is not None else "",
    }
    lines = []
    for code in codes:
        batch = batches.get((code["drug_id"], code["batch_id"]))
        product = registry.product(code["drug_id"])
        lines.append(
            {
                "Code": code["code"],
                "CorpProductID": str(product.id) if product is not None else "",
                "CorpBatchNo": batch["batch_no"] if batch is not None else "",
                "ProduceDate": batch["produced_on"].isoformat() if batch is not None else "",
            }
        )
    return name_of(bill_id), inout_xml.written(row["type"], head, lines)
