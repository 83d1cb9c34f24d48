"""批准文号: the number under which a drug may be sold in China.

Current form (药品注册管理办法 2020, art. 123): ``国药准字`` + H (chemical), Z (Chinese medicine) or
S (biological), J for overseas and C for Hong Kong, Macao and Taiwan, + 8 digits.
Older forms remain valid on packs: letters B, T, F, J alone, and the certificate numbers of imported drugs
(``H20171234``, ``HC…``, with ``B`` for bulk repackaging).
"""

from __future__ import annotations

import re

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze

_APPROVAL = re.compile(r"国药准字[HZSJBTFC][JC]?\d{8}", re.ASCII)
_CERTIFICATE = re.compile(r"(?:国药准字)?B?[HZS]C?\d{8}", re.ASCII)


def check_approval_number(raw: str) -> Checked:
    """Check the shape of an approval or import certificate number; the value has capitals and no blanks."""
    text = squeeze(raw).upper().replace("国药准字(", "国药准字").replace(")", "")
    if _APPROVAL.fullmatch(text) is None and _CERTIFICATE.fullmatch(text) is None:
        return bad("approval_number_shape", raw)
    return good(text)


def is_import_certificate(value: str) -> bool:
    """True if the number is an import or 医药产品 registration certificate rather than a 国药准字."""
    return not value.startswith("国药准字")
