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


def test_a_scan_with_a_line_end_in_it_is_still_an_address_of_ours(world: World) -> None:
    case = world.goods.cases[0]
    with world.client("maker") as client:
        for raw in (f"{case}%0A", f"%0D%0A{case}%0D%0A"):
            answer = client.get(f"/api/v1/codes/{raw}")
            assert (answer.status_code, answer.json()["code"]) == (200, case)
        broken = client.get("/api/v1/codes/ab%0Acd")
        assert (broken.status_code, broken.json()["found"]) == (200, False)
        assert client.get(f"/api/v1/codes/x%0Ay{case}/explain").status_code == 200
