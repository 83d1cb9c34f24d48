"""What hostile requests once broke, so that it stays mended."""

from __future__ import annotations

from hostile.world import World


def test_a_notice_shows_the_whole_package_tree(world: World) -> None:
    shipped = world.ids["bill_id"][2]
    with world.client("hospital") as client:
        answer = client.get(f"/api/v1/notices/{shipped}")
    assert answer.status_code == 200
    packages = answer.json()["packages"]
    case = world.goods.cases[0]
    assert [p["code"] for p in packages if p["parent"] is None] == [case]
    assert {p["code"] for p in packages if p["parent"] == case} == set(world.goods.boxes_of(0))
