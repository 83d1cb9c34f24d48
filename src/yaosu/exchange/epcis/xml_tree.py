"""A small XML tree with expat: no document type with content, no entities, bounded in every direction.

A bare `<!DOCTYPE name>` is let through, since documents in the field carry it; anything in it (subset, system or public
identifier, entity) is refused before it can do anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from yaosu.errors import YaosuError
from yaosu.exchange.epcis.model import DEPTH_MAX
from yaosu.exchange.epcis.reading_json import refused

ELEMENTS_MAX = 4_000_000
ATTRIBUTES_MAX = 64
TEXT_MAX = 100_000
"""Characters in one element."""


@dataclass(slots=True)
class Node:
    """One element. `space` and `name` are its qualified name; attributes are (space, name) → value."""

    space: str
    name: str
    attributes: dict[tuple[str, str], str]
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def child(self, name: str) -> Node | None:
        """The first child of that local name, or None."""
        return next((c for c in self.children if c.name == name), None)

    def attribute(self, name: str) -> str | None:
        """The attribute of that name without a namespace, or None."""
        return self.attributes.get(("", name))


def _split(name: str) -> tuple[str, str]:
    space, bar, local = name.rpartition("}")
    return (space, local) if bar else ("", name)


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self.spaces: dict[str, str] = {}
        """Prefix → namespace, as first declared."""
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._count = 0
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartNamespaceDeclHandler = self._space
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        self.parser = parser

    def _where(self) -> str:
        return f"line {self.parser.CurrentLineNumber}"

    def _doctype(self, name: str, system: str | None, public: str | None, subset: int) -> None:
        if system or public or subset:
            raise refused("epcis_xml_doctype", self._where())

    def _entity(self, *_: object) -> None:
        raise refused("epcis_xml_doctype", self._where())

    def _space(self, prefix: str | None, uri: str | None) -> None:
        if prefix and uri:
            self.spaces.setdefault(prefix, uri)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX:
            raise refused("epcis_too_large", self._where(), limit=ELEMENTS_MAX)
        if len(self._open) >= DEPTH_MAX:
            raise refused("epcis_too_deep", self._where(), limit=DEPTH_MAX)
        if len(attributes) > ATTRIBUTES_MAX:
            raise refused("epcis_too_large", self._where(), limit=ATTRIBUTES_MAX)
        node = Node(*_split(name), {_split(k): v for k, v in attributes.items()})
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def _end(self, _: str) -> None:
        node = self._open.pop()
        node.text = "".join(self._texts.pop()).strip()
        if len(node.text) > TEXT_MAX:
            raise refused("epcis_too_large", self._where(), limit=TEXT_MAX)

    def _data(self, text: str) -> None:
        self._texts[-1].append(text)


def parse(body: bytes) -> tuple[Node, dict[str, str]]:
    """The root element and the prefixes declared. Refused with the line of the mistake."""
    builder = _Builder()
    try:
        builder.parser.Parse(body, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise refused("epcis_xml_syntax", f"line {error.lineno}", reason=reason) from None
    except (ValueError, LookupError) as error:
        raise refused("epcis_xml_syntax", "line 1", reason=str(error)[:100]) from None
    if builder.root is None:
        raise YaosuError("epcis_document_invalid", {"where": ""})
    return builder.root, builder.spaces
