"""Arrays, tensors and open files in memory: one stated rule, and nothing is guessed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

import zeroiqa
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.arrays import samples_of
from zeroiqa.samples import folder

PHOTO = folder() / "cat.jpg"
RGB = np.asarray(PilImage.open(PHOTO).convert("RGB"))
SCORE = zeroiqa.score(RGB).score
GREY = RGB[..., 1]

SAME = {
    "bytes": RGB,
    "float32": RGB.astype(np.float32) / 255,
    "float64": RGB / 255,
    "float16": (RGB / 255).astype(np.float16),
    "uint16": RGB.astype(np.uint16) * 257,
    "big-endian": (RGB.astype(np.uint16) * 257).astype(">u2"),
    "reversed twice": RGB[:, ::-1][:, ::-1],
    "not contiguous": np.asfortranarray(RGB),
    "tensor": torch.from_numpy(RGB.copy()).permute(2, 0, 1),
    "tensor of floats": torch.from_numpy(RGB.copy()).permute(2, 0, 1) / 255,
    "tensor of float64": torch.from_numpy(RGB / 255).permute(2, 0, 1),
    "tensor of float16": (torch.from_numpy(RGB / 255).permute(2, 0, 1)).half(),
    "tensor of bfloat16": (torch.from_numpy(RGB / 255).permute(2, 0, 1)).bfloat16(),
    "batch of one": torch.from_numpy(RGB.copy()).permute(2, 0, 1)[None] / 255,
    "needs a gradient": (torch.from_numpy(RGB / 255).permute(2, 0, 1)).requires_grad_(),
    "grey and all": np.concatenate([RGB, np.full((*GREY.shape, 1), 255, np.uint8)], axis=2),
}


@pytest.mark.parametrize("kind", SAME)
def test_one_picture_has_one_score_in_whatever_form(kind: str) -> None:
    assert zeroiqa.score(SAME[kind]).score == SCORE


def test_grey_is_taken_with_and_without_its_axis() -> None:
    expected = zeroiqa.score(np.stack([GREY] * 3, axis=2)).score
    for each in (GREY, GREY[..., None], torch.from_numpy(GREY.copy()), torch.from_numpy(GREY.copy())[None]):
        assert zeroiqa.score(each).score == expected


def test_read_only_arrays_are_left_alone() -> None:
    array = RGB / 255
    array.flags.writeable = False
    before = array.copy()
    assert zeroiqa.score(array).score == SCORE
    assert np.array_equal(array, before)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([np.float16, np.float32, np.float64]), st.integers(0, 2**32 - 1))
def test_a_byte_over_255_is_that_byte_again(kind: Any, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(samples_of((pixels / 255).astype(kind), "x"), pixels)
    tensor = torch.from_numpy((pixels / 255).astype(kind)).permute(2, 0, 1)
    assert np.array_equal(samples_of(tensor, "x"), pixels)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.zeros((3, 64, 64), np.uint8), r"shape \(3, 64, 64\).* give array.transpose\(1, 2, 0\)"),
        (np.zeros((64, 64, 5), np.uint8), r"shape \(64, 64, 5\)"),
        (np.zeros((2, 64, 64, 3), np.uint8), "each image of a batch on its own"),
        (np.zeros(64, np.uint8), r"shape \(64,\)"),
        (np.zeros((), np.uint8), r"shape \(\)"),
        (np.zeros((0, 0, 3), np.float32), "pixels"),
        (torch.zeros(64, 64, 3), r"give tensor.permute\(2, 0, 1\)"),
        (torch.zeros(2, 3, 64, 64), "each image of a batch on its own"),
        (torch.zeros(5, 64, 64), r"shape \(5, 64, 64\)"),
        (torch.zeros(64), r"shape \(64,\)"),
        (RGB.astype(np.float32), "samples from 0 to 218, .* divide them by 255"),
        (torch.from_numpy(RGB.copy()).permute(2, 0, 1).float(), "divide them by 255"),
        (RGB / 127.5 - 1, "samples from -1 to 0.7098.*, .* undo the normalisation"),
        (np.full((64, 64), np.nan), "no finite numbers"),
        (np.full((64, 64), np.inf), "no finite numbers"),
        (RGB.astype(np.int64), "type int64, whose range is not known; convert them to uint8"),
        (RGB.astype(np.int8), "type int8"),
        (RGB.astype(np.uint32), "type uint32"),
        (RGB.astype(np.complex64), "type complex64"),
        (RGB.astype(object), "type object"),
        (torch.from_numpy(RGB.astype(np.int64)).permute(2, 0, 1), "type int64"),
    ],
)
def test_what_has_no_known_layout_is_refused_in_one_sentence(value: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence) as caught:
        zeroiqa.score(value)
    assert str(caught.value).count("; ") <= 1 and "\n" not in str(caught.value)


def test_open_files_and_bytes_are_read_from_where_they_stand(tmp_path: Path) -> None:
    content = PHOTO.read_bytes()
    expected = zeroiqa.score(PHOTO).score
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat.jpg", content)
    behind = io.BytesIO(b"header" + content)
    behind.seek(6)
    with PHOTO.open("rb") as file, zipfile.ZipFile(tmp_path / "a.zip").open("cat.jpg") as member:
        found = [*(zeroiqa.score(each) for each in (file, member, behind, io.BytesIO(content)))]
    assert found[0].path == str(PHOTO)
    found += [zeroiqa.score(each) for each in (content, bytearray(content), memoryview(content))]
    assert {each.score for each in found} == {expected}
    empty = io.BytesIO(content)
    empty.read()
    with pytest.raises(ImageError, match="nothing to read where it stands; seek to its beginning"):
        zeroiqa.score(empty)
    with pytest.raises(ImageError, match='is open as text; open it with mode "rb"'):
        zeroiqa.score(io.StringIO("text"))


def test_the_image_of_the_hub_is_taken(tmp_path: Path) -> None:
    expected = zeroiqa.score(PHOTO).score
    inside = zeroiqa.score({"bytes": PHOTO.read_bytes(), "path": "a.jpg"})
    assert (inside.score, inside.path) == (expected, "a.jpg")
    assert zeroiqa.score({"bytes": None, "path": str(PHOTO)}).score == expected
    with pytest.raises(ImageError, match="neither bytes nor a path"):
        zeroiqa.score({"bytes": None, "path": None})


@pytest.mark.parametrize("value", [7, None, object(), {1, 2}])
def test_what_is_no_image_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match=f"Image 0 is a {type(value).__name__}; give a path"):
        zeroiqa.score(value)


def test_a_batch_is_its_images_and_one_image_is_no_batch() -> None:
    other = np.asarray(PilImage.open(folder() / "coffee.jpg").convert("RGB").resize(RGB.shape[1::-1]))
    expected = [SCORE, zeroiqa.score(other).score]
    batch = np.stack([RGB, other])
    assert [each.score for each in zeroiqa.score_images(batch)] == expected
    tensors = torch.from_numpy(batch).permute(0, 3, 1, 2)
    assert [each.score for each in zeroiqa.score_images(tensors)] == expected
    for one in (RGB, GREY, tensors[0], PHOTO.read_bytes(), PilImage.fromarray(RGB), io.BytesIO(b"")):
        with pytest.raises(UserError, match=r"One image is given .* use score"):
            zeroiqa.score_images(one)  # type: ignore[arg-type]
    paths = np.array([str(PHOTO), str(PHOTO)])
    assert len(zeroiqa.score_images(paths)) == 2
