"""EPC URN, Digital Link and our own codes: one identifier, whatever way it is written (CBV 2.0 §8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yaosu.codes import TraceCode, parse_canonical
from yaosu.codes.gs1 import CHARSET_82
from yaosu.codes.identifiers.checksums import mod10_digit
from yaosu.exchange.epcis.identifiers import (
    NotAnIdentifierError,
    as_urn,
    canonical,
    of_code,
    of_goods,
    to_code,
    to_goods,
)

serials = st.text(sorted(CHARSET_82), min_size=1, max_size=20)
digits = st.integers(0, 9)


def keys(size: int) -> st.SearchStrategy[str]:
    """Keys of so many digits with their check digit."""
    return st.text("0123456789", min_size=size - 1, max_size=size - 1).map(lambda b: b + str(mod10_digit(b)))


@given(keys(14), serials, st.integers(6, 12))
def test_a_serialised_gtin_survives_every_spelling(gtin: str, serial: str, length: int) -> None:
    inner = of_code(f"(01){gtin}(21){serial}")
    assert canonical(inner) == inner
    assert to_code(inner) == f"(01){gtin}(21){serial}"
    urn = as_urn(inner, lambda _: length)
    assert urn.startswith("urn:epc:id:sgtin:") and canonical(urn) == inner
    assert canonical(inner.replace("https://id.gs1.org", "https://any.example/shop")) == inner


@given(keys(18), st.integers(6, 12))
def test_an_sscc_survives_every_spelling(sscc: str, length: int) -> None:
    inner = of_code(f"(00){sscc}")
    urn = as_urn(inner, lambda _: length)
    assert urn.startswith("urn:epc:id:sscc:") and canonical(urn) == inner


@given(keys(14), serials, st.integers(6, 12))
def test_a_lot_and_a_class_survive_every_spelling(gtin: str, lot: str, length: int) -> None:
    inner = of_goods(gtin, "gs1", lot)
    assert canonical(as_urn(inner, lambda _: length)) == inner
    found = to_goods(inner)
    assert found is not None and (found.prefix, found.batch_no) == (gtin, lot)
    whole = of_goods(gtin, "gs1")
    assert canonical(as_urn(whole, lambda _: length)) == whole


@given(keys(13), serials, st.integers(6, 11))
def test_places_and_parties_survive_every_spelling(gln: str, extension: str, length: int) -> None:
    from urllib.parse import quote

    for inner in (
        f"https://id.gs1.org/414/{gln}",
        f"https://id.gs1.org/417/{gln}",
        f"https://id.gs1.org/414/{gln}/254/x{quote(extension, safe='')}"[:200],
    ):
        one = canonical(inner) if len(extension) < 20 else inner
        if len(extension) < 20:
            assert canonical(as_urn(one, lambda _: length)) == one


@given(st.text("0123456789", min_size=20, max_size=20).filter(lambda t: t[0] != "0"))
def test_twenty_digit_codes_have_a_form_of_ours(code: str) -> None:
    assert canonical(of_code(code)) == of_code(code) == canonical(f"https://trace.example.cn/id/{code}")
    assert to_code(of_code(code)) == code
    assert isinstance(parse_canonical(code), TraceCode)


@given(serials)
def test_custom_codes_have_a_form_of_ours(text: str) -> None:
    code = f"maker7:{text}"
    assert to_code(canonical(of_code(code))) == code


@pytest.mark.parametrize(
    "text",
    [
        "urn:epc:id:sgtin:0614141.10734.2017",
        "urn:epc:id:sgtin:0614141.107346.",
        "urn:epc:id:sscc:0614141.123456789",
        "https://id.gs1.org/01/06901234010011/21/A",
        "https://id.gs1.org/00/123",
        "https://id.gs1.org/01/06901234010015/99/A",
    ],
)
def test_a_wrong_length_or_check_digit_is_refused(text: str) -> None:
    with pytest.raises(NotAnIdentifierError):
        canonical(text)


def test_the_published_examples_of_the_standard() -> None:
    for urn, link in (
        ("urn:epc:id:sgtin:0614141.107346.2017", "https://id.gs1.org/01/10614141073464/21/2017"),
        ("urn:epc:id:sgln:0614141.07346.1234", "https://id.gs1.org/414/0614141073467/254/1234"),
        ("urn:epc:id:pgln:4012345.00225", "https://id.gs1.org/417/4012345002256"),
        ("urn:epc:class:lgtin:4012345.012345.998877", "https://id.gs1.org/01/04012345123456/10/998877"),
        ("urn:epc:id:gdti:0614141.00001.1618034", "https://id.gs1.org/253/06141410000121618034"),
        ("urn:epc:id:giai:4000001.111", "https://id.gs1.org/8004/4000001111"),
    ):
        assert canonical(urn) == link
        assert as_urn(link, lambda _: 7) == urn
