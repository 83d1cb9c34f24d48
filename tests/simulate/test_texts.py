"""What the start prints can be read at 80 columns, and the line for scripts comes as promised."""

from __future__ import annotations

import io
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console

from simulate.helpers import EVENING, plan_for
from yaosu.settings import Settings
from yaosu.simulate.cast import cast
from yaosu.simulate.setup import PASSWORD
from yaosu.simulate.state import DemoState, Journal, load, save
from yaosu.simulate.texts import _groups, show


def printed(host: str = "127.0.0.1") -> list[str]:
    plan = plan_for()
    known = DemoState(EVENING, True, plan.boxes, 700, 20.0, plan.examples)
    out = io.StringIO()
    settings = Settings(Path("data"), "", host, 8600, f"http://{host}:8600")
    show(Console(file=out, width=80), settings, cast(), known)
    return out.getvalue().splitlines()


def test_the_first_line_tells_scripts_that_it_is_ready() -> None:
    assert printed()[0] == "ready: http://127.0.0.1:8600"


def test_lines_fit_80_columns_but_for_addresses_and_scanner_texts() -> None:
    wide = [x for x in printed() if cell_len(x) > 80 and "http://" not in x and "scanner:" not in x]
    assert wide == []


def test_every_login_is_printed_with_the_password_and_the_warning() -> None:
    text = "\n".join(printed())
    assert PASSWORD in text
    assert "仅供演示" in text and "Demo accounts and data only" in text
    assert all(f"\n{org.login} " in text for org in cast().orgs.values())


def test_an_open_address_is_warned_about() -> None:
    assert not any("公开的" in line for line in printed())
    assert any("公开的" in line for line in printed("0.0.0.0"))


def test_every_example_of_the_plan_is_printed_and_the_other_way_round() -> None:
    assert {item["key"] for group in _groups() for item in group["items"]} == set(plan_for().examples)


def test_the_state_is_kept_across_starts(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    known = DemoState(EVENING, True, 10, 2, 1.5, plan_for().examples)
    save(tmp_path, known)
    assert load(tmp_path) == known


def test_a_journal_survives_a_torn_last_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.note(0, {"bill_id": 7})
    journal.note(1, {"bill_id": 8})
    journal.close(finished=False)
    with (tmp_path / "demo.journal").open("a") as file:
        file.write('[2, {"bill')
    again = Journal(tmp_path)
    assert again.answers == {0: {"bill_id": 7}, 1: {"bill_id": 8}}
    again.close(finished=True)
    assert not (tmp_path / "demo.journal").exists()
