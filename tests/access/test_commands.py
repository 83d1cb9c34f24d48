"""`yaosu user …` on a real database: passwords come from standard input and appear nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from typer.testing import CliRunner

from access.helpers import PASSWORD, make_org
from yaosu.access.commands import app
from yaosu.access.service import authenticate_key, sign_in
from yaosu.db.engine import Connection, connect

T = TypeVar("T")


@pytest.fixture
def run(database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the command line against the module's database."""
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("COLUMNS", "200")

    def go(*args: str, stdin: str = "") -> tuple[int, str, str]:
        done = CliRunner().invoke(app, list(args), input=stdin)
        return done.exit_code, done.stdout, done.stderr

    return go


def _ask(database: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    async def inside() -> T:
        conn = await connect(database)
        try:
            return await work(conn)
        finally:
            await conn.close()

    return asyncio.run(inside())


def test_the_first_operator_is_added_with_a_password_from_a_pipe(
    run: Callable[..., tuple[int, str, str]], database: str
) -> None:
    code, out, _ = run("add", "ops", stdin=PASSWORD + "\n")
    assert code == 0
    assert PASSWORD not in out
    done = _ask(database, lambda conn: sign_in(conn, "ops", PASSWORD))
    assert done.subject is not None
    assert (done.subject.role, done.must_change) == ("operator", False)
    code, _, err = run("add", "ops", stdin=PASSWORD + "\n")
    assert code == 1
    assert "已被使用" in err
    assert "is taken" in err
    assert "ops" in run("list")[1]


def test_without_a_password_nothing_is_made(run: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run("add", "nobody")
    assert code == 2
    assert "No password" in err
    assert "nobody" not in run("list")[1]


def test_an_organisations_administrator_gets_a_made_up_password_to_change(
    run: Callable[..., tuple[int, str, str]], database: str
) -> None:
    shop = _ask(database, lambda conn: make_org(conn, 4))
    code, out, _ = run("add", "shop.admin", "--org", str(shop), "--role", "admin", "--generate")
    assert code == 0
    first = out.strip().splitlines()[-1]
    assert _ask(database, lambda conn: sign_in(conn, "shop.admin", first)).must_change
    assert run("disable", "shop.admin")[0] == 0
    assert _ask(database, lambda conn: sign_in(conn, "shop.admin", first)).refusal is not None
    assert run("disable", "shop.admin", "--undo")[0] == 0
    code, out, _ = run("reset", "SHOP.admin", "--generate")
    again = out.strip().splitlines()[-1]
    assert again != first
    assert _ask(database, lambda conn: sign_in(conn, "shop.admin", again)).refusal is None


def test_a_key_goes_to_standard_output_alone(run: Callable[..., tuple[int, str, str]], database: str) -> None:
    shop = _ask(database, lambda conn: make_org(conn, 4))
    code, out, err = run("key", "POS", "--org", str(shop), "--scope", "bill.write", "--days", "30")
    assert code == 0
    assert out.strip() not in err
    found = _ask(database, lambda conn: authenticate_key(conn, out.strip()))
    assert found.subject.scopes == {"bill.write"}
    assert found.valid_until is not None
    code, out, err = run("key", "POS", "--org", str(shop), "--scope", "registry.admin")
    assert (code, out) == (1, "")
    assert "registry.admin" in err


def test_what_does_not_exist_is_said_so(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("disable", "nobody.here")[0] == 1
    assert run("key", "POS", "--org", "2000000000")[0] == 1
    assert run("add", "x.y.z", "--role", "emperor", "--generate")[0] == 1


@pytest.mark.parametrize("command", ["add", "list", "disable", "reset", "key", "roles"])
def test_every_command_has_help_in_both_languages(
    run: Callable[..., tuple[int, str, str]], command: str
) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert any("\u4e00" <= letter <= "\u9fff" for letter in out)
    assert "--password" not in out
