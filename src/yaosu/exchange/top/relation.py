"""关联关系 of one package, in the incumbent's words: everything in it, on both scales of level."""

from __future__ import annotations

from typing import Any

from yaosu.access.visibility import note_reads
from yaosu.exchange.top.protocol import Call, Failed
from yaosu.exchange.top.shaping import names_of
from yaosu.exchange.top.values_goods import (
    Seen,
    display_level,
    look,
    orgs_of,
    produce_list,
    product_values,
)
from yaosu.production import store_activation
from yaosu.registry.model import Product
from yaosu.trace import store as trace_store

NODES_MAX = 100_000
"""Packages in one answer; of a larger one its parts are asked."""


async def relation_of(call: Call, raw: str) -> dict[str, Any]:
    """A package and its content; for whoever may know its holder and for the product's own firm.

    Failed: `FAIL_BIZ_CODE_FORMAT_ERROR`, `FAIL_BIZ_CODE_NOT_EXIST`, `FAIL_BIZ_CODE_NOT_ACTIVE`, and
    `FAIL_BIZ_NOT_CURRENT_OPERATE_CODE` where the goods are none of the caller's. Goods on their way to the caller are
    its own to ask about: no receipt has to be invented first.
    """
    async with call.conn() as conn:
        (seen,) = await look(call, conn, [raw])
        if seen.found is None:
            raise Failed(*seen.problem)
        unit, root = seen.found.unit, seen.found.root
        product = call.registry.product(unit.drug_id)
        own = product is not None and product.owned_by(call.org)
        if not seen.known and not own:
            raise Failed("FAIL_BIZ_NOT_CURRENT_OPERATE_CODE", "该追溯码不在本企业，不能查询其关联关系")
        await note_reads(conn, [(call.subject, f"contents {unit.code}", root.holder)])
        nodes = await trace_store.contents(conn, (unit.drug_id, unit.code), NODES_MAX + 1)
        if len(nodes) > NODES_MAX:
            raise Failed(
                "FAIL_BIZ_PARAM_CODE_NUM_ERROR", f"包装内追溯码超过 {NODES_MAX} 个，请按下级包装查询"
            )
        origin = (await store_activation.origins(conn, unit.drug_id, [unit.code])).get(unit.code)
    names = await names_of(call, orgs_of(call.registry, [seen]))
    active: dict[str, Any] | None = None
    if origin is not None:
        small = sum(1 for node in nodes if node.level == 1)
        active = {
            "process_flag": "3",
            "status": "1",
            "active_date": origin["recorded_at"],
            "process_date": origin["recorded_at"],
            "crt_date": origin["recorded_at"],
            "crt_date_string": origin["recorded_at"],
            "ref_ent_id": names.ref(product.manufacturer_id) if product else None,
            "upload_file_name": origin["file_name"] if own else None,
            "active_count": len(nodes),
            "small_num": small,
            "other_num": len(nodes) - small,
        }
    goods = product_values(call.registry, product, names) if product is not None else {}
    base = [
        goods
        | {
            "produce_batch_no": facts.batch_no,
            "produce_date": facts.produced_on,
            "exprie_date": facts.expires_on,
            "original_produce_date": facts.produced_on,
            "original_expire_date": facts.expires_on,
            "prepn_type": product.dosage_form if product else None,
            "pkg_ratio": product.ratio if product else None,
        }
        for facts, _ in seen.batches
    ]
    return {
        "code": unit.code,
        "parent_code": unit.parent,
        "status": seen.status,
        "is_smallest": "Y" if unit.level == 1 else "N",
        "code_level": display_level(product, unit.level),
        "code_pack_level": unit.level,
        "code_relation_list": [
            {
                "code": node.code,
                "parent_code": node.parent,
                "code_level": display_level(product, node.level),
                "code_pack_level": node.level,
                "status": seen.status,
            }
            for node in nodes
        ],
        "produce_info_list": produce_list(seen, product, names),
        "code_active_info_d_t_o": active,
        "code_active_info_dto": active,
        "base_infos_d_t_o": {"base_info_list": base},
        "base_infos_dto": {"base_info_list": base},
        "pkg_info_d_t_o": {"code_list": [unit.code]},
        "pkg_info_dto": {"code_list": [unit.code]},
        "box_amount": unit.qty,
        "box_status": box_status(product, seen),
        "pkg_ratio": product.ratio if product is not None else None,
    }


def box_status(product: Product | None, seen: Seen) -> int:
    """0 正常, 1 拼箱 (several batches), 2 零箱 (not full), 3 both (interfaces §2.5)."""
    if seen.found is None or seen.found.unit.level == 1:
        return 0
    level = product.level(seen.found.unit.level) if product is not None else None
    mixed = len(seen.batches) > 1
    short = level is not None and seen.found.unit.qty < level.units_per
    return (1 if mixed else 0) + (2 if short else 0)
