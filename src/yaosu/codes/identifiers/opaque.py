"""Identifiers without public layout: 国家药品标识码 (at most 20 characters) and YPID (at most 32).

Only length and characters are checked; the value is stored as it is, in upper case.
"""

from __future__ import annotations

import re

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze

CNDC_LENGTH_MAX = 20
YPID_LENGTH_MAX = 32
_OPAQUE = re.compile(r"[A-Z0-9][A-Z0-9._/-]*", re.ASCII)


def check_cndc(raw: str) -> Checked:
    """Check a 国家药品标识码: 1–20 letters, digits, dots, hyphens."""
    return _check(raw, "cndc_shape", CNDC_LENGTH_MAX)


def check_ypid(raw: str) -> Checked:
    """Check a YPID (卫健委药品编码): 1–32 letters, digits, dots, hyphens."""
    return _check(raw, "ypid_shape", YPID_LENGTH_MAX)


def _check(raw: str, code: str, longest: int) -> Checked:
    text = squeeze(raw).upper()
    if len(text) > longest or _OPAQUE.fullmatch(text) is None:
        return bad(code, raw, length=len(text), max=longest)
    return good(text)
