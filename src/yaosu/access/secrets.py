"""Secrets: made from the system's randomness, kept only as digests, compared in constant time.

Passwords are hashed with argon2id (RFC 9106) in threads of their own: the event loop never waits for a hash,
and their number bounds the memory and the processor time that sign-ins can take from everybody else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from yaosu.errors import YaosuError

KEY_FORM = re.compile(r"yk_[0-9a-z]{8}_[A-Za-z0-9_-]{43}")
_TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]{43}")
_PREFIX_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_THREADS = 2
T = TypeVar("T")
WAITING_MAX = 32
"""Hashes waiting at most; beyond that a sign-in is told to come back."""

# 19 MiB, two passes: the smaller of the two settings that OWASP's password storage page recommends
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="password")
_waiting = 0


def digest(secret: str) -> bytes:
    """SHA-256 of a random secret; enough because the secrets have 256 bits of their own."""
    return hashlib.sha256(secret.encode()).digest()


def new_token() -> str:
    """43 characters of base64url: 256 random bits."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def new_key() -> tuple[str, str]:
    """A key's shown prefix and its full secret, `yk_<8>_<43>`."""
    prefix = "yk_" + "".join(secrets.choice(_PREFIX_LETTERS) for _ in range(8))
    return prefix, f"{prefix}_{new_token()}"


def is_key(text: str) -> bool:
    """Whether `text` has the form of a key of ours; anything else needs no query."""
    return KEY_FORM.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether `text` has the form of a session token."""
    return _TOKEN_FORM.fullmatch(text) is not None


async def _in_thread(work: Callable[[], T]) -> T:
    global _waiting  # noqa: PLW0603 - one number per process is exactly what is meant
    if _waiting >= WAITING_MAX:
        raise YaosuError("too_many_requests", {"seconds": 5})
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
    finally:
        _waiting -= 1


async def hash_password(password: str) -> str:
    """The argon2id hash, with salt and parameters in it."""
    return await _in_thread(lambda: _hasher.hash(password))


async def password_fits(stored: str | None, password: str) -> bool:
    """Whether `password` belongs to the hash; with no hash it takes as long and says no."""

    def check() -> bool:
        try:
            return _hasher.verify(stored or _nobodys_hash(), password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    return await _in_thread(check)


def outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_hex(16))
