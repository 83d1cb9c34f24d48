"""Who is acting. Every service verb takes one; nothing is done for nobody."""

from __future__ import annotations

from dataclasses import dataclass, field

from yaosu.errors import YaosuError

ADMIN = "*"
"""The scope that contains all scopes of the subject's own organisation."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An authenticated account or API key, acting for one organisation.

    `kind` is "account", "key", "system" (the software itself) or "anonymous"; `org_type` and `region` are the
    organisation's (standards §5.8, GB/T 2260); `scopes` are the permissions held, see `access.scopes`.
    """

    kind: str
    account_id: int | None = None
    org_id: int | None = None
    org_type: str = ""
    role: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)
    lang: str = "zh"
    region: str = ""
    name: str = ""
    session_id: str = ""

    def can(self, scope: str) -> bool:
        """Whether the subject holds `scope`."""
        return scope in self.scopes or ADMIN in self.scopes

    def require(self, scope: str) -> None:
        """Refuse (`unauthenticated`, `forbidden`) unless the subject holds `scope`."""
        if self.kind == "anonymous":
            raise YaosuError("unauthenticated")
        if not self.can(scope):
            raise YaosuError("forbidden", {"scope": scope})

    @property
    def org(self) -> int:
        """The organisation acted for; refused (`forbidden`) when the subject has none."""
        if self.org_id is None:
            raise YaosuError("unauthenticated" if self.kind == "anonymous" else "forbidden", {"scope": "org"})
        return self.org_id


ANONYMOUS = Subject(kind="anonymous")
SYSTEM = Subject(kind="system", scopes=frozenset({ADMIN}), name="system")
