"""Permissions and roles, read from `permissions.yaml` (D11): data with labels and source, never `if`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from yaosu import yamls
from yaosu.errors import YaosuError

ANY = "*"
OPERATOR = "operator"
"""The one role without an organisation."""
UNTOLD = -1
"""In the place of a sub-type: whether the role fits the organisation was asked elsewhere."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One permission with its names for people."""

    id: str
    zh: str
    en: str
    types: frozenset[str]
    """Organisation types that have it (standards §5.8); empty for all."""

    def label(self, lang: str) -> str:
        """Name in the reader's language."""
        return self.zh if lang.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Role:
    """What people of one post may do; `types` are the types of organisation that have it (standards §5.8)."""

    id: str
    zh: str
    en: str
    types: frozenset[str]
    scopes: frozenset[str]
    sub_types: frozenset[int] = frozenset()
    """Sub-types (list `org_sub_type`) that alone have it; empty for all."""
    not_sub_types: frozenset[int] = frozenset()
    """Sub-types that do not have it."""

    def label(self, lang: str) -> str:
        """Name in the reader's language."""
        return self.zh if lang.startswith("zh") else self.en

    def allowed(self, org_type: str, sub_type: int | None = None) -> bool:
        """Whether an organisation of this type and sub-type may give the role to somebody."""
        return (ANY in self.types or org_type in self.types) and self.fits(sub_type)

    def fits(self, sub_type: int | None) -> bool:
        """Whether organisations of this sub-type (None: of none) have the role at all."""
        return (not self.sub_types or sub_type in self.sub_types) and sub_type not in self.not_sub_types


@dataclass(frozen=True, slots=True)
class Permissions:
    """The whole table with its version and source."""

    version: int
    source: str
    scopes: Mapping[str, Scope]
    roles: Mapping[str, Role]


@cache
def permissions() -> Permissions:
    """The table in force. Raises ValueError when a role names a permission that does not exist."""
    text = (resources.files("yaosu.access") / "permissions.yaml").read_text("utf-8")
    data = yamls.read(text)
    scopes = {k: Scope(k, v["zh"], v["en"], frozenset(v.get("types", ()))) for k, v in data["scopes"].items()}
    roles = {}
    for key, row in data["roles"].items():
        unknown = set(row["scopes"]) - set(scopes)
        if unknown:
            raise ValueError(f"role {key} names unknown permissions {sorted(unknown)}")
        roles[key] = Role(
            key,
            row["zh"],
            row["en"],
            frozenset(row["types"]),
            frozenset(row["scopes"]),
            frozenset(row.get("sub_types", ())),
            frozenset(row.get("not_sub_types", ())),
        )
    return Permissions(data["version"], data["source"], scopes, roles)


@cache
def scopes_of(role: str, org_type: str | None, sub_type: int | None = UNTOLD) -> frozenset[str]:
    """The permissions that `role` has in an organisation of this type and sub-type; none for a role that no longer
    exists or that such an organisation does not have."""
    table = permissions()
    found = table.roles.get(role)
    if found is not None and sub_type != UNTOLD and not found.fits(sub_type):
        return frozenset()
    return frozenset(s for s in found.scopes if _has(table.scopes[s], org_type)) if found else frozenset()


def _has(scope: Scope, org_type: str | None) -> bool:
    return not org_type or not scope.types or org_type in scope.types


def role_for(role: str, org_type: str | None, sub_type: int | None = None) -> Role:
    """The role, refused (`role_unknown`, `role_not_for_org`) when unfit; no type means no organisation."""
    found = permissions().roles.get(role)
    if found is None:
        raise YaosuError("role_unknown", {"role": role})
    fits = role == OPERATOR if org_type is None else found.allowed(org_type, sub_type)
    if not fits:
        raise YaosuError("role_not_for_org", {"role": role, "org_type": str(sub_type or org_type or "-")})
    return found


def roles_for(org_type: str | None, sub_type: int | None = None) -> list[Role]:
    """The roles that an organisation of this type and sub-type can give."""
    if org_type is None:
        return [permissions().roles[OPERATOR]]
    return [r for r in permissions().roles.values() if r.allowed(org_type, sub_type)]


@cache
def grantable(org_type: str | None, sub_type: int | None = None) -> frozenset[str]:
    """All permissions that a key of an organisation of this type and sub-type may carry."""
    return frozenset().union(*(scopes_of(r.id, org_type) for r in roles_for(org_type, sub_type)))


def check_scopes(
    wanted: Iterable[str], holder: frozenset[str], org_type: str | None, sub_type: int | None = None
) -> frozenset[str]:
    """`wanted` as a set; refused when unknown, unfit for the type, or more than the giver holds."""
    chosen = frozenset(wanted)
    if not chosen:
        raise YaosuError("key_without_scope")
    unknown = chosen - set(permissions().scopes)
    if unknown:
        raise YaosuError("scope_unknown", {"scope": ", ".join(sorted(unknown))})
    possible = grantable(org_type, sub_type)
    beyond = chosen - possible if ANY in holder else chosen - (possible & holder)
    if beyond:
        raise YaosuError("scope_beyond", {"scope": ", ".join(sorted(beyond))})
    return chosen
