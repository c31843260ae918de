"""One image's failure is that image's, and what meets all images ends the work: by every door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zeroiqa
from tests.imagefiles import noise, save
from zeroiqa import runs
from zeroiqa.errors import ImageError, UnreachableError, UserError
from zeroiqa.guards.together import failure_of, together
from zeroiqa.images.decoder import Decoder
from zeroiqa.images.find import find_images
from zeroiqa.raters.fake import FakeRater
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.regions import read_segmented
from zeroiqa.segmenters.grid import GridSegmenter
from zeroiqa.settings import load_settings
from zeroiqa.types import Image, View

CHOICES = {"segmenter": "grid", "regions": True, "raters": ("fake",)}


class OutOfMemoryError(RuntimeError):
    """Called as that of torch; `test_an_error_of_torch_is_told_without_importing_it` has the real one."""


MEMORY = "photos/b.png: there is not enough memory for this image."
OF_THE_IMAGE = {
    "image": (ImageError("photos/b.png is too dark."), "photos/b.png is too dark."),
    "memory": (MemoryError(), MEMORY),
    "device": (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), MEMORY),
    "allocator": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MEMORY),
    "unforeseen": (ValueError("bad\n shape"), "photos/b.png: could not be rated (ValueError: bad shape)."),
}
OF_ALL = {"user": UserError("There are no weights."), "interrupt": KeyboardInterrupt()}


@pytest.fixture(autouse=True)
def photos(here: Path) -> None:
    Path("photos").mkdir()
    for seed, name in enumerate("abc"):
        Path(f"photos/{name}.png").write_bytes(save(noise(70, 80 + (name == "b"), 3, seed=seed), "PNG"))


@pytest.fixture(params=[("segmenter", 3), ("rater", 1), ("rater", 3), ("reading", 1)], ids=str)
def fail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Have a stage raise an error for the image b, alone or in company."""
    stage, at_once = request.param
    owner, name = {
        "segmenter": (GridSegmenter, "segment_batch"),
        "rater": (FakeRater, "rate"),
        "reading": (Decoder, "read"),
    }[stage]
    real = getattr(owner, name)

    def is_b(each: Any) -> bool:
        return each.path == "photos/b.png" if stage == "reading" else 81 in _size_of(each)

    def failing(error: BaseException) -> None:
        def broken(self, given, *others):
            if any(map(is_b, [given] if stage == "reading" else given)):
                raise error
            return real(self, given, *others)

        monkeypatch.setattr(owner, name, broken)
        monkeypatch.setattr(owner, "images_per_call", at_once, raising=False)

    return failing


def _size_of(each: Image | View) -> tuple[int, int]:
    return each.size if isinstance(each, Image) else each.image_size


def by_score_images() -> list[str | None]:
    return [each.error for each in zeroiqa.score_images("photos", method=zeroiqa.load_method(**CHOICES))]


def by_score() -> list[str | None]:
    method, found = zeroiqa.load_method(**CHOICES), []
    for name in "abc":
        try:
            found.append(zeroiqa.score(f"photos/{name}.png", method=method).error)
        except ImageError as error:
            found.append(str(error))
    return found


def by_a_run() -> list[str | None]:
    settings = load_settings("embedded", CHOICES)
    run = runs.open_run(Path("run"), settings, find_images(["photos"]), preset="embedded")
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    return [each.error for each in runs.iter_scores(run)]


WAYS = (by_score, by_score_images, by_a_run)


@pytest.mark.parametrize("kind", OF_THE_IMAGE)
def test_what_is_the_fault_of_an_image_is_its_error(fail, kind: str) -> None:
    error, sentence = OF_THE_IMAGE[kind]
    fail(error)
    assert [way() for way in WAYS] == [[None, sentence, None]] * len(WAYS)


@pytest.mark.parametrize("kind", OF_ALL)
def test_what_meets_every_image_ends_the_work(fail, kind: str) -> None:
    fail(OF_ALL[kind])
    for way in WAYS:
        with pytest.raises(type(OF_ALL[kind])):
            way()


@pytest.mark.parametrize("kind", [*OF_THE_IMAGE, *OF_ALL])
def test_segment_goes_on_or_ends_by_the_same_table(give, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    error, sentence = OF_THE_IMAGE.get(kind) or (OF_ALL[kind], "")
    real = GridSegmenter.segment_batch

    def broken(self, images):
        if any(81 in image.size for image in images):
            raise error
        return real(self, images)

    monkeypatch.setattr(GridSegmenter, "segment_batch", broken)
    done = give(".", "segment", "photos", "-o", "cut", "--segmenter", "grid", "--workers", "1")
    if kind == "interrupt":
        assert done.returncode == 130 and "Stopped." in done.stderr
    elif kind == "user":
        assert done.returncode == 1 and "There are no weights." in done.stderr
    else:
        assert "images   3, 1 with an error" in done.stdout, done.stderr
        (row,) = [row for row in read_segmented(runs.load_run(Path("cut")), 1) if row[1].error]
        assert row[1].error == sentence


def test_an_overlay_for_which_memory_is_not_enough_is_left_out_and_said(give, monkeypatch) -> None:
    from zeroiqa.report import overlays as module

    real = module.overlay

    def broken(image, regions, *, longest):
        if 81 in image.size:
            raise MemoryError
        return real(image, regions, longest=longest)

    monkeypatch.setattr(module, "overlay", broken)
    done = give(".", "segment", "photos", "-o", "cut", "--segmenter", "grid")
    assert done.returncode == 0
    assert f"Warning: no overlay: {MEMORY}" in done.stderr
    assert len(list(Path("cut/overlays").iterdir())) == 2


def test_items_are_tried_one_by_one_in_their_order_when_all_together_fail() -> None:
    calls: list[list[int]] = []

    def work(items):
        calls.append(list(items))
        if 3 in items:
            raise UnreachableError("3 is away.")
        return [str(item) for item in items]

    found = together([1, 2, 3, 4], work, lambda item, why: f"{item}: {why.sentence} {why.cause}", str)
    assert found == ["1", "2", "3: 3 is away. unreachable", "4"]
    assert calls == [[1, 2, 3, 4], [1], [2], [3], [4]]
    assert together([], work, lambda item, why: "", str) == []


def test_an_error_of_torch_is_told_without_importing_it() -> None:
    torch = pytest.importorskip("torch")
    error = torch.OutOfMemoryError("CUDA out of memory.")
    assert failure_of(error, "a.png").sentence == "a.png: there is not enough memory for this image."
