"""HASATTR_ and EQATTR_: events by what master data says of the values of a field (EPCIS 2.0 §8.2.7.1).

`HASATTR_bizLocation=cbvmda:city` asks for events whose bizLocation has that attribute in captured master data,
`EQATTR_bizLocation_cbvmda:city=Linz` for those where it has that value. The master data is the asking organisation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yaosu.exchange.epcis import shape
from yaosu.exchange.epcis.model import Event
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.query_values import Test, plain, strings, values_of, wrong
from yaosu.exchange.epcis.vocabulary import YAOSU, as_urn, as_web, expand, standard

FIELDS = (
    *("bizStep", "disposition", "readPoint", "bizLocation", "bizTransaction", "source", "destination"),
    *("epcClass", "epc", "parentID", "transformationID"),
)
"""Fields of the standard whose values master data can describe."""
_PAIRS = {inner: name for name, inner in shape.PAIRS.items()}


@dataclass(frozen=True, slots=True)
class Described:
    """One parameter: the field, the names its attribute may be stored under, and the values asked for, if any."""

    field: str
    """Field of the standard, or the plain name of an extension field."""
    names: list[str]
    values: list[str] | None = None

    def of(self, body: Event, prefixes: Mapping[str, str]) -> list[str]:
        """Values of the field in an event, as master data would name them."""
        name = self.field
        if name in ("bizStep", "disposition"):
            word = str(body.get(name, ""))
            return [word, as_urn(name, word), as_web(name, word)] if word else []
        if name in ("readPoint", "bizLocation"):
            place = body.get(name)
            return [inner_of(str(place["id"]))] if isinstance(place, Mapping) and "id" in place else []
        if name in _PAIRS:
            return [inner_of(str(one.get(name))) for one in body.get(_PAIRS[name]) or ()]
        if name == "epcClass":
            found = [one for key in shape.QUANTITY_FIELDS for one in body.get(key) or ()]
            return [inner_of(str(one["epcClass"])) for one in found]
        if name == "epc":
            lists = [body.get(key) or () for key in shape.EPC_FIELDS if key != "parentID"]
            return [inner_of(str(one)) for values in lists for one in values]
        if name in FIELDS:
            return [inner_of(str(body[name]))] if body.get(name) else []
        return [inner_of(str(v)) for v in values_of(body, prefixes, "", False, name)]


def described_test(asked: Described, known: frozenset[str]) -> Test:
    """An event's field has a value that master data describes so."""
    return lambda body, prefixes, _k: any(value in known for value in asked.of(body, prefixes))


def _spellings(name: str, given: str, prefixes: Mapping[str, str]) -> list[str]:
    """An attribute's name as master data may carry it: CURIE, URN with colon or hash."""
    uri = YAOSU + given[6:] if given.startswith("yaosu:") else expand(given, prefixes)
    if uri is None:
        raise wrong(name, given.partition(":")[0][:60])
    found = {given, uri}
    for start in ("urn:epcglobal:cbv:mda", "urn:yaosu:mda"):
        if uri.startswith((start + ":", start + "#")):
            local = uri[len(start) + 1 :]
            found |= {f"{start}:{local}", f"{start}#{local}"}
    for prefix, space in {**standard().prefixes, **prefixes}.items():
        found |= {f"{prefix}:{one[len(space) :]}" for one in found if one.startswith(space)}
    return sorted(found)


def _field(name: str, given: str, prefixes: Mapping[str, str]) -> str:
    if given in FIELDS:
        return given
    uri = YAOSU + given[6:] if given.startswith("yaosu:") else expand(given, prefixes)
    if uri is None or ":" not in given:
        raise wrong(name, given[:60])
    return plain(uri)


def described(name: str, value: object, prefixes: Mapping[str, str]) -> Described | None:
    """The parameter, or None when the name is none of these."""
    if name.startswith("HASATTR_"):
        names = [s for v in strings(name, value) for s in _spellings(name, v, prefixes)]
        return Described(_field(name, name[8:], prefixes), names)
    for start in ("EQATTR_", "EQ_ATTR_"):
        if name.startswith(start):
            field, attribute = _parted(name, name[len(start) :])
            return Described(
                _field(name, field, prefixes),
                _spellings(name, attribute, prefixes),
                strings(name, value),
            )
    return None


def _parted(name: str, text: str) -> tuple[str, str]:
    """Field and attribute of `field_attribute`; both may hold underscores where they are URIs."""
    for field in FIELDS:
        if text.startswith(field + "_") and len(text) > len(field) + 1:
            return field, text[len(field) + 1 :]
    cuts = [n for n, c in enumerate(text) if c == "_" and ":" in text[:n] and n + 1 < len(text)]
    if not cuts:
        raise wrong(name, "EQATTR_<field>_<attribute>")
    whole = [n for n in cuts if ":" in text[n + 1 :]]
    cut = (whole or cuts)[-1]
    return text[:cut], text[cut + 1 :]
