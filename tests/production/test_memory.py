"""Memory stays bounded while a file streams through reading, checking and row building (issue 2 §4)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from production.helpers import tree

PROGRAM = """
import resource, sys
from datetime import UTC, date, datetime
from production.test_relation_validate import Known, product
from production.helpers import BOX, CASE, MIDDLE
from yaosu.production.copy_rows import RowFacts, blocks
from yaosu.production.relation import Facts, read, validate

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak_mb()
with open(sys.argv[1], "rb") as file:
    found = read(file)
judged = validate(found, Known(product(1, (BOX, MIDDLE, CASE))), Facts(org_id=1, today=date(2026, 9, 30)))
assert judged.ok, judged.errors.counts
facts = RowFacts(1, 1, 1, 1, "A", 1, datetime.now(UTC))
written = sum(rows for _, rows in blocks(judged, {0: facts}))
assert written == len(found) == int(sys.argv[2])
print(peak_mb() - before)
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_hundred_thousand_boxes_stream_through_in_a_few_dozen_megabytes(tmp_path: Path, end: str) -> None:
    given = tree(8400, 3, 4)
    path = tmp_path / "relation.xml"
    path.write_bytes(given.xml(end))
    size_mb = path.stat().st_size / 1024 / 1024
    assert size_mb > 12
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(len(given.rows))],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
        timeout=300,
    )
    # 20 MB are the table of prefixes; objects per code would take ten times this
    assert float(done.stdout) < 90
