"""Settings from the environment; every one has a default that works on a laptop.

Secrets come from the environment or from files in the data folder with owner-only rights, never from code.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

ROLES = frozenset({"trace", "coordination", "regulator"})


@dataclass(frozen=True, slots=True)
class Settings:
    """`database_url` empty means: run the embedded PostgreSQL under `data`."""

    data: Path
    database_url: str
    host: str
    port: int
    public_url: str
    body_mb_max: int = 64
    secure_cookies: bool = False
    webhook_hosts: frozenset[str] = frozenset()
    """Receivers of webhooks that may be on a private network or without TLS: `host` or `host:port`."""
    roles: frozenset[str] = frozenset({"trace"})
    """What this installation is (standards §3): `trace` 追溯系统, `coordination` 协同平台, `regulator` 监管系统."""
    demo: bool = False
    """Whether `yaosu demo` runs; never from the environment, so that no real server shows demo accounts."""

    @property
    def embedded(self) -> bool:
        """Whether the database is our own embedded server (D1)."""
        return not self.database_url


def load(
    data: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    database_url: str | None = None,
) -> Settings:
    """Settings from arguments, then `YAOSU_*` variables, then defaults."""
    env = os.environ.get
    chosen_host = host or env("YAOSU_HOST", "127.0.0.1")
    chosen_port = port or int(env("YAOSU_PORT", "8600"))
    return Settings(
        data=(data or Path(env("YAOSU_DATA", "data"))).resolve(),
        database_url=database_url if database_url is not None else env("YAOSU_DATABASE_URL", ""),
        host=chosen_host,
        port=chosen_port,
        public_url=env("YAOSU_PUBLIC_URL", f"http://{chosen_host}:{chosen_port}").rstrip("/"),
        secure_cookies=env("YAOSU_SECURE_COOKIES", "") == "1",
        webhook_hosts=frozenset(filter(None, env("YAOSU_WEBHOOK_HOSTS", "").replace(",", " ").split())),
        roles=_roles(env("YAOSU_ROLE", "trace")),
    )


def _roles(text: str) -> frozenset[str]:
    """The roles named, by spaces or commas; ValueError for a word that is none."""
    found = frozenset(text.replace(",", " ").split()) or frozenset({"trace"})
    unknown = found - ROLES
    if unknown:
        raise ValueError(f"YAOSU_ROLE: {', '.join(sorted(unknown))} is none of {', '.join(sorted(ROLES))}")
    return found


def master_secret(data: Path) -> bytes:
    """The 32-byte secret that code-issue keys derive from (D6).

    From `YAOSU_MASTER_SECRET` (64 hex digits) or the file `master.key` in the data folder, made at first use
    with owner-only rights. Losing it makes issued but unactivated codes unrecognisable: back it up.
    """
    given = os.environ.get("YAOSU_MASTER_SECRET", "")
    if given:
        value = bytes.fromhex(given)
        if len(value) != 32:
            raise ValueError("YAOSU_MASTER_SECRET must be 64 hexadecimal digits")
        return value
    path = data / "master.key"
    data.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text().strip())
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))
    return bytes.fromhex(path.read_text().strip())
