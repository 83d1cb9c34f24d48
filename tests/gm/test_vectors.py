"""The published examples of the standards, number by number."""

from __future__ import annotations

import base64

from yaosu import gm
from yaosu.gm import sm2

# GM/T 0003.5-2012 (GB/T 32918.5-2017) annexes A and C: the recommended curve
D = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
PUBLIC = bytes.fromhex(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
K = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
SIGNATURE = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
C1 = (
    "04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73"
    "E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0"
)
C3 = "59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766"
C2 = "21886CA989CA9C7D58087307CA93092D651EFA"


def test_the_public_key_follows_from_the_private_one() -> None:
    assert gm.public_of(D) == PUBLIC


def test_the_signature_of_the_standard_is_made_digit_by_digit() -> None:
    e = sm2.digest(PUBLIC, b"message digest")
    assert e == 0xF0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640
    made = sm2.sign_digest(int.from_bytes(D, "big"), e, K)
    assert made is not None
    assert made[0].to_bytes(32, "big") + made[1].to_bytes(32, "big") == SIGNATURE
    assert gm.sm2_verify(PUBLIC, b"message digest", SIGNATURE)
    assert gm.sm2_verify(b"\x04" + PUBLIC, b"message digest", SIGNATURE)
    assert not gm.sm2_verify(PUBLIC, b"message digesT", SIGNATURE)


def test_the_ciphertext_of_the_standard_in_both_orders() -> None:
    text = b"encryption standard"
    new, old = bytes.fromhex("04" + C1 + C3 + C2), bytes.fromhex("04" + C1 + C2 + C3)
    assert sm2.encrypt_with(PUBLIC, text, K) == new
    assert sm2.encrypt_with(PUBLIC, text, K, "C1C2C3") == old
    assert gm.sm2_decrypt(D, new) == gm.sm2_decrypt(D, old, "C1C2C3") == text
    # C1 of the example begins with 04 itself: with and without the marker it opens
    assert gm.sm2_decrypt(D, new[1:]) == text


def test_a_signature_made_by_bouncy_castle_with_its_keys_in_java_wrapping() -> None:
    """A pair and a signature as integrators of the 医保 mobile payment centre publish them."""
    public = gm.public_key(
        "MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAESic24soUECzuSh2aYH0e+hQYh+/I01NmfjOnm5mwyUEYQvNCPTzn3BlNyufgMV+DWLUKV"
        "+2h0+PVel9jYTfG8Q=="
    )
    private = gm.private_key(
        "MIGTAgEAMBMGByqGSM49AgEGCCqBHM9VAYItBHkwdwIBAQQg0dYU+I6IdiSe8bvWlsHuWfsjSn3XFZqOGWO3K1814O6gCgYIKoEcz1UBgi2h"
        "RANCAARKJzbiyhQQLO5KHZpgfR76FBiH78jTU2Z+M6ebmbDJQRhC80I9POfcGU3K5+AxX4NYtQpX7aHT49V6X2NhN8bx"
    )
    assert gm.public_of(private) == public
    assert gm.public_key(public.hex()) == gm.public_key("04" + public.hex()) == public
    assert gm.private_key(base64.b64encode(b"\0" + private).decode()) == private


def test_digest_and_authentication_code() -> None:
    assert gm.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert gm.sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    text = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq" * 2
    key = bytes(range(1, 33))
    assert gm.hmac_sm3(key, text).hex() == "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"


def test_the_block_cipher() -> None:
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    # GB/T 32907 annex A.1; the second block is the padding's
    sealed = gm.sm4_encrypt(key, key)
    assert sealed[:16].hex() == "681edf34d206965e86b3e94f536e4246"
    assert gm.sm4_decrypt(key, sealed) == key
