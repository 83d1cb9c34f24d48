"""SM2 signature and public-key encryption after GB/T 32918-2016 (GM/T 0003-2012), curve sm2p256v1 (part 5).

Point arithmetic is `fastecdsa`'s (compiled), and for points that come again the tables of `multiples`; here stand the
scheme's formulas only. A signature is r||s, 64 bytes, the
form 医保 interfaces exchange in Base64; `to_der` and `from_der` turn it into the ASN.1 form of certificates and of
Bouncy Castle. The arithmetic takes a time that depends on its numbers: sign on your own server, not as an oracle that
strangers may time millions of times.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from functools import lru_cache
from typing import Literal

from fastecdsa.rust import Curve, Point

from yaosu.gm.multiples import Multiples, has_x, total
from yaosu.gm.symmetric import sm3

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
USER_ID = b"1234567812345678"
"""The identity everyone uses who has agreed on no other (GM/T 0009)."""
SIZE = 32

Order = Literal["C1C3C2", "C1C2C3"]

CURVE = Curve("sm2p256v1", P, A, B, N, GX, GY)


def _int(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _bytes(number: int) -> bytes:
    return number.to_bytes(SIZE, "big")


def on_curve(raw: bytes) -> bool:
    """Whether 64 bytes x||y are a point of the curve."""
    x, y = _int(raw[:SIZE]), _int(raw[SIZE:])
    return len(raw) == 2 * SIZE and x < P and y < P and (y * y - (x * x * x + A * x + B)) % P == 0


@lru_cache(maxsize=4096)
def _point(public: bytes) -> Point:
    """The point of a 64-byte key (65 with the leading 04); ValueError when it is not on the curve."""
    raw = public[1:] if len(public) == 2 * SIZE + 1 and public[0] == 4 else public
    if len(raw) != 2 * SIZE:
        raise ValueError("an SM2 public key has 64 bytes")
    if not on_curve(raw):
        raise ValueError("the point is not on the curve")
    return Point(_int(raw[:SIZE]), _int(raw[SIZE:]), CURVE)


GENERATOR_WIDTH = 9
KEY_WIDTH = 5
TABLE_AFTER = 3
"""A key that has verified so often is worth a table."""
_uses: OrderedDict[bytes, int] = OrderedDict()
_USES_MAX = 65_536


@lru_cache(maxsize=1)
def _generator() -> Multiples:
    return Multiples(GX, GY, P, GENERATOR_WIDTH)


@lru_cache(maxsize=256)
def _table(public: bytes) -> Multiples:
    """The table of a key that verifies again and again; ValueError when it is none."""
    return Multiples(*_xy(_point(public)), P, KEY_WIDTH)


def _points(public: bytes, number: int) -> list[tuple[int, int]]:
    """Points whose sum is so many times the key; ValueError when it is none."""
    count = _uses.pop(public, 0)
    if count < TABLE_AFTER:
        point = number * _point(public)
        _uses[public] = count + 1
        if len(_uses) > _USES_MAX:
            _uses.popitem(last=False)
        return [_xy(point)]
    _uses[public] = count
    return _table(public).points(number)


def _xy(point: Point) -> tuple[int, int]:
    flat = point.normalize()
    return flat.x, flat.y


def _scalar(private: bytes) -> int:
    d = _int(private)
    if len(private) != SIZE or not 1 <= d <= N - 2:
        raise ValueError("an SM2 private key has 32 bytes and lies between 1 and n-2")
    return d


@lru_cache(maxsize=4096)
def public_of(private: bytes) -> bytes:
    """The 64-byte public key of a private one."""
    x, y = total(_generator().points(_scalar(private)), P)
    return _bytes(x) + _bytes(y)


def new_keys() -> tuple[bytes, bytes]:
    """A fresh pair: private (32 bytes), public (64 bytes, x||y)."""
    private = _bytes(1 + secrets.randbelow(N - 2))
    return private, public_of(private)


def digest(public: bytes, data: bytes, user_id: bytes = USER_ID) -> int:
    """e = SM3(Z || M), Z = SM3(ENTL || ID || a || b || G || key) (GB/T 32918.2 §5.5, §6.1)."""
    if len(user_id) > 0xFFFF // 8:
        raise ValueError("the user id is too long")
    raw = public[-2 * SIZE :]
    z = sm3(
        (len(user_id) * 8).to_bytes(2, "big")
        + user_id
        + _bytes(A)
        + _bytes(B)
        + _bytes(GX)
        + _bytes(GY)
        + raw
    )
    return _int(sm3(z + data))


def sign_digest(d: int, e: int, k: int) -> tuple[int, int] | None:
    """r, s for a chosen k (GB/T 32918.2 §6.1); None: take another k."""
    x, _ = total(_generator().points(k), P)
    r = (e + x) % N
    if r == 0 or r + k == N:
        return None
    s = pow(1 + d, -1, N) * (k - r * d) % N
    return (r, s) if s else None


def sm2_sign(private: bytes, data: bytes, user_id: bytes = USER_ID) -> bytes:
    """The signature r||s. ValueError: not a private key."""
    d = _scalar(private)
    e = digest(public_of(private), data, user_id)
    while True:
        made = sign_digest(d, e, 1 + secrets.randbelow(N - 1))
        if made is not None:
            return _bytes(made[0]) + _bytes(made[1])


def sm2_verify(public: bytes, data: bytes, signature: bytes, user_id: bytes = USER_ID) -> bool:
    """Whether `signature` (r||s, 64 bytes) is the key's over `data`. ValueError: not a public key."""
    _point(public)
    if len(signature) != 2 * SIZE:
        return False
    r, s = _int(signature[:SIZE]), _int(signature[SIZE:])
    if not (1 <= r < N and 1 <= s < N):
        return False
    t = (r + s) % N
    if t == 0:
        return False
    # x of the sum is below P, and r is that plus e below N: at most two numbers fit
    x = (r - digest(public, data, user_id)) % N
    points = _generator().points(s) + _points(public, t)
    return has_x(points, P, [one for one in (x, x + N) if one < P])


def to_der(signature: bytes) -> bytes:
    """SEQUENCE { r INTEGER, s INTEGER } of r||s."""
    if len(signature) != 2 * SIZE:
        raise ValueError("a raw signature has 64 bytes")
    body = b""
    for part in (signature[:SIZE], signature[SIZE:]):
        number = part.lstrip(b"\0") or b"\0"
        if number[0] & 0x80:
            number = b"\0" + number
        body += b"\x02" + bytes((len(number),)) + number
    return b"\x30" + bytes((len(body),)) + body


def from_der(der: bytes) -> bytes:
    """r||s of a strictly encoded ASN.1 signature. ValueError: anything else, trailing bytes included."""
    wrong = ValueError("not a DER signature")
    if len(der) < 8 or der[0] != 0x30 or der[1] != len(der) - 2 or der[1] > 0x7F:
        raise wrong
    at, parts = 2, []
    for _ in range(2):
        if at + 2 > len(der) or der[at] != 0x02:
            raise wrong
        size = der[at + 1]
        number = der[at + 2 : at + 2 + size]
        padded = size > 1 and number[:1] == b"\0" and not number[1] & 0x80
        if not 1 <= size <= SIZE + 1 or len(number) != size or number[0] & 0x80 or padded:
            raise wrong
        value = _int(number)
        if value >> (8 * SIZE):
            raise wrong
        parts.append(_bytes(value))
        at += 2 + size
    if at != len(der):
        raise wrong
    return parts[0] + parts[1]


def _stream(shared: bytes, size: int) -> bytes:
    """The key derivation function (GB/T 32918.4 §5.4.3)."""
    blocks = (size + SIZE - 1) // SIZE
    return b"".join(sm3(shared + i.to_bytes(4, "big")) for i in range(1, blocks + 1))[:size]


def _mask(data: bytes, stream: bytes) -> bytes:
    return (_int(data) ^ _int(stream)).to_bytes(len(data), "big")


def encrypt_with(public: bytes, data: bytes, k: int, mode: Order = "C1C3C2") -> bytes | None:
    """Encryption with a chosen k; None: take another one."""
    c1 = total(_generator().points(k), P)
    x, y = _xy(k * _point(public))
    stream = _stream(_bytes(x) + _bytes(y), len(data))
    if not any(stream):
        return None
    c2 = _mask(data, stream)
    c3 = sm3(_bytes(x) + data + _bytes(y))
    head = b"\x04" + _bytes(c1[0]) + _bytes(c1[1])
    return head + (c3 + c2 if mode == "C1C3C2" else c2 + c3)


def sm2_encrypt(public: bytes, data: bytes, mode: Order = "C1C3C2") -> bytes:
    """04||C1 then C3 and C2 (the order of 2012 and later) or C2 and C3 (the older one).

    ValueError: not a public key, nothing to encrypt, or an unknown order.
    """
    if not data:
        raise ValueError("there is nothing to encrypt")
    if mode not in ("C1C3C2", "C1C2C3"):
        raise ValueError("the order is C1C3C2 or C1C2C3")
    while True:
        made = encrypt_with(public, data, 1 + secrets.randbelow(N - 1), mode)
        if made is not None:
            return made


def sm2_decrypt(private: bytes, data: bytes, mode: Order = "C1C3C2") -> bytes:
    """The text; the leading 04 may be missing, as some libraries leave it out. ValueError: cut, changed, not for us."""
    if mode not in ("C1C3C2", "C1C2C3"):
        raise ValueError("the order is C1C3C2 or C1C2C3")
    d = _scalar(private)
    last = ValueError("the ciphertext does not open")
    # without its 04 the first byte is the point's own and may be 04 by chance: then both readings are tried
    for raw in [data[1:], data] if data[:1] == b"\x04" else [data]:
        if len(raw) <= 3 * SIZE:
            continue
        try:
            x, y = _xy(d * _point(raw[: 2 * SIZE]))
        except ValueError:
            continue
        rest = raw[2 * SIZE :]
        c3, c2 = (rest[:SIZE], rest[SIZE:]) if mode == "C1C3C2" else (rest[-SIZE:], rest[:-SIZE])
        text = _mask(c2, _stream(_bytes(x) + _bytes(y), len(c2)))
        if secrets.compare_digest(sm3(_bytes(x) + text + _bytes(y)), c3):
            return text
    raise last
