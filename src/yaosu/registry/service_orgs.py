"""Organisations: who takes part, and under which number (one id each, interfaces §2.4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from yaosu.access import audit
from yaosu.codes.identifiers import check_uscc
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import checks
from yaosu.registry import store_org as store
from yaosu.registry.drafts import LicenceDraft, OrgDraft
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Licence, Org, OrgCard
from yaosu.registry.names import normalise
from yaosu.registry.roles import LIMIT_MAX, is_operator, page_size, require_operator
from yaosu.registry.service_lists import current
from yaosu.subject import Subject

OWN_FIELDS = ("short_name", "address", "contact_name", "contact_phone", "contact_email")
"""What an organisation may change about itself; the rest is the operator's."""
LICENCE_WARN_DAYS = 90


def tidy(draft: OrgDraft) -> OrgDraft:
    """The draft with outer blanks gone and the 统一社会信用代码 in its normal form where it is one."""
    checked = check_uscc(draft.uscc).value if draft.uscc else None
    return replace(
        draft,
        name=draft.name.strip(),
        short_name=draft.short_name.strip(),
        uscc=checked or draft.uscc.strip(),
        other_id=draft.other_id.strip(),
        address=draft.address.strip(),
        contact_name=draft.contact_name.strip(),
        contact_phone=draft.contact_phone.strip(),
        contact_email=draft.contact_email.strip(),
    )


async def create_org(conn: Connection, subject: Subject, draft: OrgDraft, same_name_ok: bool = False) -> Org:
    """Register an organisation (operator only).

    Refused: `org_invalid` with a finding per field; `org_taken` when the 统一社会信用代码 or other number is
    registered (the finding names the record); `org_name_taken` when one of the same normalised name is, unless
    `same_name_ok` says that this was looked at.
    """
    require_operator(subject)
    draft = tidy(draft)
    code_lists = await current(conn)
    _refuse("org_invalid", checks.org(draft, code_lists) + _not_a_place(draft, None, code_lists))
    await store.lock(conn)
    await _check_free(conn, draft, 0, same_name_ok)
    await _check_relations(conn, draft, 0)
    made = await store.one(conn, store.INSERT, *store.values(draft, normalise(draft.name)))
    assert made is not None
    await audit.record(conn, subject, "org.create", ("org", made.id), {"uscc": draft.uscc}, org_id=made.id)
    return made


async def update_org(
    conn: Connection,
    subject: Subject,
    org_id: int,
    draft: OrgDraft,
    version: int,
    same_name_ok: bool = False,
) -> Org:
    """Change an organisation whose version is still `version`, else `stale_version` (409).

    The operator changes everything; an organisation (`org.write`) changes `OWN_FIELDS` of its own record, other
    differences are refused (`org_field_not_yours`).
    """
    own = subject.org_id == org_id
    if not own:
        require_operator(subject)
    subject.require("org.write" if own else "registry.admin")
    draft = tidy(draft)
    await store.lock(conn)
    old = await store.one(conn, store.FOR_UPDATE, org_id)
    if old is None:
        raise _missing()
    if old.version != version:
        raise YaosuError("stale_version", {"version": old.version, "sent": version})
    before = draft_of(old)
    changed = [f for f in OrgDraft.__dataclass_fields__ if getattr(before, f) != getattr(draft, f)]
    if own:
        foreign = [f for f in changed if f not in OWN_FIELDS]
        if foreign:
            found = [Finding("org_field_not_yours", {"field": f}, f) for f in foreign]
            raise YaosuError("org_field_not_yours", {"field": ", ".join(foreign)}, found)
    code_lists = await current(conn)
    _refuse("org_invalid", checks.org(draft, code_lists) + _not_a_place(draft, old.card, code_lists))
    await _check_free(conn, draft, org_id, same_name_ok or draft.name == old.name)
    await _check_relations(conn, draft, org_id)
    made = await store.one(conn, store.UPDATE, org_id, *store.values(draft, normalise(draft.name)))
    assert made is not None
    if made.name != old.name:
        await rename_places(conn, made)
    await audit.record(conn, subject, "org.update", ("org", org_id), {"fields": changed}, org_id=org_id)
    return made


def _not_a_place(draft: OrgDraft, old: OrgCard | None, code_lists: CodeLists) -> list[Finding]:
    """What the directory may not do with a place: make one, or change what its organisation decides."""
    sub_type = code_lists.item("org_sub_type", draft.sub_type) if draft.sub_type is not None else None
    was = old is not None and old.place
    if bool(sub_type is not None and sub_type.attrs.get("place")) != was:
        return [Finding("place_made_elsewhere", {}, "sub_type")]
    if old is not None and was:
        kept = (
            ("name", old.name),
            ("short_name", old.short_name),
            ("parent_id", old.parent_id),
            ("status", old.status),
        )
        return [Finding("place_made_elsewhere", {}, f) for f, value in kept if getattr(draft, f) != value]
    return []


def place_name(around: str, name: str) -> str:
    """The full name of a place: its organisation's, then its own."""
    return f"{around}·{name}"[: checks.NAME_MAX]


async def rename_places(conn: Connection, around: Org) -> None:
    """Write the organisation's new name in front of the names of its places."""
    for one in await store.many(conn, store.PLACES, around.id):
        name = place_name(around.name, one.card.short_name)
        await conn.execute(store.RENAME_PLACE, one.id, name, normalise(name), one.card.short_name)


def draft_of(org: Org) -> OrgDraft:
    """The draft that would write the organisation as it is."""
    card = org.card
    return OrgDraft(
        name=card.name,
        type=card.type,
        region=card.region,
        uscc=card.uscc,
        other_id_kind=org.other_id_kind,
        other_id=org.other_id,
        short_name=card.short_name,
        sub_type=card.sub_type,
        address=org.address,
        parent_id=card.parent_id,
        domestic_agent_id=card.domestic_agent_id,
        contact_name=org.contact_name,
        contact_phone=org.contact_phone,
        contact_email=org.contact_email,
        status=card.status,
    )


def sees_all_of(subject: Subject, card: OrgCard) -> bool:
    """Whether contacts, address and licences of an organisation are shown to the subject.

    Its own people, its headquarters, the operator, and regulators of its region; everybody else sees the
    directory entry only.
    """
    if is_operator(subject):
        return True
    if subject.org_id is not None and subject.org_id in (card.id, card.parent_id):
        return True
    remit = subject.region.rstrip("0") if subject.region else ""
    # 370000 covers 37…, 370100 covers 3701…; an even count of digits, since 100000 must not shrink to "1"
    remit += "0" * (len(remit) % 2)
    return subject.can("supervise.read") and bool(subject.region) and card.region.startswith(remit)


async def _family(conn: Connection, subject: Subject) -> int:
    """Whose places the subject sees in the directory: its organisation's, or with 0 everybody's."""
    if is_operator(subject) or subject.can("supervise.read"):
        return 0
    found = await conn.fetchval(store.FAMILY, subject.org_id) if subject.org_id is not None else None
    return int(found) if found is not None else -1


async def get_org(conn: Connection, subject: Subject, org_id: int) -> Org:
    """An organisation; blank contacts, address and other number unless `sees_all_of`.

    `org_not_found` when there is none, and for a place inside somebody else's organisation.
    """
    subject.require("org.read")
    found = await store.one(conn, store.BY_ID, org_id)
    if found is None:
        raise _missing()
    if sees_all_of(subject, found.card):
        return found
    if found.card.place and found.card.parent_id != await _family(conn, subject):
        raise _missing()
    return replace(found, other_id="", address="", contact_name="", contact_phone="", contact_email="")


async def find_org(conn: Connection, subject: Subject, uscc: str) -> OrgCard | None:
    """The directory entry with that 统一社会信用代码, or None."""
    subject.require("org.read")
    found = await store.one(conn, store.BY_USCC, check_uscc(uscc).value or uscc)
    return found.card if found is not None else None


async def list_orgs(
    conn: Connection,
    subject: Subject,
    after: int = 0,
    region: str = "",
    org_type: int | None = None,
    parent_id: int | None = None,
    limit: int = 50,
) -> list[OrgCard]:
    """Directory entries in the order of their numbers, after the number `after`; `region` by leading digits."""
    subject.require("org.read")
    family = await _family(conn, subject)
    found = await store.many(conn, store.PAGE, after, region, org_type, parent_id, page_size(limit), family)
    return [o.card for o in found]


async def search_orgs(
    conn: Connection,
    subject: Subject,
    words: str,
    org_type: int | None = None,
    region: str = "",
    limit: int = 20,
) -> list[OrgCard]:
    """Directory entries by 统一社会信用代码 or by name: those beginning with the words first."""
    subject.require("org.read")
    checked = check_uscc(words)
    if checked.value is not None:
        found = await find_org(conn, subject, checked.value)
        return [found] if found is not None else []
    name = normalise(words[: checks.NAME_MAX])
    if not name:
        return await list_orgs(conn, subject, 0, region, org_type, None, limit)
    return await store.search(conn, name, org_type, region, page_size(limit), await _family(conn, subject))


async def put_licence(conn: Connection, subject: Subject, org_id: int, draft: LicenceDraft) -> Licence:
    """Write a licence of the own organisation (`org.write`) or of any (operator); same kind and number replace."""
    if subject.org_id != org_id:
        require_operator(subject)
    subject.require("org.write" if subject.org_id == org_id else "registry.admin")
    draft = replace(draft, number=draft.number.strip(), scope=draft.scope.strip())
    found = [
        checks.entry(await current(conn), "licence_kind", draft.kind, "kind"),
        checks.text(draft.number, "number", 100, needed=True),
        checks.text(draft.scope, "scope", 2000),
        checks.dates(draft.issued_on, draft.expires_on, "expires_on"),
    ]
    _refuse("org_invalid", [f for f in found if f is not None])
    if await store.one(conn, store.BY_ID, org_id) is None:
        raise _missing()
    made = await store.put_licence(conn, org_id, draft)
    details = {"kind": draft.kind, "number": draft.number, "version": made.version}
    await audit.record(conn, subject, "org.licence", ("org", org_id), details, org_id=org_id)
    return made


async def licences(conn: Connection, subject: Subject, org_id: int) -> list[Licence]:
    """Licences of an organisation that the subject sees in full; empty for others."""
    org = await get_org(conn, subject, org_id)
    return await store.licences(conn, org_id) if sees_all_of(subject, org.card) else []


def licence_warning(licence: Licence, today: date, days: int = LICENCE_WARN_DAYS) -> Finding | None:
    """What there is to say about a licence's end: `licence_expired`, `licence_ends_soon`, or nothing."""
    if licence.expires_on is None or licence.expires_on >= today + timedelta(days=days):
        return None
    left = (licence.expires_on - today).days
    code = "licence_expired" if left < 0 else "licence_ends_soon"
    params = {"number": licence.number, "date": licence.expires_on.isoformat(), "days": abs(left)}
    return Finding(code, params, f"licence.{licence.id}")


async def licence_warnings(
    conn: Connection, subject: Subject, today: date, days: int = LICENCE_WARN_DAYS
) -> list[tuple[Licence, Finding]]:
    """Licences that have lapsed or lapse within `days`: the organisation's own, or all for the operator."""
    subject.require("org.read")
    org_id = None if is_operator(subject) else subject.org
    found = await store.licences_ending(conn, today + timedelta(days=days), org_id, LIMIT_MAX)
    pairs = ((one, licence_warning(one, today, days)) for one in found)
    return [(one, warning) for one, warning in pairs if warning is not None]


def _missing() -> YaosuError:
    return YaosuError("org_not_found")


def _refuse(code: str, findings: list[Finding]) -> None:
    if findings:
        raise YaosuError(code, {"count": len(findings)}, findings)


def _named(code: str, org: Org, where: str, **more: object) -> Finding:
    return Finding(code, {"id": org.id, "name": org.name, "uscc": org.card.uscc or "—", **more}, where)


async def _check_free(conn: Connection, draft: OrgDraft, org_id: int, same_name_ok: bool) -> None:
    taken = None
    if draft.uscc:
        taken = await store.one(conn, store.BY_USCC, draft.uscc)
    elif draft.other_id:
        taken = await store.one(conn, store.BY_OTHER_ID, draft.other_id_kind, draft.other_id)
    if taken is not None and taken.id != org_id:
        one = _named("org_taken", taken, "uscc" if draft.uscc else "other_id")
        raise YaosuError("org_taken", one.params, [one])
    if not same_name_ok:
        same = await store.many(conn, store.BY_NAME, normalise(draft.name), org_id)
        if same:
            found = [_named("org_name_taken", o, "name") for o in same]
            raise YaosuError("org_name_taken", found[0].params, found)


async def _check_relations(conn: Connection, draft: OrgDraft, org_id: int) -> None:
    found = []
    if draft.parent_id is not None:
        line = await store.ancestors(conn, draft.parent_id)
        if not line:
            found.append(Finding("org_relation_unknown", {"id": draft.parent_id}, "parent_id"))
        elif org_id in line:
            found.append(Finding("org_parent_circle", {"id": draft.parent_id}, "parent_id"))
    if draft.domestic_agent_id is not None:
        agent = await store.one(conn, store.BY_ID, draft.domestic_agent_id)
        if agent is None:
            found.append(
                Finding("org_relation_unknown", {"id": draft.domestic_agent_id}, "domestic_agent_id")
            )
        elif not agent.card.uscc:
            found.append(_named("org_agent_not_domestic", agent, "domestic_agent_id"))
    _refuse("org_invalid", found)
