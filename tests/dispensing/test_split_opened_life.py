"""How long an opened box may be used (R-C9)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry.helpers import make_org, make_product
from yaosu.db.engine import Connection
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.registry.split_rules import opened_life

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("more", "life"),
    [
        ({"dosage_form": "滴眼剂", "package_size": "5ml/支"}, timedelta(days=28)),
        ({"dosage_form": "片剂", "package_size": "100片/瓶"}, timedelta(days=180)),
        ({"dosage_form": "片剂", "package_size": "12片/板×2板/盒"}, None),
        (
            {"dosage_form": "注射剂", "package_size": "10支/盒", "generic_name": "胰岛素注射液"},
            timedelta(days=28),
        ),
        ({"dosage_form": "注射剂", "package_size": "10支/盒"}, None),
        (
            {"dosage_form": "注射剂", "package_size": "5ml/瓶", "flags": frozenset({"vaccine"})},
            timedelta(hours=6),
        ),
        ({"dosage_form": "干混悬剂", "package_size": "60ml/瓶"}, timedelta(days=14)),
    ],
)
async def test_the_form_and_the_package_decide_how_long_an_opened_box_is_good(
    db: Connection, more: dict[str, object], life: timedelta | None
) -> None:
    maker = await make_org(db, OrgType.MAKER)
    drug_id = await make_product(db, maker, **more)
    assert opened_life(await load_registry(db), drug_id) == life


async def test_an_unknown_product_has_no_life_of_its_own(db: Connection) -> None:
    assert opened_life(await load_registry(db), 2**31 - 1) is None
