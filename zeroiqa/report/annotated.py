"""One picture of an image and of its score: the regions outlined, each with its number, level and share.

As in the paper's Fig. 6 the score stands in the upper left corner. A label never covers another one. Where
not all find a place beside what they name, they get shorter, and what they leave out is listed below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from zeroiqa.images.opencv import cv2
from zeroiqa.report.details import apportioned
from zeroiqa.report.labels import Box, Wanted, distance, place
from zeroiqa.report.overlay import colour_of, resized_mask

if TYPE_CHECKING:
    from zeroiqa.results import ImageScore
    from zeroiqa.types import Image, Mask, Pixels, Region

Colour: TypeAlias = tuple[int, int, int]
LONGEST = 1024
"""Pixels of the longer side of a picture."""
_LEAST = 512  # of a small picture, which is enlarged by repeating its pixels
_LEAST_CANVAS = (320, 200)  # width, height; a narrow picture stands in the middle of it
_NARROW = 80  # pixels of the shorter side; labels stand beside such a picture
_FONTS = (13, 18)  # pixels, of a small and of a large picture
_TINT = 0.22
_GROUND: Colour = (34, 34, 34)
_REST: Colour = (190, 190, 190)
_PAPER = (0, 0, 0, 205)  # under letters
_FAR = 0.12
"""How far from what it names a label may stand, as a share of the canvas's diagonal."""
_PAD = 4


class _Note(NamedTuple):
    """What is said of one region."""

    number: int
    level: str
    area: str
    share: str
    """Of the score; empty where no region has any."""
    colour: Colour

    def text(self, detail: int) -> str:
        """From all (2) to the number alone (0)."""
        lines = (
            f"{self.number}",
            f"{self.number}  {self.level}",
            f"{self.number}  {self.level}\n{self._size}",
        )
        return lines[detail]

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.number}  {self.level}  {self._size}"

    @property
    def _size(self) -> str:
        return f"{self.area}  {self.share}" if self.share else self.area


@dataclass(frozen=True)
class _Sheet:
    """A canvas with the picture on it, and what is drawn with."""

    picture: PIL.Image.Image
    at: Box
    """Where on it the image is."""
    font: PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont

    def size(self, text: str) -> tuple[int, int]:
        """Of a label, its paper included."""
        left, top, right, bottom = _ruler().multiline_textbbox((0, 0), text, font=self.font, spacing=2)
        return math.ceil(right - left) + 2 * _PAD, math.ceil(bottom - top) + 2 * _PAD

    def write(self, box: Box, text: str, border: Colour | None) -> None:
        """Text on its paper."""
        paper = PIL.Image.new("RGBA", (box.x1 - box.x0, box.y1 - box.y0), _PAPER)
        self.picture.paste(paper, box[:2], paper)
        draw = PIL.ImageDraw.Draw(self.picture)
        if border is not None:
            draw.rectangle((box.x0, box.y0, box.x1 - 1, box.y1 - 1), outline=border)
        left, top, _, _ = draw.multiline_textbbox((0, 0), text, font=self.font, spacing=2)
        where = (box.x0 + _PAD - left, box.y0 + _PAD - top)
        draw.multiline_text(where, text, fill="white", font=self.font, spacing=2)

    def point(self, box: Box, anchor: tuple[int, int], colour: Colour) -> None:
        """A line from a label to what it names, where it does not stand on it."""
        if distance(box, anchor) == 0:
            return
        end = (min(max(anchor[0], box.x0), box.x1 - 1), min(max(anchor[1], box.y0), box.y1 - 1))
        draw = PIL.ImageDraw.Draw(self.picture)
        draw.line((anchor, end), fill="black", width=3)
        draw.line((anchor, end), fill=colour, width=1)
        draw.ellipse(
            (anchor[0] - 2, anchor[1] - 2, anchor[0] + 2, anchor[1] + 2), fill=colour, outline="black"
        )


def annotated(image: Image, score: ImageScore, *, longest: int = LONGEST) -> PIL.Image.Image:
    """The image with its regions, and what each adds to the score that leads.

    Args:
        image: The image that was scored.
        score: Its result; regions without masks are drawn as boxes.
        longest: The longer side in pixels where the image is larger; small ones are enlarged.
    """
    shown = _size(image.size, longest)
    masks = [_mask(region, image.size, shown) for region in score.regions]
    notes = _notes(score)
    sheet = _sheet(_outlined(image, score.regions, masks, notes, shown))
    head = _headline(score)
    corner = Box(0, 0, *sheet.size(head))
    anchors = _anchors(masks, sheet.at)
    order = sorted(range(len(notes)), key=lambda index: score.regions[index].area)
    detail, boxes = _places(
        sheet, [notes[index] for index in order], [anchors[index] for index in order], corner
    )
    for index, box in zip(order, boxes, strict=True):
        if box is not None:
            sheet.point(box, anchors[index], notes[index].colour)
    for index, box in zip(order, boxes, strict=True):
        if box is not None:
            sheet.write(box, notes[index].text(detail), notes[index].colour)
    sheet.write(corner, head, None)
    return sheet.picture if detail == 2 else _with_list(sheet, notes)


def _size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height of the picture of an image of a size (height, width)."""
    height, width = size
    longer = max(height, width)
    scale = longest / longer if longer > longest else max(1, min(_LEAST, longest) // longer)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _mask(region: Region, size: tuple[int, int], shown: tuple[int, int]) -> Mask:
    """The region's mask in the picture; its box, where it has no mask."""
    if region.mask is not None:
        return resized_mask(region, shown)
    mask = np.zeros(shown[::-1], dtype=bool)
    across, down = shown[0] / size[1], shown[1] / size[0]
    x0, y0, x1, y1 = region.box
    mask[math.floor(y0 * down) : math.ceil(y1 * down), math.floor(x0 * across) : math.ceil(x1 * across)] = (
        True
    )
    return mask


def _notes(score: ImageScore) -> list[_Note]:
    """What is said of each region: its share of the score is rounded as those of tables are."""
    leading = score.leading
    if leading is None:
        return []
    shares = (leading.global_contribution, *leading.region_contributions)
    rounded = apportioned(shares, leading.score, 2)[1:]
    return [
        _Note(
            number,
            "no answer" if level is None else f"{level:.2f}",
            f"{region.area:.0%}" if region.area >= 0.005 else "<1%",
            f"{share:+.2f}" if level is not None and any(leading.region_contributions) else "",
            colour_of(number - 1) if region.kind == "object" else _REST,
        )
        for number, (region, level, share) in enumerate(
            zip(score.regions, leading.region_levels, rounded, strict=True), start=1
        )
    ]


def _headline(score: ImageScore) -> str:
    """The score, and what of it is the whole image's."""
    leading = score.leading
    if leading is None:
        return "no score"
    whole = f"whole {leading.s_global:.2f}"
    if any(leading.region_contributions):
        whole += f"  {leading.global_contribution:+.2f}"
    return f"score {leading.score:.2f}\n{whole}"


def _outlined(
    image: Image,
    regions: Sequence[Region],
    masks: Sequence[Mask],
    notes: Sequence[_Note],
    shown: tuple[int, int],
) -> Pixels:
    """The image in its size on the sheet, its objects tinted and outlined; small ones lie on large ones."""
    larger = shown[0] > image.size[1] or shown[1] > image.size[0]
    resized = cv2.resize(image.pixels, shown, interpolation=cv2.INTER_NEAREST if larger else cv2.INTER_AREA)
    painted = resized.astype(np.float32)
    order = sorted(
        (index for index, region in enumerate(regions) if region.kind == "object" and index < len(notes)),
        key=lambda index: -regions[index].area,
    )
    for index in order:
        painted[masks[index]] += _TINT * (np.array(notes[index].colour, np.float32) - painted[masks[index]])
    pixels = np.ascontiguousarray(painted.astype(np.uint8))
    for index in order:
        contours, _ = cv2.findContours(masks[index].view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(pixels, contours, -1, (0, 0, 0), 4)
        cv2.drawContours(pixels, contours, -1, notes[index].colour, 2)
    return pixels


def _sheet(pixels: Pixels) -> _Sheet:
    """The picture on its canvas, which is larger where it is narrow."""
    height, width = pixels.shape[:2]
    canvas = max(width, _LEAST_CANVAS[0]), max(height, _LEAST_CANVAS[1])
    x, y = (canvas[0] - width) // 2, (canvas[1] - height) // 2
    picture = PIL.Image.new("RGB", canvas, _GROUND)
    picture.paste(PIL.Image.fromarray(pixels), (x, y))
    small, large = _FONTS
    font = PIL.ImageFont.load_default(size=min(large, max(small, round(max(canvas) / 60))))
    return _Sheet(picture, Box(x, y, x + width, y + height), font)


def _anchors(masks: Sequence[Mask], at: Box) -> list[tuple[int, int]]:
    """For each region x, y of the pixel that lies deepest in what smaller ones leave of it."""
    seen = np.full((at.y1 - at.y0, at.x1 - at.x0), -1)
    for index in sorted(range(len(masks)), key=lambda index: -np.count_nonzero(masks[index])):
        seen[masks[index]] = index
    anchors = []
    for index, mask in enumerate(masks):
        visible = seen == index
        inside = np.pad((visible if visible.any() else mask).view(np.uint8), 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(np.argmax(depth), depth.shape)
        anchors.append((int(x) + at.x0, int(y) + at.y0))
    return anchors


def _places(
    sheet: _Sheet, notes: Sequence[_Note], anchors: Sequence[tuple[int, int]], corner: Box
) -> tuple[int, list[Box | None]]:
    """How much the labels say, and where they stand: all of it where that stays near what is named."""
    within = Box(0, 0, *sheet.picture.size)
    most = _FAR * math.hypot(*sheet.picture.size)
    narrow = min(sheet.at.x1 - sheet.at.x0, sheet.at.y1 - sheet.at.y0) < _NARROW
    taken = [corner, sheet.at] if narrow else [corner]
    for detail in (2, 1, 0):
        wanted = [
            Wanted(anchor, sheet.size(note.text(detail))) for note, anchor in zip(notes, anchors, strict=True)
        ]
        boxes: list[Box | None] = []
        for label, box in zip(wanted, place(wanted, within, taken), strict=True):
            if detail and (box is None or distance(box, label.anchor) > most):
                break
            boxes.append(box)
        else:
            return detail, boxes
    raise AssertionError("numbers alone stand wherever there is room")


def _with_list(sheet: _Sheet, notes: Sequence[_Note]) -> PIL.Image.Image:
    """The picture, and below it one line on each region, in as many columns as there is room for."""
    sizes = [sheet.size(note.line) for note in notes]
    wide, high = max(width for width, _ in sizes) + 8, max(height for _, height in sizes)
    width, height = sheet.picture.size
    columns = max(1, width // wide)
    rows = math.ceil(len(notes) / columns)
    picture = PIL.Image.new("RGB", (max(width, wide), height + rows * high + 2 * _PAD), _GROUND)
    picture.paste(sheet.picture, (0, 0))
    listed = _Sheet(picture, sheet.at, sheet.font)
    draw = PIL.ImageDraw.Draw(picture)
    for at, note in enumerate(notes):
        x, y = wide * (at // rows), height + _PAD + high * (at % rows)
        draw.rectangle((x + 1, y + 2, x + 5, y + high - 3), fill=note.colour)
        listed.write(Box(x + 7, y, x + 7 + sizes[at][0], y + high), note.line, None)
    return picture


def _ruler() -> PIL.ImageDraw.ImageDraw:
    return PIL.ImageDraw.Draw(PIL.Image.new("RGB", (1, 1)))
