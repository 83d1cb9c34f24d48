"""Shared keys of trace systems: random, kept sealed under the master secret, bound to the app_id."""

from __future__ import annotations

import os
import secrets

from yaosu.people.keeper import Keeper

_PURPOSE = "xietong key 1"
_NONCE = 12


def new_key() -> str:
    """64 hexadecimal digits: 256 random bits."""
    return secrets.token_hex(32)


def new_app_id() -> str:
    """An app_id as the platform assigns it."""
    return "xt" + secrets.token_hex(8)


def seal(keeper: Keeper, app_id: str, key: str) -> bytes:
    """The key as the database keeps it."""
    nonce = os.urandom(_NONCE)
    return nonce + keeper.cipher(_PURPOSE).encrypt(nonce, key.encode(), app_id.encode())


def unseal(keeper: Keeper, app_id: str, sealed: bytes) -> str:
    """The key in clear, for one use."""
    return keeper.cipher(_PURPOSE).decrypt(sealed[:_NONCE], sealed[_NONCE:], app_id.encode()).decode()
