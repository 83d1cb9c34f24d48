"""Accounts, passwords, keys: who may make what for whom; the record of it stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import resources

import asyncpg
import pytest

from access.helpers import PASSWORD, make_account, make_key, make_org, subject_of
from yaosu.access import accounts, audit, keys, service
from yaosu.access.scopes import grantable, permissions, roles_for, scopes_of
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.subject import SYSTEM, Subject


def _refused(code: str) -> pytest.RaisesExc[YaosuError]:
    return pytest.RaisesExc(YaosuError, check=lambda e: e.code == code)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short-one", "password_short"),
        ("x" * 201, "password_long"),
        ("my-Li.Na-2026", "password_is_login"),
        ("Password123", "password_common"),
        ("1qaz2wsx3edc", "password_common"),
        ("woaini1314", "password_common"),
        ("2026password!!", "password_common"),
        ("abababababab", "password_common"),
        ("0123456789", "password_common"),
        ("jihgfedcba", "password_common"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str, code: str) -> None:
    with _refused(code):
        accounts.check_password("li.na", password)


@pytest.mark.parametrize("password", ["仓库门口有两棵老槐树呢", "correct-horse-battery", "k7#Lq0z!m2"])
def test_a_long_or_unusual_password_is_fine(password: str) -> None:
    accounts.check_password("li.na", password)


def test_made_up_first_passwords_pass_the_rule_and_differ() -> None:
    made = {accounts.initial_password() for _ in range(50)}
    assert len(made) == 50
    for one in made:
        accounts.check_password("li.na", one)


async def test_a_new_account_must_change_its_first_password_and_may_do_nothing_before(db: Connection) -> None:
    admin = await subject_of(db, await make_org(db))
    made, first = await accounts.create_account(db, admin, "Zhang.San", "张三", "warehouse")
    done = await service.sign_in(db, "zhang.san", first)
    assert done.must_change
    assert done.subject is not None
    assert done.subject.scopes == frozenset()
    await accounts.change_password(db, done.subject, first, PASSWORD)
    again = await service.sign_in(db, "zhang.san", PASSWORD)
    assert not again.must_change
    assert again.subject is not None
    assert again.subject.can("bill.write")
    assert made.org_id == admin.org_id


async def test_changing_the_password_ends_the_other_sessions(db: Connection) -> None:
    _, login = await make_account(db, await make_org(db), "admin")
    here = await service.sign_in(db, login, PASSWORD)
    elsewhere = await service.sign_in(db, login, PASSWORD)
    assert here.subject is not None
    with _refused("password_wrong"):
        await accounts.change_password(db, here.subject, "not-my-password", "another-good-one")
    with _refused("password_same"):
        await accounts.change_password(db, here.subject, PASSWORD, PASSWORD)
    await accounts.change_password(db, here.subject, PASSWORD, "another-good-one")
    assert await service.authenticate_session(db, here.token) is not None
    assert await service.authenticate_session(db, elsewhere.token) is None


@pytest.mark.parametrize("login", ["ab", "李娜", "-x-y-z", "a b c", "x" * 65, "a'; DROP TABLE account;--"])
async def test_a_login_has_a_plain_form(db: Connection, login: str) -> None:
    with _refused("login_form"):
        await accounts.create_account(db, SYSTEM, login, "某人", "operator")


async def test_a_login_is_taken_in_any_case(db: Connection) -> None:
    await accounts.create_account(db, SYSTEM, "Wang.Wu", "王五", "operator")
    with _refused("login_taken"):
        await accounts.create_account(db, SYSTEM, "wang.wu", "王五", "operator")


async def test_a_role_must_fit_the_organisation_and_not_exceed_the_giver(db: Connection) -> None:
    shop = await make_org(db, 4)
    admin = await subject_of(db, shop)
    for role, code in (
        ("production", "role_not_for_org"),
        ("regulator", "role_not_for_org"),
        ("operator", "role_not_for_org"),
        ("emperor", "role_unknown"),
    ):
        with _refused(code):
            await accounts.create_account(db, admin, "new.user", "新人", role)
    deputy = Subject(
        kind="account",
        account_id=1,
        org_id=shop,
        org_type="4",
        scopes=frozenset({"user.manage", "bill.read"}),
    )
    with _refused("role_beyond"):
        await accounts.create_account(db, deputy, "new.user", "新人", "admin")


async def test_a_deputy_cannot_reset_the_administrators_password(db: Connection) -> None:
    shop = await make_org(db, 4)
    chief, _ = await make_account(db, shop, "admin")
    deputy = Subject(
        kind="account", account_id=1, org_id=shop, org_type="4", scopes=frozenset({"user.manage"})
    )
    with _refused("role_beyond"):
        await accounts.reset_password(db, deputy, chief)
    with _refused("role_beyond"):
        await accounts.change_account(db, deputy, chief, active=False)


async def test_somebody_elses_accounts_and_keys_do_not_exist(db: Connection) -> None:
    us, them = await make_org(db), await make_org(db)
    admin = await subject_of(db, us)
    stranger, _ = await make_account(db, them, "admin")
    _, _ = await keys.create_key(db, await subject_of(db, them), "ERP", ["bill.read"])
    number = await db.fetchval("SELECT id FROM api_key WHERE org_id = $1", them)
    with _refused("not_found"):
        await accounts.change_account(db, admin, stranger, active=False)
    with _refused("not_found"):
        await accounts.reset_password(db, admin, stranger)
    with _refused("not_found"):
        await keys.revoke_key(db, admin, number)
    with _refused("not_found"):
        await accounts.accounts(db, admin, them)
    with _refused("not_found"):
        await keys.create_key(db, admin, "ERP", ["bill.read"], org_id=them)
    assert await keys.keys(db, admin) == []


async def test_nobody_disables_or_promotes_themselves(db: Connection) -> None:
    admin = await subject_of(db, await make_org(db))
    assert admin.account_id is not None
    with _refused("self_disable"):
        await accounts.change_account(db, admin, admin.account_id, active=False)
    with _refused("self_disable"):
        await accounts.change_account(db, admin, admin.account_id, role="reader")


async def test_a_reset_unlocks_and_ends_all_sessions(db: Connection) -> None:
    org = await make_org(db)
    number, login = await make_account(db, org, "sales")
    inside = await service.sign_in(db, login, PASSWORD)
    await db.execute("UPDATE account SET locked_until = now() + interval '1 day', failed_count = 5")
    first = await accounts.reset_password(db, await subject_of(db, org), number)
    assert await service.authenticate_session(db, inside.token) is None
    assert (await service.sign_in(db, login, first)).refusal is None


async def test_the_first_operator_is_made_once(db: Connection) -> None:
    assert await accounts.ensure_operator(db, "ops", PASSWORD)
    assert not await accounts.ensure_operator(db, "OPS", "another-password")
    done = await service.sign_in(db, "ops", PASSWORD)
    assert done.subject is not None
    assert (done.subject.role, done.subject.org_id) == ("operator", None)


async def test_a_key_carries_at_most_what_its_maker_may_and_its_organisation_has(db: Connection) -> None:
    shop = await make_org(db, 4)
    admin = await subject_of(db, shop)
    for wanted, code in (
        ([], "key_without_scope"),
        (["bill.fly"], "scope_unknown"),
        (["code.request", "supervise.read"], "scope_beyond"),
        (["registry.admin"], "scope_beyond"),
    ):
        with _refused(code):
            await keys.create_key(db, admin, "ERP", wanted)
    clerk = Subject(
        kind="account", account_id=1, org_id=shop, org_type="4", scopes=frozenset({"key.manage", "bill.read"})
    )
    with _refused("scope_beyond"):
        await keys.create_key(db, clerk, "ERP", ["bill.write"])
    with _refused("key_expiry_past"):
        await keys.create_key(db, admin, "ERP", ["bill.read"], datetime.now(UTC) - timedelta(seconds=1))


async def test_a_keys_secret_is_shown_once_and_kept_nowhere(db: Connection) -> None:
    admin = await subject_of(db, await make_org(db))
    made, secret = await keys.create_key(db, admin, "ERP", ["bill.read"])
    assert secret.startswith(made.prefix + "_")
    assert len(secret) == 3 + 8 + 1 + 43
    for table in ("api_key", "audit"):
        rows = await db.fetch(f"SELECT row_to_json(t)::text AS all FROM {table} t")
        assert not any(secret.removeprefix(f"{made.prefix}_") in r["all"] for r in rows)
    found = await service.authenticate_key(db, secret)
    assert found.subject.scopes == {"bill.read"}
    assert found.subject.org_id == admin.org_id


async def test_a_key_never_does_more_than_the_role_of_the_account_behind_it_allows_today(
    db: Connection,
) -> None:
    shop = await make_org(db, 4)
    chief, maker = await subject_of(db, shop), await subject_of(db, shop)
    made, secret = await keys.create_key(db, maker, "ERP", ["bill.read", "bill.write", "bill.correct"])
    assert maker.account_id is not None
    await accounts.change_account(db, chief, maker.account_id, role="warehouse")
    found = await service.authenticate_key(db, secret)
    assert found.subject.scopes == {"bill.read", "bill.write"}
    (shown,) = await keys.keys(db, chief)
    assert shown.in_force == ("bill.read", "bill.write")
    assert shown.scopes == ("bill.correct", "bill.read", "bill.write")
    await accounts.change_account(db, chief, maker.account_id, active=False)
    with _refused("key_maker_disabled"):
        await service.authenticate_key(db, secret)
    again = await keys.take_over(db, chief, made.id)
    assert (again.created_by, again.maker_active) == (chief.account_id, True)
    found = await service.authenticate_key(db, secret)
    assert found.subject.scopes == {"bill.read", "bill.write", "bill.correct"}


async def test_a_key_made_by_a_key_stands_under_the_same_account(db: Connection) -> None:
    shop = await make_org(db, 4)
    chief, maker = await subject_of(db, shop), await subject_of(db, shop)
    _, first = await keys.create_key(db, maker, "ERP", ["key.manage", "bill.read", "bill.correct"])
    program = (await service.authenticate_key(db, first)).subject
    _, second = await keys.create_key(db, program, "POS", ["bill.read", "bill.correct"])
    assert maker.account_id is not None
    await accounts.change_account(db, chief, maker.account_id, role="reader")
    assert (await service.authenticate_key(db, second)).subject.scopes == {"bill.read"}


async def test_an_organisation_that_changes_its_kind_takes_the_permissions_off_its_keys(
    db: Connection,
) -> None:
    org = await make_org(db, 1)
    secret = await make_key(db, org, ["code.request", "bill.read"])
    await db.execute("UPDATE org SET type = 4 WHERE id = $1", org)
    assert (await service.authenticate_key(db, secret)).subject.scopes == {"bill.read"}


async def test_nobody_takes_over_a_key_that_holds_more_or_is_somebody_elses(db: Connection) -> None:
    shop = await make_org(db, 4)
    made, secret = await keys.create_key(
        db, await subject_of(db, shop), "ERP", ["key.manage", "bill.correct"]
    )
    clerk = Subject("account", 1, shop, "4", "", frozenset({"key.manage", "bill.read"}))
    with _refused("scope_beyond"):
        await keys.take_over(db, clerk, made.id)
    with _refused("key_needs_account"):
        await keys.take_over(db, (await service.authenticate_key(db, secret)).subject, made.id)
    with _refused("not_found"):
        await keys.take_over(db, await subject_of(db, await make_org(db, 4)), made.id)


async def test_keys_of_keys_from_before_come_under_the_account_of_the_first(db: Connection) -> None:
    chief = await subject_of(db, await make_org(db, 4))
    _, first = await keys.create_key(db, chief, "ERP", ["key.manage", "bill.read"])
    _, second = await keys.create_key(
        db, (await service.authenticate_key(db, first)).subject, "POS", ["key.manage", "bill.read"]
    )
    third, _ = await keys.create_key(
        db, (await service.authenticate_key(db, second)).subject, "BI", ["bill.read"]
    )
    await db.execute("UPDATE api_key SET created_by = NULL WHERE name IN ('POS', 'BI')")
    await db.execute((resources.files("yaosu.db") / "migrations" / "0030_key_makers.sql").read_text("utf-8"))
    makers = await db.fetch("SELECT DISTINCT created_by FROM api_key WHERE org_id = $1", chief.org_id)
    assert [m["created_by"] for m in makers] == [chief.account_id]
    assert third.maker == (await accounts.account_of(db, chief, chief.account_id or 0)).login


async def test_expired_revoked_and_made_up_keys_each_say_so(db: Connection) -> None:
    org = await make_org(db)
    expired, revoked, fine = [await make_key(db, org) for _ in range(3)]
    await db.execute("UPDATE api_key SET expires_at = now() - interval '1 s' WHERE prefix = $1", expired[:11])
    await db.execute("UPDATE api_key SET revoked_at = now() WHERE prefix = $1", revoked[:11])
    for secret, code in (
        (expired, "key_expired"),
        (revoked, "key_revoked"),
        (fine[:-1] + ("A" if fine[-1] != "A" else "B"), "key_invalid"),
        ("", "key_invalid"),
        ("x" * 5000, "key_invalid"),
    ):
        with _refused(code):
            await service.authenticate_key(db, secret)
    await db.execute("UPDATE org SET status = 0 WHERE id = $1", org)
    with _refused("org_not_in_use"):
        await service.authenticate_key(db, fine)


@pytest.mark.parametrize("table", ["audit", "read_record"])
@pytest.mark.parametrize("change", ["UPDATE {} SET org_id = 1", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_record_can_neither_be_changed_nor_removed(db: Connection, table: str, change: str) -> None:
    await audit.record(db, SYSTEM, "test.done", ("test", 1))
    await db.execute("INSERT INTO read_record (subject_kind, subject_id, what) VALUES ('key', 'x', 'bill 1')")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
        async with db.transaction():
            await db.execute(change.format(table))
    assert await db.fetchval(f"SELECT count(*) FROM {table}") > 0


@pytest.mark.parametrize("name", ["password", "id_card", "new_token", "patient_name", "api_secret"])
async def test_secrets_and_persons_have_no_place_in_the_record(db: Connection, name: str) -> None:
    with pytest.raises(ValueError, match="audit record"):
        await audit.record(db, SYSTEM, "test.done", ("test", 1), {name: "x"})


async def test_the_record_is_read_by_its_own_organisation_only(db: Connection) -> None:
    us, them = await subject_of(db, await make_org(db)), await subject_of(db, await make_org(db))
    await accounts.create_account(db, them, "their.user", "他人", "reader")
    await accounts.create_account(db, us, "our.user", "自己人", "reader")
    assert [e.action for e in await audit.entries(db, us)] == ["account.create"]
    with _refused("forbidden"):
        await audit.entries(db, await subject_of(db, us.org, "warehouse"))


def test_every_role_gives_permissions_and_every_permission_has_both_names() -> None:
    table = permissions()
    assert all(r.scopes and r.zh and r.en for r in table.roles.values())
    assert all(s.zh and s.en for s in table.scopes.values())
    assert table.source
    given = frozenset().union(*(r.scopes for r in table.roles.values()))
    assert given == set(table.scopes)


def test_a_trading_organisation_can_never_hold_supervision_or_platform_permissions() -> None:
    for org_type in "1234578":
        assert not grantable(org_type) & {"supervise.read", "registry.admin", "platform.read"}


def test_codes_are_requested_by_those_who_make_drugs_only() -> None:
    assert "code.request" in grantable("1") & grantable("7")
    for org_type in "23458":
        assert not grantable(org_type) & {"code.request", "production.write", "production.read"}
        assert not scopes_of("admin", org_type) & {"code.request", "production.write"}


async def test_an_administrator_of_any_type_can_appoint_another(db: Connection) -> None:
    for org_type in (1, 2, 3, 4, 5, 7, 8):
        admin = await subject_of(db, await make_org(db, org_type))
        made, _ = await accounts.create_account(db, admin, f"second.admin{org_type}", "副手", "admin")
        assert made.role == "admin"


def test_regulator_and_insurer_have_roles_of_their_own_by_sub_type() -> None:
    drug, insurer = {r.id for r in roles_for("110", 1101)}, {r.id for r in roles_for("110", 1103)}
    assert {"regulator", "regulator_admin"} <= drug and not drug & {"insurer", "insurer_admin"}
    assert {"insurer", "insurer_admin"} <= insurer and not insurer & {"regulator", "regulator_admin"}
    # an office that is not told apart is a drug regulator's, never an insurer's
    assert {r.id for r in roles_for("110")} == drug
    assert "supervise.read" not in grantable("110", 1103)
    assert not grantable("110", 1101) & {"insurance.receive", "insurance.settle"}


async def _office(db: Connection, sub_type: int) -> int:
    org = await make_org(db, 110)
    await db.execute("UPDATE org SET sub_type = $2 WHERE id = $1", org, sub_type)
    return org


@pytest.mark.parametrize(
    ("sub_type", "role", "own", "foreign", "beyond"),
    [
        (1103, "insurer_admin", "insurer", "regulator", "supervise.read"),
        (1101, "regulator_admin", "regulator", "insurer", "insurance.receive"),
    ],
)
async def test_an_office_appoints_and_arms_nobody_with_the_power_of_the_other(
    db: Connection, sub_type: int, role: str, own: str, foreign: str, beyond: str
) -> None:
    org = await _office(db, sub_type)
    admin = await subject_of(db, org, role)
    made, _ = await accounts.create_account(db, admin, f"office.{sub_type}", "科员", own)
    with _refused("role_not_for_org"):
        await accounts.create_account(db, admin, f"other.{sub_type}", "科员", foreign)
    with _refused("role_not_for_org"):
        await accounts.change_account(db, admin, made.id, role=foreign)
    # the operator, who holds nothing itself, is bound by the same table
    operator = Subject("account", role="operator", scopes=frozenset({"user.manage", "key.manage"}))
    with _refused("role_not_for_org"):
        await accounts.create_account(db, operator, f"op.{sub_type}", "科员", foreign, org_id=org)
    with _refused("scope_beyond"):
        await keys.create_key(db, operator, "机", [beyond], org_id=org)


async def test_a_role_given_before_the_sub_types_were_told_apart_carries_nothing(db: Connection) -> None:
    org = await _office(db, 1103)
    _, login = await make_account(db, org, "regulator")
    done = await service.sign_in(db, login, PASSWORD)
    assert done.subject is not None and done.subject.scopes == frozenset()
