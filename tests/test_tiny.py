"""The tiny checkpoints load like real ones, and their answers depend on the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.tiny import FAMILIES, UNLISTED, build

QUESTION = "Please evaluate the quality of the image and score in [1, 2, 3, 4, 5, 6, 7]."


def picture(seed: int, height: int = 96, width: int = 128) -> npt.NDArray[np.uint8]:
    """Patches of random colour."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return patches.repeat(-(-height // 6), axis=0).repeat(-(-width // 8), axis=1)[:height, :width]


def answers(folder: Path, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.float32]]:
    """Probabilities of the next token, one picture at a time."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.set_num_threads(1)
    processor = AutoProcessor.from_pretrained(folder)
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
    text = processor.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
    probabilities = []
    for pixels in pictures:
        inputs = processor(images=[pixels], text=[text], return_tensors="pt")
        with torch.inference_mode():
            logits = model.eval()(**inputs).logits[0, -1].float()
        probabilities.append(logits.softmax(-1).numpy())
    return probabilities


@pytest.mark.parametrize("family", [*FAMILIES, *UNLISTED])
def test_the_answer_depends_on_the_image(family: str, tiny: Callable[[str], Path]) -> None:
    one, other = answers(tiny(family), [picture(0), picture(1)])

    assert one.sum() == pytest.approx(1, abs=1e-4)
    assert np.abs(one - other).max() > 1e-2 * one.max()


@pytest.mark.parametrize("family", [*FAMILIES, *UNLISTED])
def test_a_checkpoint_is_small_and_built_the_same_every_time(
    family: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    again = build(family, tmp_path / "again")

    assert 500_000 < sum(file.stat().st_size for file in again.iterdir()) < 2_500_000
    for file in again.iterdir():
        assert file.read_bytes() == (tiny(family) / file.name).read_bytes(), file.name
