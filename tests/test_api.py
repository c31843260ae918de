"""The Python interface."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import zeroiqa
from zeroiqa.samples import folder

COFFEE = folder() / "coffee.jpg"


@pytest.fixture(scope="module")
def fake() -> "zeroiqa.Method":
    return zeroiqa.load_method(segmenter="grid", raters=["fake"])


def test_a_path_a_text_bytes_an_array_and_a_pil_image_score_alike() -> None:
    pixels = np.asarray(PIL.Image.open(folder() / "rocket.png").convert("RGB"))
    path = folder() / "rocket.png"
    forms = (path, str(path), path.read_bytes(), pixels, PIL.Image.fromarray(pixels))
    assert len({zeroiqa.score(form).score for form in forms}) == 1


def test_score_raises_for_a_broken_image_and_score_images_goes_on(
    tmp_path: Path, fake: "zeroiqa.Method"
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("hello")
    with pytest.raises(zeroiqa.ImageError, match="broken.jpg"):
        zeroiqa.score(broken, method=fake)
    results = zeroiqa.score_images([broken, COFFEE], method=fake)
    assert [result.status for result in results] == ["error", "ok"]


def test_a_folder_is_scored_in_sorted_order(fake: "zeroiqa.Method") -> None:
    results = zeroiqa.score_images(folder(), method=fake)
    paths = [result.path for result in results]
    assert paths == sorted(paths)
    assert len(paths) >= 4


def test_images_are_taken_one_by_one_from_a_generator(fake: "zeroiqa.Method") -> None:
    results = zeroiqa.score_images((path for path in [COFFEE, COFFEE]), method=fake)
    assert results[0].score == results[1].score


def test_prompts_go_with_their_images() -> None:
    method = zeroiqa.load_method(segmenter="grid", raters=["fake"], standards=["correspondence-word-7"])
    a, b = zeroiqa.score_images([COFFEE, COFFEE], prompts=["a cup", "a dog"], method=method)
    assert a.score != b.score
    _, missing = zeroiqa.score_images([COFFEE, COFFEE], prompts=["a cup", " "], method=method)
    assert "prompt" in str(missing.error)
    with pytest.raises(zeroiqa.UserError, match="none of the 1 images has one"):
        zeroiqa.score_images([COFFEE], method=method)
    with pytest.raises(zeroiqa.ImageError, match="this image has none"):
        zeroiqa.score(COFFEE, method=method)
    with pytest.raises(zeroiqa.UserError, match="1 prompts were given for 2"):
        zeroiqa.score_images([COFFEE, COFFEE], prompts=["a cup"], method=method)


def test_arrays_are_named_by_their_position(fake: "zeroiqa.Method") -> None:
    array = np.zeros((32, 32, 3), np.uint8)
    assert [result.path for result in zeroiqa.score_images([array, array], method=fake)] == [
        "image 0",
        "image 1",
    ]


@pytest.mark.parametrize("thing", [None, 3.5, ["a.jpg"]])
def test_what_is_no_image_is_refused_in_a_sentence(thing: object, fake: "zeroiqa.Method") -> None:
    with pytest.raises(zeroiqa.UserError, match="give a path"):
        zeroiqa.score(thing, method=fake)  # type: ignore[arg-type]


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("numpy", "cv2", "torch", "pyarrow")
    code = f"import sys, zeroiqa; dir(zeroiqa); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scoring_never_imports_torch() -> None:
    code = f"import sys, zeroiqa; zeroiqa.score({str(COFFEE)!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
