"""XMP edited in place: what is asked for changes, every other byte stays."""

from __future__ import annotations

import codecs
import xml.etree.ElementTree as ET
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.side_cars import ALL, DARKTABLE, DIGIKAM, IMMICH, LIGHTROOM, WINDOWS
from zeroiqa.export.packet import EMPTY, RDF, Name, NotUnderstoodError, Packet

RATING = Name("http://ns.adobe.com/xap/1.0/", "Rating", "xmp")
SCORE = Name("urn:x-test/", "Score", "own")
TEXT = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"])
SUBJECT = Name("http://purl.org/dc/elements/1.1/", "subject", "dc")


def packet(inner: str, outer: str = "") -> bytes:
    return f'<rdf:RDF xmlns:rdf="{RDF}" {outer}>{inner}</rdf:RDF>'.encode()


@pytest.mark.parametrize(
    ("there", "before", "after"),
    [
        (LIGHTROOM, b'   xmp:Rating="2"\n', b'   xmp:Rating="4"\n'),
        (DARKTABLE, b'xmp:Rating="0"', b'xmp:Rating="4"'),
        (DIGIKAM, b"<xmp:Rating>3<", b"<xmp:Rating>4<"),
        (IMMICH, b"<xap:Rating>5<", b"<xap:Rating>4<"),
    ],
    ids=ALL,
)
def test_a_rating_that_is_there_is_replaced_and_nothing_else(
    there: bytes, before: bytes, after: bytes
) -> None:
    assert there.count(before) == 1
    assert Packet(there).merged({RATING: "4"}) == there.replace(before, after)
    assert Packet(there.replace(before, after)).value(RATING) == "4"


@pytest.mark.parametrize("there", [*ALL.values(), EMPTY], ids=[*ALL, "empty"])
def test_what_is_new_is_one_block_at_the_end_about_the_same_resource(there: bytes) -> None:
    new = Packet(there).merged({SCORE: '<3> & "4"'})
    start = next(index for index, (one, other) in enumerate(zip(there, new, strict=False)) if one != other)
    block = new[start : start + len(new) - len(there)]
    assert new.replace(block, b"", 1) == there
    assert Packet(new).value(SCORE) == '<3> & "4"'
    abouts = {each.get(f"{{{RDF}}}about") for each in ET.fromstring(new).iter(f"{{{RDF}}}Description")}
    assert len(abouts) == 1  # Adobe's library refuses several
    assert Packet(new).merged({SCORE: '<3> & "4"'}) == new
    assert Packet(Packet(new).merged({SCORE: None})).value(SCORE) is None


@pytest.mark.parametrize(
    ("codec", "mark"),
    [
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-8", codecs.BOM_UTF8),
    ],
)
def test_encoding_mark_and_line_ends_stay(codec: str, mark: bytes) -> None:
    new = Packet(mark + WINDOWS.encode(codec)).merged({RATING: "3"})
    assert new.startswith(mark)
    text = new[len(mark) :].decode(codec)
    assert Packet(new).value(RATING) == "3"
    assert text.startswith(WINDOWS[: WINDOWS.index("</rdf:RDF>") - 2]) and text.endswith("</rdf:RDF>\r\n")
    assert text.count("\n") == text.count("\r\n")


def test_a_declared_encoding_is_read_and_written() -> None:
    there = b'<?xml version="1.0" encoding="iso-8859-1"?>' + packet(
        f'<rdf:Description xmlns:rdf="{RDF}" rdf:about="é"/>'
    ).decode().encode("latin-1")
    new = Packet(there).merged({RATING: "3"})
    assert new.decode("latin-1").count('rdf:about="é"') == 2


@pytest.mark.parametrize(
    ("inner", "value", "written"),
    [
        ('<rdf:Description a:Rating="1"/>', "1", '<rdf:Description a:Rating="4"/>'),
        ("<rdf:Description a:Rating='1'/>", "1", "<rdf:Description a:Rating='4'/>"),
        ("<rdf:Description><a:Rating/></rdf:Description>", "", None),
        ("<rdf:Description><a:Rating > 1 </a:Rating ></rdf:Description>", "1", None),
        (
            '<rdf:Description><Rating xmlns="http://ns.adobe.com/xap/1.0/">1</Rating></rdf:Description>',
            "1",
            None,
        ),
        ('<rdf:Description xmlns:a="urn:other" a:Rating="1"/>', None, None),
        ('<rdf:Description xmlns:a="urn:other"><a:Rating>1</a:Rating></rdf:Description>', None, None),
        ('<rdf:Description><s:x xmlns:s="u"><a:Rating>1</a:Rating></s:x></rdf:Description>', None, None),
        ("<!-- a:Rating='1' --><rdf:Description/>", None, None),
        ('<rdf:Description s:x="a:Rating=\'1\' >" xmlns:s="u"/>', None, None),
        ("", None, None),
    ],
)
def test_forms_of_a_property(inner: str, value: str | None, written: str | None) -> None:
    there = packet(inner, f'xmlns:a="{RATING.namespace}"')
    assert Packet(there).value(RATING) == value
    new = Packet(there).merged({RATING: "4"})
    assert Packet(new).value(RATING) == "4"
    ET.fromstring(new)
    assert written is None or new == there.replace(inner.encode(), written.encode())


def test_an_rdf_without_an_end_tag_gets_one() -> None:
    new = Packet(f'<r:RDF xmlns:r="{RDF}"/>'.encode()).merged({RATING: "1"})
    assert Packet(new).value(RATING) == "1"
    assert b"</r:RDF>" in new


def test_items_are_added_where_they_lack_and_taken_away() -> None:
    new = Packet(LIGHTROOM).merged({}, {SUBJECT: ["blurred", "dark & cold"]}, {SUBJECT: ["wedding", "none"]})
    assert Packet(new).items(SUBJECT) == ["blurred", "dark & cold"]
    expected = LIGHTROOM.replace(b"\n     <rdf:li>wedding</rdf:li>", b"")
    assert new == expected.replace(
        b"blurred</rdf:li>", b"blurred</rdf:li>\n     <rdf:li>dark &amp; cold</rdf:li>"
    )
    bags = (
        packet(
            f"<rdf:Description><d:subject>{bag}</d:subject></rdf:Description>",
            f'xmlns:d="{SUBJECT.namespace}"',
        )
        for bag in ("<rdf:Bag/>", "<rdf:Seq ></rdf:Seq>")
    )
    for there in (DARKTABLE, *bags):
        assert Packet(Packet(there).merged({}, {SUBJECT: ["a", "b"]})).items(SUBJECT) == ["a", "b"]


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (b"", "not well-formed"),
        (b"Rating=3", "not well-formed"),
        (LIGHTROOM[:-20], "not well-formed"),
        (b"<svg/>", "no rdf:RDF"),
        (LIGHTROOM + b"\0" * 20, "not well-formed"),
        (b"\xff\xfe<", "not utf-16-le"),
        (b'<?xml version="1.0" encoding="utf-8"?><a b="\xe9"/>', "not utf-8"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "not klingon"),
        (b'<?xml version="1.0" encoding="utf-7"?><a b="+2AA-"/>', "not utf-7"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "document type"),
        (b"<!DOCTYPE a><a/>", "document type"),
        (b"<a>" * 5000, "nested 1000 deep"),
        (packet("<rdf:Description/>" * 1000), "more than 1,000 elements"),
    ],
)
def test_what_is_no_side_car_is_refused(there: bytes, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeroiqa.export.packet._MOST", 1000)
    with pytest.raises(NotUnderstoodError, match=why):
        Packet(there)


@pytest.mark.parametrize(
    "inner",
    [
        "<a:Rating><rdf:Description/></a:Rating>",
        '<a:Rating rdf:parseType="Resource"><rdf:value>3</rdf:value></a:Rating>',
        '<a:Rating rdf:resource="http://example.org"/>',
    ],
)
def test_a_rating_with_a_structure_is_refused(inner: str) -> None:
    there = packet(f"<rdf:Description>{inner}</rdf:Description>", f'xmlns:a="{RATING.namespace}"')
    for ask in (lambda: Packet(there).value(RATING), lambda: Packet(there).merged({RATING: "1"})):
        with pytest.raises(NotUnderstoodError, match="Rating has a structure"):
            ask()


@given(
    st.dictionaries(st.sampled_from("abcd"), st.none() | st.text(TEXT), min_size=1),
    st.sampled_from([*ALL.values(), EMPTY]),
)
def test_whatever_is_written_is_read_back(values: Mapping[str, str | None], there: bytes) -> None:
    named = {Name("urn:x-test/", key, "t"): value for key, value in values.items()}
    first = Packet(there).merged(named)
    again = Packet(first).merged(dict(reversed(named.items())))
    assert again == first
    for name, value in named.items():
        read = Packet(first).value(name)
        assert read == value
    assert Packet(first).merged(dict.fromkeys(named)).replace(b"\n", b"").count(b"t:") == there.count(b"t:")
