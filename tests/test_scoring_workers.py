"""Several worker processes score as one does, in the same order, and a killed one costs one image."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

import zeroiqa
from tests.test_runs_executors_local import trapped
from zeroiqa.errors import UserError
from zeroiqa.samples import folder

SAMPLES = sorted([*folder().glob("*.jpg"), *folder().glob("*.png")])


def test_workers_give_the_results_of_one_process_in_order(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    images = [
        *SAMPLES,
        tmp_path / "bad.jpg",
        tmp_path / "none.jpg",
        SAMPLES[0].read_bytes(),
        io.BytesIO(SAMPLES[1].read_bytes()),
        np.asarray(PilImage.open(SAMPLES[2]).convert("RGB")),
        np.zeros((5, 6, 7), np.uint8),
        PilImage.fromarray(np.asarray(PilImage.open(SAMPLES[3]))),
    ]
    done: list[int] = []
    several = zeroiqa.score_images(images, workers=2, on_progress=done.append)
    images[10].seek(0)  # type: ignore[union-attr]
    assert list(several) == list(zeroiqa.score_images(images))
    assert done == list(range(1, len(images) + 1))
    statuses = ["ok"] * 7 + ["error", "unreachable", "ok", "ok", "ok", "error", "ok"]
    assert [each.status for each in several] == statuses


def test_a_stream_of_images_is_taken_bit_by_bit() -> None:
    taken = []

    def images() -> Iterator[Path]:
        for number in range(40):
            taken.append(number)
            yield SAMPLES[number % 7]

    most = 0

    def look(done: int) -> None:
        nonlocal most
        most = max(most, len(taken) - done)

    found = zeroiqa.score_images(images(), workers=2, on_progress=look)
    assert len(found) == 40
    assert most <= 8


def test_arithmetic_that_was_replaced_is_that_of_the_workers() -> None:
    method = zeroiqa.load_method(regions=True, segmenter="grid")
    other = replace(method, aggregation=replace(method.aggregation, lam=1.0))
    expected = [each.score for each in zeroiqa.score_images(SAMPLES[:3], method=other)]
    assert [each.score for each in zeroiqa.score_images(SAMPLES[:3], method=other, workers=2)] == expected
    assert expected != [each.score for each in zeroiqa.score_images(SAMPLES[:3], method=method)]


def test_an_image_that_ends_its_worker_is_an_error_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = trapped(tmp_path)
    for name, value in trap.items():
        monkeypatch.setenv(name, value)
    images = [shutil.copy(path, tmp_path / path.name) for path in SAMPLES[:5]]
    images.insert(2, shutil.copy(SAMPLES[0], tmp_path / "killer.jpg"))
    found = list(zeroiqa.score_images(images, workers=2))
    assert [each.status for each in found] == ["ok", "ok", "error", "ok", "ok", "ok"]
    assert "killer.jpg ended the process that scored it; it may need more memory" in str(found[2].error)
    assert [each.score for each in found if each.error is None] == [
        zeroiqa.score(path).score for path in SAMPLES[:5]
    ]


@pytest.mark.parametrize("workers", [0, -1, "two", 1.5])
def test_no_number_of_workers_is_refused(workers: object) -> None:
    with pytest.raises(UserError, match="neither a number from 1 on nor auto"):
        zeroiqa.score_images(SAMPLES[:2], workers=workers)  # type: ignore[arg-type]


def test_a_method_that_cannot_be_built_anew_is_refused() -> None:
    method = replace(zeroiqa.load_method(), settings=None)
    with pytest.raises(UserError, match="takes a method from load_method"):
        zeroiqa.score_images(SAMPLES[:2], method=method, workers=2)
