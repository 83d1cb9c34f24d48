"""Scans of a large bill are read together where all are plain codes; nothing else changes by it (R-A4, R-X1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yaosu.circulation.prepare import PLAIN_MIN, scans_of
from yaosu.registry.model import Resolution
from yaosu.registry.resolver import Registry

KNOWN = {"8385791": 7, "8385792": 8, "0385791": 9}


def _registry() -> Registry:
    registry = Registry()
    for prefix, drug_id in KNOWN.items():
        registry._resolved[prefix] = Resolution("known", drug_id, 1)
    return registry


plain = st.builds("{}{:013d}".format, st.sampled_from(["8385791", "8385792"]), st.integers(0, 10**13 - 1))
odd = st.one_of(
    st.builds("{}{:013d}".format, st.sampled_from(["0385791", "8999999"]), st.integers(0, 10**13 - 1)),
    st.builds(" {}".format, plain),
    st.builds("{}９".format, plain.map(lambda raw: raw[:19])),
    st.sampled_from(["", "11010519491231002X", "00069012345678901236", "https://x.test/", "8385791"]),
)


@given(st.lists(plain, min_size=PLAIN_MIN, max_size=3 * PLAIN_MIN), st.lists(odd, max_size=2), st.randoms())
def test_scans_are_read_together_as_they_are_read_one_by_one(
    usual: list[str], unusual: list[str], order: object
) -> None:
    raws = [*usual, *unusual]
    order.shuffle(raws)  # type: ignore[attr-defined]
    registry = _registry()
    scans, keys, containers = scans_of(registry, raws)
    alone = [scans_of(registry, [raw]) for raw in raws]
    assert [s.n for s in scans] == list(range(len(raws)))
    for n, (one, _, _) in enumerate(alone):
        one[0].n = n
    assert scans == [one[0] for one, _, _ in alone]
    assert keys == [key for _, found, _ in alone for key in found]
    assert containers == [code for _, _, found in alone for code in found]


@pytest.mark.parametrize("strange", ["0385791" + "1" * 13, "8999999" + "1" * 13, "8385791" + "1" * 12 + "٣"])
def test_one_strange_scan_among_plain_ones_is_told_apart(strange: str) -> None:
    raws = [f"8385791{n:013d}" for n in range(PLAIN_MIN)]
    scans, keys, _ = scans_of(_registry(), [*raws, strange])
    assert [s.drug_id for s in scans[:-1]] == [7] * PLAIN_MIN
    assert scans[-1].drug_id != 7 and (7, strange) not in keys
