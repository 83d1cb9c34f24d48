"""Words of the Core Business Vocabulary in their three spellings: bare, URN, web URI (CBV 2.0 §7).

Inside, a word of the standard is always bare (`shipping`) and a word of somebody's own always an absolute URI, so that
one comparison serves every spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from yaosu import yamls

YAOSU = "https://yaosu.org/ns/epcis#"
"""Namespace of our own extension fields. Only a name; nothing is fetched from it."""
PREFIX = "yaosu"
_SCHEMES = frozenset(
    ["http", "https", "urn", "ni", "tag", "info", "did", "geo", "oid", "uuid", "data", "mailto", "example"]
)
"""Schemes of URIs; `example` is the one of RFC 7595 that GS1's own examples use."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`\x00-\x20]+")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One vocabulary of the standard."""

    name: str
    urn: str
    web: str
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Standard:
    """The words, prefixes and context addresses of the standard."""

    vocabularies: Mapping[str, Vocabulary]
    prefixes: Mapping[str, str]
    contexts: frozenset[str]


@cache
def standard() -> Standard:
    """The standard's vocabulary, read once from `cbv.yaml`."""
    content = yamls.read((resources.files("yaosu.exchange.epcis") / "cbv.yaml").read_text("utf-8"))
    found = {
        name: Vocabulary(name, row["urn"], row["web"], frozenset(row["words"]))
        for name, row in content["vocabularies"].items()
    }
    return Standard(found, content["prefixes"], frozenset(content["contexts"]))


def is_uri(text: str) -> bool:
    """Whether a text is an absolute URI, or a CURIE, which looks the same."""
    return _URI.fullmatch(text) is not None


def expand(text: str, prefixes: Mapping[str, str]) -> str | None:
    """A CURIE with its prefix written out; a URI as it is; None when the prefix is declared nowhere."""
    head, colon, rest = text.partition(":")
    if not colon:
        return text
    known = prefixes.get(head) or standard().prefixes.get(head)
    if known is not None and not rest.startswith("//"):
        return known + rest
    return text if head.lower() in _SCHEMES else None


@dataclass(frozen=True, slots=True)
class Word:
    """A value of a vocabulary. `problem` is a message code when it must not be used."""

    value: str
    problem: str = ""


@cache
def _local(name: str, uri: str) -> str | None:
    """The bare word that a URI of the standard's own namespaces spells; None for other namespaces."""
    one = standard().vocabularies[name]
    for start in (
        one.urn,
        one.web,
        one.web.replace("https://ref.gs1.org/", "http://ref.gs1.org/"),
        one.web.replace("https://ref.gs1.org/cbv/", "https://ns.gs1.org/cbv/"),
        one.web.replace("https://gs1.org/", "https://www.gs1.org/"),
    ):
        if uri.startswith(start):
            return uri[len(start) :]
    return None


def _of_gs1(uri: str) -> bool:
    return uri.startswith(
        (
            "urn:epcglobal:cbv",
            "https://ref.gs1.org/cbv",
            "http://ref.gs1.org/cbv",
            "https://ns.gs1.org/cbv",
            "http://ns.gs1.org/cbv",
            "https://gs1.org/voc/",
            "https://www.gs1.org/voc/",
        )
    )


def word(name: str, given: str, prefixes: Mapping[str, str], bare: bool = True) -> Word:
    """A value of vocabulary `name` in its inner form. `bare`: whether bare words may be used (JSON yes, XML no)."""
    words = standard().vocabularies[name].words
    if given in words and bare:
        return Word(given)
    if ":" not in given:
        return Word(given, "epcis_word_unknown" if bare or given not in words else "epcis_word_bare_in_xml")
    uri = expand(given, prefixes)
    if uri is None:
        return Word(given, "epcis_prefix_undeclared")
    local = _local(name, uri)
    if local is not None and local in words:
        return Word(local)
    if _of_gs1(uri):
        return Word(given, "epcis_word_unknown")
    return Word(uri) if is_uri(uri) else Word(given, "epcis_uri_invalid")


def as_web(name: str, value: str) -> str:
    """The web URI of a word; somebody's own stays as it is."""
    one = standard().vocabularies[name]
    return one.web + value if value in one.words else value


def as_urn(name: str, value: str) -> str:
    """The URN of a word; those without one (sensor words) as web URI; somebody's own stays as it is."""
    one = standard().vocabularies[name]
    if value not in one.words:
        return value
    return (one.web if one.urn.startswith("urn:epcglobal:voc") else one.urn) + value
