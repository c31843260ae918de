"""Which picture of a TIFF file is the photo, and how little of a file that is made to be slow is read."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image as PilImage

from tests.imagefiles import chunk, joined, noise, png, quadrants, tiff, tiff_picture
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import decode
from zeroiqa.images.formats.tiff_directories import exif_orientation

PHOTO = noise(70, 90, 3)
SEVERAL = "the file holds several frames or pages; the first one was used"
REDUCED = {254: (1,)}


def page(samples: np.ndarray, tags: dict[int, tuple[int, ...]] | None = None) -> bytes:
    return tiff_picture(samples, 2, tags=tags)


thumbnail = page(PHOTO[::4, ::4], REDUCED)
photo = page(PHOTO)

PAGES = {
    "photo": (photo, False),
    "thumbnail, photo": (joined(thumbnail, photo), False),
    "two thumbnails, photo": (joined(thumbnail, page(PHOTO[::2, ::2], REDUCED), photo), False),
    "thumbnail by the old tag": (joined(page(PHOTO[::4, ::4], {255: (2,)}), photo), False),
    "mask, photo": (joined(page(PHOTO, {254: (4,)}), photo), False),
    "photo, thumbnail": (joined(photo, thumbnail), False),
    "photo, another": (joined(photo, page(noise(70, 90, 3, seed=1))), True),
    "photo below a thumbnail": (
        joined(page(PHOTO[::4, ::4], {**REDUCED, 330: (1,)}), photo, below={0: 1}),
        False,
    ),
    "thumbnail below the photo": (joined(page(PHOTO, {330: (1,)}), thumbnail, below={0: 1}), False),
    "only marked as thumbnails": (joined(thumbnail, page(PHOTO, REDUCED)), False),
}


@pytest.mark.parametrize("case", PAGES)
def test_first_picture_that_is_no_thumbnail_is_the_photo(case):
    data, several = PAGES[case]
    image = decode(data)
    assert np.array_equal(image.pixels, PHOTO)
    assert image.warnings == ((SEVERAL,) if several else ())


def test_orientation_of_the_first_directory_counts_for_a_photo_without_one():
    stored = np.ascontiguousarray(np.rot90(quadrants()))
    first = page(stored[::2, ::2], {**REDUCED, 274: (6,)})
    assert np.array_equal(decode(joined(first, page(stored))).pixels, quadrants())
    assert np.array_equal(decode(joined(first, page(quadrants(), {274: (1,)}))).pixels, quadrants())


def test_photo_that_cannot_be_reached_is_an_error_and_not_its_thumbnail():
    data = bytearray(joined(thumbnail, photo))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, len(data) + 100)
    with pytest.raises(ImageError, match="a directory of tags lies outside of the file"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({50706: (1,)}, "DNG"),
        ({262: (32803,)}, "CFA"),
        ({33422: (1,)}, "CFA"),
        ({262: (34892,)}, "linear raw"),
    ],
)
def test_camera_raw_file_is_told_by_the_tags_of_any_directory(tags, kind):
    sensor = page(PHOTO, tags)
    for data in (sensor, joined(thumbnail, sensor), joined(photo, sensor)):
        with pytest.raises(ImageError, match=rf"is a camera raw file \({kind}\), which is not read"):
            decode(data, name="photo.tif")
    below = joined(page(PHOTO[::4, ::4], {**REDUCED, 330: (1,)}), sensor, below={0: 1})
    with pytest.raises(ImageError, match="camera raw"):
        decode(below)


@pytest.mark.parametrize(
    "name",
    ["a.3fr", "b.IIQ", "c.fff", "d.erf", "e.kdc", "f.mos", "g.gpr", "h.nef", "i.DNG", "j.x3f", "k.rwl"],
)
def test_camera_raw_file_is_told_by_its_name(name):
    with pytest.raises(ImageError, match="is a camera raw file, which is not read; convert it"):
        decode(photo, name=name)


@pytest.mark.parametrize("tag", [270, 34665, 34853, 40965, 33432, 700, 37500, 34675, 65000])
@pytest.mark.parametrize("where", [8, 1 << 31])
def test_no_tag_that_decides_no_pixel_decides_whether_there_is_a_score(tag, where, capfd):
    """The tag says that 1000 values of 4 bytes are at `where`: over the pixels, or beyond the end."""
    data = bytearray(page(PHOTO, {tag: (0x1FFFF,)}))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entry = next(
        at
        for at in range(start + 2, start + 2 + 12 * count, 12)
        if struct.unpack_from("<H", data, at) == (tag,)
    )
    struct.pack_into("<HHII", data, entry, tag, 4, 1000, where)
    assert np.array_equal(decode(bytes(data)).pixels, PHOTO)
    assert capfd.readouterr().err == ""


def entangled(entries: int, tag: int) -> bytes:
    """A directory whose every entry leads to a second one, whose every entry leads there as well."""
    after = 8 + 2 + 12 * entries + 4
    directory = struct.pack("<H", entries) + struct.pack("<HHII", tag, 4, 1, after) * entries + bytes(4)
    return b"II*\0\x08\0\0\0" + directory + directory


@pytest.mark.parametrize("tag", [330, 34665, 34853, 40965])
def test_directories_that_lead_to_each_other_are_read_once(tag):
    data = entangled(65000, tag)
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(data)
    assert exif_orientation(data) == 1
    picture = png(PHOTO, 2, before=chunk(b"eXIf", data))
    assert np.array_equal(decode(picture).pixels, PHOTO)


def test_directory_that_follows_itself_is_read_once():
    data = bytearray(thumbnail)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    assert np.array_equal(decode(bytes(data)).pixels, PHOTO[::4, ::4])


def test_many_overlapping_directories_are_not_all_read():
    """Each two bytes of the file begin a directory of 4,000 tags: together 100 million."""
    number = 25_000
    offsets = tuple(200_000 + 2 * k for k in range(number))
    body = struct.pack("<H", 4000) * 150_000
    data = tiff(np.frombuffer(bytes(200_000) + body, np.uint8)[None], "<", {330: offsets, 254: (1,)})
    with pytest.raises(ImageError):
        decode(data)


def test_orientation_before_the_damage_of_an_exif_block_counts():
    exif = PilImage.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 100
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert exif_orientation(block) == exif_orientation(b"Exif\0\0" + block) == 6
    assert exif_orientation(block[:40]) == 6
    assert exif_orientation(block[:12]) == exif_orientation(b"") == exif_orientation(b"II*\0") == 1
