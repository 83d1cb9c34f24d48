"""What must hold for every key, text and signature."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yaosu import gm
from yaosu.gm import sm2

texts = st.binary(min_size=1, max_size=300)
PRIVATE, PUBLIC = gm.new_keys()
N = sm2.N


@settings(max_examples=25, deadline=None)
@given(texts, st.binary(max_size=40), st.integers(0, 511))
def test_a_signature_holds_for_its_text_identity_and_key_alone(text: bytes, user: bytes, bit: int) -> None:
    made = gm.sm2_sign(PRIVATE, text, user)
    assert len(made) == 64
    assert gm.sm2_verify(PUBLIC, text, made, user)
    assert not gm.sm2_verify(PUBLIC, text + b"\0", made, user)
    assert not gm.sm2_verify(PUBLIC, text, made, user + b"x")
    other = bytearray(made)
    other[bit // 8] ^= 1 << bit % 8
    assert not gm.sm2_verify(PUBLIC, text, bytes(other), user)
    assert gm.from_der(gm.to_der(made)) == made


@settings(max_examples=15, deadline=None)
@given(texts, st.sampled_from(["C1C3C2", "C1C2C3"]), st.data())
def test_what_is_sealed_opens_with_its_key_and_not_when_changed(
    text: bytes, mode: sm2.Order, data: st.DataObject
) -> None:
    sealed = gm.sm2_encrypt(PUBLIC, text, mode)
    assert gm.sm2_decrypt(PRIVATE, sealed, mode) == text
    assert gm.sm2_decrypt(PRIVATE, sealed[1:], mode) == text
    at = data.draw(st.integers(1, len(sealed) - 1))
    changed = sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :]
    with pytest.raises(ValueError, match="does not open"):
        gm.sm2_decrypt(PRIVATE, changed, mode)


@given(texts, st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_the_block_cipher_returns_every_text(text: bytes, key: bytes, iv: bytes) -> None:
    assert gm.sm4_decrypt(key, gm.sm4_encrypt(key, text)) == text
    assert gm.sm4_decrypt(key, gm.sm4_encrypt(key, text, "cbc", iv), "cbc", iv) == text
    with pytest.raises(ValueError, match=r"."):
        gm.sm4_decrypt(key, gm.sm4_encrypt(key, text)[:-1])


@given(st.binary(max_size=80))
def test_anything_but_a_signature_is_no_signature(junk: bytes) -> None:
    assert not gm.sm2_verify(PUBLIC, b"x", junk)
    try:
        raw = gm.from_der(junk)
    except ValueError:
        return
    assert gm.to_der(raw) == junk


@given(st.text(max_size=120))
def test_a_text_that_is_no_key_is_refused_without_repeating_it(junk: str) -> None:
    for read in (gm.private_key, gm.public_key):
        try:
            read(junk)
        except gm.KeyFormatError as error:
            assert str(error) in ("not a key", "not an SM2 private key", "not an SM2 public key")


def test_forged_extremes_are_refused() -> None:
    one, zero, n = (1).to_bytes(32, "big"), bytes(32), N.to_bytes(32, "big")
    for signature in (zero + one, one + zero, n + one, one + n, one + (N - 1).to_bytes(32, "big")):
        assert not gm.sm2_verify(PUBLIC, b"x", signature)
    # s*G + t*key is the point at infinity: no x to compare with
    d = int.from_bytes(PRIVATE, "big")
    t = 7
    s = -t * d % N
    r = (t - s) % N
    assert not gm.sm2_verify(PUBLIC, b"x", r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_points_off_the_curve_and_scalars_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="not on the curve"):
        gm.sm2_verify(PUBLIC[:-1] + bytes((PUBLIC[-1] ^ 1,)), b"x", bytes(64))
    with pytest.raises(ValueError, match="64 bytes"):
        gm.sm2_verify(PUBLIC[:-1], b"x", bytes(64))
    for wrong in (bytes(32), N.to_bytes(32, "big"), (N - 1).to_bytes(32, "big"), b"\1"):
        with pytest.raises(ValueError, match="private key"):
            gm.sm2_sign(wrong, b"x")
    with pytest.raises(ValueError, match="nothing"):
        gm.sm2_encrypt(PUBLIC, b"")
    for bad in (b"", b"\x04" * 97, PUBLIC + bytes(40)):
        with pytest.raises(ValueError, match="does not open"):
            gm.sm2_decrypt(PRIVATE, bad)
