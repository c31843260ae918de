"""What a page holds: rows, details, pictures and links, before any browser reads them."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import markupsafe
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zeroiqa import rle
from zeroiqa.images.decode import DecodePolicy
from zeroiqa.images.decoder import Decoder
from zeroiqa.images.ref import ImageRef
from zeroiqa.report.details import apportioned, outline
from zeroiqa.report.page import embedded, is_ours, rendered
from zeroiqa.report.pictures import MOST_PICTURES, Picture, Studio, coded, sizes
from zeroiqa.report.places import link
from zeroiqa.report.rows import decimals
from zeroiqa.report.shown_regions import worst_and_best

SHARES = st.lists(st.floats(0, 7), min_size=1, max_size=40)


@given(SHARES, st.integers(0, 4))
def test_shares_as_shown_add_up_to_the_score_as_shown(shares: list[float], digits: int) -> None:
    total = math.fsum(shares)
    shown = apportioned(shares, total, digits)
    assert f"{math.fsum(shown):.{digits}f}" in {f"{total:.{digits}f}", f"{total + 1e-9:.{digits}f}"}
    assert all(abs(a - b) < 10**-digits + 1e-9 for a, b in zip(shown, shares, strict=True))


@given(st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.floats(allow_nan=False)))
def test_data_in_a_page_are_what_they_were_and_end_no_script(value: object) -> None:
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if math.isfinite(each)}
    text = str(embedded(value))
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029\u202e") & set(text)


@pytest.mark.parametrize(
    "hostile", ["</script><script>alert(1)</script>", "<!--<script>", "{{ 7 * 7 }}", "]]>"]
)
def test_names_are_no_markup_in_the_head_of_a_page(hostile: str) -> None:
    head = {
        "title": hostile,
        "notes": [hostile],
        "runs": [],
        "scatters": [{"title": hostile, "about": hostile}],
    }
    text = "".join(rendered(head, {"paths": [hostile]}, [("image-0", hostile)]))
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not any(name.startswith("on") for name, _ in attributes)

    Tags().feed(text)
    assert tags.count("script") == 3
    assert is_ours(text.encode()) and not is_ours(b"<!doctype html><title>zeroiqa report</title>")
    assert markupsafe.escape(hostile) in text  # and no template either


def test_all_pictures_of_a_page_fit_into_what_they_have_together() -> None:
    for images in (1, 7, 50, 100, 400, 2000, MOST_PICTURES):
        found = sizes(images)
        assert images * (found.thumbnail_bytes + found.preview_bytes) <= 40_000_000
        assert found.thumbnail >= 96 and found.preview in range(0, 1281)
    assert sizes(20).preview == 1280 and sizes(2000).preview == 0
    assert sizes(2000).thumbnail > sizes(9000).thumbnail


@pytest.mark.parametrize("most", [500, 3000, 50_000])
def test_a_picture_takes_no_more_bytes_than_it_has(most: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    assert len(base64.b64decode(coded(noise, most))) <= most


def test_pictures_are_upright_on_their_background_and_a_word_stands_where_there_is_none(
    tmp_path: Path,
) -> None:
    upper = Image.new("RGB", (640, 320), "black")
    upper.paste("red", (0, 0, 640, 160))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees: the upper half is on the right
    upper.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    (tmp_path / "text.jpg").write_text("no picture")
    size = (tmp_path / "clear.png").stat().st_size
    studio = Studio(Decoder(), DecodePolicy((0, 255, 0), min_side=1), sizes(100))

    def made(name: str, **known: int) -> Picture:
        return studio.picture(ImageRef(str(tmp_path / name), **known))

    def pixels(picture: Picture) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.thumbnail))).convert("RGB"))

    turned = pixels(made("turned.jpg"))
    assert turned.shape[0] > turned.shape[1]
    assert turned[200, -20, 0] > 200 and turned[200, 20, 0] < 50
    assert pixels(made("clear.png"))[30, 30].tolist() == pytest.approx([0, 255, 0], abs=6)
    assert made("no.jpg").why_not == "not found"
    assert made("clear.png", bytes=size + 1).why_not == "changed"
    assert made("text.jpg").why_not == "not readable"
    assert studio.picture(None).why_not == "gone"


def test_an_outline_goes_around_the_mask_and_its_point_is_inside(tmp_path: Path) -> None:
    mask = np.zeros((50, 100), bool)
    mask[10:40, 20:30] = mask[30:40, 20:90] = True
    found = outline(rle.encode(mask), (500, 1000))
    x, y = found["at"]
    assert mask[int(y // 10), int(x // 10)]
    numbers = [float(each) for each in re.findall(r"\d+", found["outline"])]
    ends = (min(numbers[::2]), max(numbers[::2]), min(numbers[1::2]), max(numbers[1::2]))
    assert ends == pytest.approx((200, 900, 100, 400), abs=2)


def test_an_outline_of_a_coarse_mask_is_that_of_its_cells() -> None:
    found = outline(rle.encode(np.array([[True, False], [False, False]])), (100, 200))
    assert {int(each) for each in re.findall(r"\d+", found["outline"])} == {0, 50, 100}


@pytest.mark.parametrize(
    "name", ["javascript:alert(1).jpg", "a b#c?d%20.jpg", '"><img src=x>.jpg', "\udcff\u202e.jpg", "\n.jpg"]
)
def test_a_link_leads_to_the_file_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    address = link(ImageRef(str(tmp_path / "photos" / name)), tmp_path / "pages" / "report.html")
    assert address is not None and address.startswith("./../photos/") and address.isascii()
    assert not set(address) & set(" \"'<>\n#?:")
    assert unquote_to_bytes(address).rsplit(b"/", 1)[1] == os.fsencode(name)


def test_what_cannot_be_opened_has_no_link(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    refs = [
        ImageRef("s3://bucket/a.jpg"),
        ImageRef("a.tar/b.jpg", archive="a.tar"),
        ImageRef("x", content=b"y"),
    ]
    assert [link(ref, page) for ref in refs] == [None] * 3


def test_the_worst_and_the_best_by_the_direction_of_the_scores() -> None:
    scores = [3.0, None, 1.0, 5.0, 2.0]
    assert worst_and_best(scores, 1, False) == [2, 3]
    assert worst_and_best(scores, 9, True) == [0, 2, 3, 4]


def test_decimals_tell_values_apart() -> None:
    assert [decimals(values) for values in ([1.0, 640.0], [1.5, 6.0], [0.5], [0.002, 0.01], [], [None])] == [
        0,
        2,
        3,
        4,
        0,
        0,
    ]
