"""Relation files (关联关系): which package is inside which, read and checked without a database.

`read` understands the XML 3.0 in all variants met in the field, our JSON and CSV, and archives of one such file;
`validate` says everything that is wrong at once. Both work on columns of numbers, not on an object per code.
"""

from yaosu.production.relation.findings import Findings
from yaosu.production.relation.model import BatchPart, Limits, RelationFile, RelationHead
from yaosu.production.relation.read import read
from yaosu.production.relation.validate import BatchFacts, Facts, Judged, validate

__all__ = [
    "BatchFacts",
    "BatchPart",
    "Facts",
    "Findings",
    "Judged",
    "Limits",
    "RelationFile",
    "RelationHead",
    "read",
    "validate",
]
