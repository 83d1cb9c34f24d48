"""The codes room: read, check and issue identifiers. Pure; imports nothing of ours.

Doors: `parse` (any text → `TraceCode` or `NotACode`), `parse_canonical`, `is_cn20`, `CustomPattern` and
`check_pattern`, `yaosu.codes.identifiers` (checks of the numbers around a drug), `yaosu.codes.issue` (issue
without storing).
"""

from yaosu.codes.cn20 import is_cn20, split20
from yaosu.codes.custom import CustomPattern, check_issuer, check_pattern
from yaosu.codes.model import CANONICAL_LENGTH_MAX, RAW_LENGTH_MAX, NotACode, Scheme, TraceCode
from yaosu.codes.parse import parse, parse_canonical

__all__ = [
    "CANONICAL_LENGTH_MAX",
    "RAW_LENGTH_MAX",
    "CustomPattern",
    "NotACode",
    "Scheme",
    "TraceCode",
    "check_issuer",
    "check_pattern",
    "is_cn20",
    "parse",
    "parse_canonical",
    "split20",
]
