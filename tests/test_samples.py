from __future__ import annotations

import pytest

from zeroiqa.images.decode import decode
from zeroiqa.samples import folder

IMAGES = sorted(path for path in folder().iterdir() if path.suffix in {".jpg", ".png"})
LICENSES = (folder() / "LICENSES.md").read_text(encoding="utf-8")


def test_there_are_photos_and_degraded_versions_of_them():
    names = {path.name for path in IMAGES}
    assert {"cat.jpg", "cat_blurred.jpg", "coffee.jpg", "coffee_compressed.jpg"} <= names


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_sample_decodes_at_a_useful_size(path):
    image = decode(path)
    assert 250 <= max(image.size) <= 768
    assert image.warnings == ()


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_sample_has_a_row_in_the_licences(path):
    assert f"| {path.name} |" in LICENSES


def test_every_row_of_the_licences_has_its_sample():
    listed = [line.split("|")[1].strip() for line in LICENSES.splitlines() if line.startswith("| ")][1:]
    assert sorted(listed) == [path.name for path in IMAGES]


def test_nothing_else_lies_in_the_folder():
    others = {path.name for path in folder().iterdir()} - {path.name for path in IMAGES} - {"__pycache__"}
    assert others == {"__init__.py", "LICENSES.md"}


def test_samples_are_small():
    assert sum(path.stat().st_size for path in IMAGES) < 600_000
