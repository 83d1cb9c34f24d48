"""Security headers of every answer, as ready-made bytes."""

from __future__ import annotations

from collections.abc import Iterable

# wasm-unsafe-eval lets the decoder of the camera be compiled; it does not let text become script
CSP = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'"
)

Header = tuple[bytes, bytes]

_ALWAYS: tuple[Header, ...] = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    # same-origin and not no-referrer: under the latter browsers send "Origin: null" with our own forms
    (b"referrer-policy", b"same-origin"),
    # the scan station reads codes with the camera of a phone
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HSTS: Header = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_NO_STORE: Header = (b"cache-control", b"no-store")


def response_headers(given: Iterable[Header], private: bool, secure: bool, path: str) -> list[Header]:
    """What to add to `given`; a room's own value of a header wins over ours.

    `private`: the caller was recognised, so nothing between us and them may keep the answer. `secure`: the
    server stands behind HTTPS.
    """
    present = {name.lower() for name, _ in given}
    added = [h for h in _ALWAYS if h[0] not in present]
    if secure:
        added.append(_HSTS)
    if private and b"cache-control" not in present and not path.startswith("/static/"):
        added.append(_NO_STORE)
    return added
