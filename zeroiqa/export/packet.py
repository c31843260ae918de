"""XMP as text: properties are read and replaced in place, and every other byte stays what it is.

XMP is RDF in XML (ISO 16684-1): an rdf:RDF of rdf:Description elements, whose properties are attributes or
child elements. What reads and writes whole documents loses something of them: the white space of a packet,
the order of attributes, a declaration. So the parser only says where properties stand.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
LARGEST = 64 << 20
"""Bytes of a side-car; those with masks of edits have some megabytes."""
_KEPT = 4
"""Elements below rdf:RDF that are looked at: rdf:Description, a property, its rdf:Bag and the items there."""
_DEEPEST = 1000
_MOST = 100_000
"""Elements down to the items of properties."""
EMPTY = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n </rdf:RDF>\n</x:xmpmeta>\n'
).encode()
"""A side-car that says nothing."""

_ATTRIBUTE = re.compile(rb"\s+([^\s=]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_TAG = re.compile(rb"<([^\s/>]+)((?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(/?)>")
_DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.-]+)[\"']")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_QUOTES = {'"': "&quot;", "'": "&apos;"}


class NotUnderstoodError(ValueError):
    """The bytes are no XMP, or write a property in a form that is not changed; the message is a clause."""


class Name(NamedTuple):
    """A property."""

    namespace: str
    name: str
    prefix: str
    """What stands for the namespace where it is new to a side-car."""


class _Span(NamedTuple):
    start: int
    end: int


@dataclass
class _Element:
    """An element, and where it stands in the text."""

    name: tuple[str, str]
    """Namespace and name."""
    tag: _Span
    """Its start tag."""
    empty: bool
    """Whether that is all of it: <a/>."""
    scope: Mapping[str, str]
    """Prefix -> namespace."""
    attributes: dict[tuple[str, str], tuple[_Span, _Span]]
    """Name -> the attribute with the white space before it, and its value."""
    children: list[_Element] = field(default_factory=list)
    content_end: int = 0
    """Where its end tag begins."""
    end: int = 0


class Packet:
    """The properties of one side-car.

    Args:
        data: Its bytes.

    Raises:
        NotUnderstoodError: it is larger than `LARGEST`, not well-formed, no XMP, or declares a document type,
            without which no entity can be defined.
    """

    def __init__(self, data: bytes) -> None:
        self._mark, self._codec, self._text = _decoded(data)
        self._rdf = _parsed(self._text)
        self._descriptions = [each for each in self._rdf.children if each.name == (RDF, "Description")]

    def value(self, name: Name) -> str | None:
        """A simple property's value; None if there is none.

        Raises:
            NotUnderstoodError: it is not simple.
        """
        for found in self._attributes(name):
            return self._plain(found[1])
        for element in self._elements(name):
            return self._plain(_content(element)).strip()
        return None

    def items(self, name: Name) -> list[str]:
        """The items of a property that is a bag or a list; empty if there is none.

        Raises:
            NotUnderstoodError: it is neither.
        """
        return [self._plain(_content(item)).strip() for item in self._container(name)[1]]

    def merged(
        self,
        values: Mapping[Name, str | None],
        added: Mapping[Name, Sequence[str]] = {},
        removed: Mapping[Name, Sequence[str]] = {},
    ) -> bytes:
        """The side-car with other values; None takes a property away. What it has not yet, it has at its end.

        Args:
            values: Of simple properties.
            added: Items that bags get, unless they have them.
            removed: Items that they lose.

        Raises:
            NotUnderstoodError: one of the properties has another form.
        """
        edits: list[tuple[_Span, str]] = []
        new: dict[Name, str] = {}
        for name, value in values.items():
            found = list(self._replaced(name, value))
            edits += found
            if not found and value is not None:
                new[name] = value
        new_bags: dict[Name, Sequence[str]] = {}
        for name in {*added, *removed}:
            container, items = self._container(name)
            there = {self._plain(_content(item)).strip(): item for item in items}
            gone = (there[text] for text in removed.get(name, ()) if text in there)
            edits += [(self._with_space(_Span(item.tag.start, item.end)), "") for item in gone]
            if lacking := [text for text in added.get(name, ()) if text not in there]:
                if container is None:
                    new_bags[name] = lacking
                else:
                    edits.append(self._appended(container, lacking))
        if new or new_bags:
            edits.append(self._new_description(new, new_bags))
        return self._edited(edits)

    def _attributes(self, name: Name) -> Iterator[tuple[_Span, _Span]]:
        key = name[:2]
        return (each.attributes[key] for each in self._descriptions if key in each.attributes)

    def _elements(self, name: Name) -> Iterator[_Element]:
        for description in self._descriptions:
            yield from (each for each in description.children if each.name == name[:2])

    def _replaced(self, name: Name, value: str | None) -> Iterator[tuple[_Span, str]]:
        for whole, inner in self._attributes(name):
            if value is None:
                yield whole, ""
            else:
                yield inner, escape(value, _QUOTES)
        for element in self._elements(name):
            content = _content(element)
            if value is None:
                yield self._with_space(_Span(element.tag.start, element.end)), ""
            elif element.empty:
                tag = self._raw(element.tag)
                written = tag.removesuffix("/>").rstrip()
                yield element.tag, f"{written}>{escape(value)}</{_qualified(tag)}>"
            else:
                yield content, escape(value)

    def _container(self, name: Name) -> tuple[_Element | None, list[_Element]]:
        for element in self._elements(name):
            inner = element.children
            if len(inner) != 1 or inner[0].name not in ((RDF, "Bag"), (RDF, "Seq"), (RDF, "Alt")):
                raise NotUnderstoodError(f"its {name.prefix}:{name.name} is no list of items")
            return inner[0], [item for item in inner[0].children if item.name == (RDF, "li")]
        if any(True for _ in self._attributes(name)):
            raise NotUnderstoodError(f"its {name.prefix}:{name.name} is no list of items")
        return None, []

    def _appended(self, container: _Element, texts: Sequence[str]) -> tuple[_Span, str]:
        """The edit that puts items at the end of a container, indented as those that are there."""
        tag = self._raw(container.tag)
        prefix = _qualified(tag).rpartition(":")[0]
        li = f"{prefix}:li" if prefix else "li"
        last = container.children[-1] if container.children else container
        space = self._space_before(last.tag.start)
        items = "".join(f"{space}<{li}>{escape(text)}</{li}>" for text in texts)
        if container.empty:
            return container.tag, f"{tag.removesuffix('/>').rstrip()}>{items}</{_qualified(tag)}>"
        at = container.children[-1].end if container.children else container.tag.end
        return _Span(at, at), items

    def _new_description(
        self, values: Mapping[Name, str], bags: Mapping[Name, Sequence[str]]
    ) -> tuple[_Span, str]:
        """The edit that puts a further rdf:Description at the end; all are about the same resource."""
        last = self._descriptions[-1] if self._descriptions else None
        newline = "\r\n" if b"\r\n" in self._text else "\n"
        space = (self._space_before(last.tag.start) if last else "") or f"{newline}  "
        rdf = _qualified(self._raw(self._rdf.tag)).rpartition(":")[0] or "rdf"
        own = "" if self._rdf.scope.get(rdf) == RDF else f' xmlns:{rdf}="{RDF}"'
        written = {name.prefix: name.namespace for name in (*values, *bags)}
        lines = [f"<{rdf}:Description{own} {rdf}:about={self._about()}"]
        lines += [f'  xmlns:{prefix}="{namespace}"' for prefix, namespace in written.items()]
        lines += [f'  {name.prefix}:{name.name}="{escape(text, _QUOTES)}"' for name, text in values.items()]
        text = space + space.join(lines)
        for name, items in bags.items():
            inner = "".join(f"{space}   <{rdf}:li>{escape(item)}</{rdf}:li>" for item in items)
            bag = f"{space}  <{rdf}:Bag>{inner}{space}  </{rdf}:Bag>"
            text += f">{space} <{name.prefix}:{name.name}>{bag}{space} </{name.prefix}:{name.name}>"
        text += f"{space}</{rdf}:Description>" if bags else "/>"
        if self._rdf.empty:
            tag = self._raw(self._rdf.tag)
            opened = f"{tag.removesuffix('/>').rstrip()}>{text}{newline}</{_qualified(tag)}>"
            return self._rdf.tag, opened
        at = self._rdf.children[-1].end if self._rdf.children else self._rdf.tag.end
        return _Span(at, at), text

    def _about(self) -> str:
        """The quoted name of the resource that the side-car is of; mostly empty."""
        for description in self._descriptions:
            for key in ((RDF, "about"), ("", "about")):
                if key in description.attributes:
                    _, inner = description.attributes[key]
                    return self._raw(_Span(inner.start - 1, inner.end + 1))
        return '""'

    def _edited(self, edits: list[tuple[_Span, str]]) -> bytes:
        text = self._text
        for span, new in sorted(edits, reverse=True):
            text = text[: span.start] + new.encode() + text[span.end :]
        try:
            return self._mark + text.decode().encode(self._codec)
        except UnicodeEncodeError as error:
            raise NotUnderstoodError(f"its encoding {self._codec} lacks a character") from error

    def _raw(self, span: _Span) -> str:
        return self._text[span.start : span.end].decode()

    def _plain(self, span: _Span) -> str:
        return unescape(self._raw(span))

    def _space_before(self, start: int) -> str:
        before = self._text[:start]
        return before[len(before.rstrip(b" \t\r\n")) :].decode()

    def _with_space(self, span: _Span) -> _Span:
        return _Span(span.start - len(self._space_before(span.start).encode()), span.end)


def _content(element: _Element) -> _Span:
    """What stands in a simple element."""
    if element.children or any(name[0] == RDF for name in element.attributes):
        raise NotUnderstoodError(f"its {element.name[1]} has a structure")
    return _Span(element.tag.end, element.tag.end if element.empty else element.content_end)


def _qualified(tag: str) -> str:
    """The name in a start tag, with its prefix."""
    found = re.match(r"<([^\s/>]+)", tag)
    assert found is not None
    return found[1]


def _decoded(data: bytes) -> tuple[bytes, str, bytes]:
    """The byte order mark, the encoding, and the text behind the mark in UTF-8."""
    if len(data) > LARGEST:
        raise NotUnderstoodError(f"it is larger than {LARGEST >> 20} MiB")
    mark, codec = next(((mark, codec) for mark, codec in _MARKS if data.startswith(mark)), (b"", ""))
    if not mark:
        declared = _DECLARED.match(data)
        codec = (
            "utf-16-le"
            if data[:2] == b"<\0"
            else "utf-16-be"
            if data[:2] == b"\0<"
            else declared[1].decode()
            if declared
            else "utf-8"
        )
    try:
        return mark, codec, data[len(mark) :].decode(codec).encode()  # some give surrogates, which are none
    except (UnicodeError, LookupError) as error:
        raise NotUnderstoodError(f"its text is not {codec}") from error


def _parsed(text: bytes) -> _Element:
    """The first rdf:RDF of a document in UTF-8, with what is below it down to the items of a property."""
    reader = _Reader(text)
    try:
        reader.parser.Parse(text, True)
    except expat.ExpatError as error:
        raise NotUnderstoodError(f"it is not well-formed ({error})") from error
    if reader.rdf is None:
        raise NotUnderstoodError("it has no rdf:RDF")
    return reader.rdf


class _Reader:
    """Notes where the elements of the first rdf:RDF begin and end, down to the items of properties."""

    def __init__(self, text: bytes) -> None:
        self.rdf: _Element | None = None
        self._text = text
        self._open: list[_Element | None] = []
        self._top = 0
        self._left = _MOST
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, _name: str, _attributes: Any) -> None:
        if len(self._open) >= _DEEPEST:
            raise NotUnderstoodError(f"it is nested {_DEEPEST} deep")
        above = self._open[-1] if self._open else None
        inside = self.rdf is not None and not self.rdf.end
        if self._open and (above is None or (inside and len(self._open) >= self._top + _KEPT)):
            self._open.append(None)
            return
        self._left -= 1
        if self._left < 0:
            raise NotUnderstoodError(f"it has more than {_MOST:,} elements")
        element = self._element(above.scope if above else {"xml": "http://www.w3.org/XML/1998/namespace"})
        self._open.append(element)
        if inside and above is not None:
            above.children.append(element)
        elif self.rdf is None and element.name == (RDF, "RDF"):
            self.rdf, self._top = element, len(self._open)

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        if element is None:
            return
        element.content_end = self.parser.CurrentByteIndex
        element.end = element.tag.end if element.empty else self._text.index(b">", element.content_end) + 1

    def _element(self, above: Mapping[str, str]) -> _Element:
        tag = _TAG.match(self._text, self.parser.CurrentByteIndex)
        assert tag is not None, "the parser has seen a start tag here"
        raw = []
        for found in _ATTRIBUTE.finditer(self._text, *tag.span(2)):
            value = _Span(*found.span(2 if found[2] is not None else 3))
            raw.append((found[1].decode(), _Span(*found.span()), value))
        own = {
            name.removeprefix("xmlns").removeprefix(":"): self._text[value.start : value.end].decode()
            for name, _, value in raw
            if name == "xmlns" or name.startswith("xmlns:")
        }
        scope = {**above, **own} if own else above
        attributes = {_expanded(name, scope, ""): (whole, value) for name, whole, value in raw}
        name = _expanded(tag[1].decode(), scope, scope.get("", ""))
        return _Element(name, _Span(*tag.span()), bool(tag[3]), scope, attributes)


def _expanded(name: str, scope: Mapping[str, str], default: str) -> tuple[str, str]:
    prefix, colon, local = name.rpartition(":")
    return (scope.get(prefix, prefix) if colon else default, local)


def _refuse_doctype(*_: Any) -> None:
    raise NotUnderstoodError("it declares a document type")
