"""医保药品编码 and 医保耗材编码: the catalogue number of the medical insurance. Shape only, no check digit.

西药 ``X`` + 22 characters, 中成药 ``Z`` + 19, 中药饮片 ``T`` and 耗材 ``C`` + 9 to 26.
"""

from __future__ import annotations

import re

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze

_SHAPE = re.compile(r"X[A-Z0-9]{22}|Z[A-Z0-9]{19}|[CT][A-Z0-9]{9,26}", re.ASCII)
_DRUG = re.compile(
    r"X[A-Z]\d{2}[A-Z]{2}[A-Z]\d{3}[A-Z]\d{3}\d{9}|Z[A-Z]\d{2}[A-Z]{2}[A-Z0-9]{5}\d{9}", re.ASCII
)


def check_yibao(raw: str) -> Checked:
    """Check the shape of a 医保 code; the value is in upper case."""
    text = squeeze(raw).upper()
    if _SHAPE.fullmatch(text) is None:
        return bad("yibao_shape", raw, length=len(text))
    return good(text)


def looks_like_yibao_drug(text: str) -> bool:
    """True if the text has the inner layout of a 医保药品编码 (letters and digits in their usual places)."""
    return _DRUG.fullmatch(text) is not None
