"""The preset dog-iqa beside the method of its authors, computed anew from its description.

Masks, boxes, prompts, answers and formula are this file's own; what is shared is the network with the picture
processor and tokenizer of mPLUG-Owl3, which are compared with their authors' elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image as PilImage  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

import zeroiqa  # noqa: E402
from tests.tiny import mplug_owl3  # noqa: E402
from zeroiqa.aggregate import Scale  # noqa: E402
from zeroiqa.chat.loading import load  # noqa: E402
from zeroiqa.chat.mplug_owl3 import MplugOwl3Processor  # noqa: E402
from zeroiqa.segmenters.sam2 import segmenter as sam2  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels

pytestmark = pytest.mark.usefixtures("one_thread")

HEIGHT, WIDTH = 96, 128
LOUDER = 2.6
"""The digits' share in the logits of the tiny network: it answers about as often by one as by a word."""
SYSTEM = """\
You are a helpful assistant to help me evaluate the quality of the image. You will be given standards about \
each quality level. The quality standard is list as follows:
7: Perfect!
6: Excellent!
5: Good!
4: Fair!
3: Bad!
2: Poor!
1: Very Bad!

                    The higher the image quality, the higher the score should be.
                    Please strictly follow the USER's format, otherwise the result will be invalid."""
QUERY = (
    "Please evaluate the quality of the image and score in quality. Only tell me the number. "
    "Do not analysis the image."
)


@dataclass(frozen=True)
class Official:
    """One image, as the authors' code scores it."""

    whole: int
    levels: list[int]
    weights: list[int]
    answers: list[str]

    @property
    def local(self) -> float:
        weighted = sum(level * weight for level, weight in zip(self.levels, self.weights, strict=True))
        return weighted / sum(self.weights)

    @property
    def tip(self) -> float:
        return self.local + 0.1 * len(self.levels) + 0.5 * self.whole

    @property
    def first(self) -> float:
        return self.whole + 1 * (self.local + 0.1 * len(self.levels))


class Authors:
    """Their code, on a network that is loaded already."""

    def __init__(self, loaded: Any, folder: Path) -> None:
        self.model, self.processor = loaded.model, MplugOwl3Processor.from_pretrained(folder)

    def score(self, pixels: Pixels, masks: Sequence[Mask]) -> Official:
        """Masks in their order, each of the image's size."""
        kept = [mask for mask in masks if mask.sum() >= 1000]
        weights = [int(mask.sum()) for mask in kept]
        rest = pixels[..., 0].size - sum(weights)
        if not kept:
            kept, weights = [np.ones(pixels.shape[:2], bool)], [pixels[..., 0].size]
        elif rest >= 1000:
            kept, weights = [*kept, ~np.logical_or.reduce(kept)], [*weights, rest]
        answers = [self._answer(pixels, 20), *(self._answer(_box(pixels, mask), 24) for mask in kept)]
        whole, *levels = map(_number, answers)
        return Official(whole, levels, weights, answers)

    def _answer(self, pixels: Pixels, indent: int) -> str:
        views, (rows, columns) = self.processor.image_processor(PilImage.fromarray(pixels), cut=True)
        tiles = "\n".join(
            " ".join(f"subimg({row},{column})<|image|>" for column in range(columns)) for row in range(rows)
        )
        picture = f"Cut to {rows} rows {columns} columns with a global view\n{tiles}\nglobal_view<|image|>"
        content = f" {SYSTEM}\n{' ' * indent}{picture}\n{' ' * indent}{QUERY}"
        text = (
            f"<|im_start|>system\n<|im_end|>\n<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n"
        )
        ids: list[int] = []
        starts = []
        for number, piece in enumerate(text.split("<|image|>")):
            if number:
                starts.append(len(ids))
                ids += self._tokens("<|image|>")
            ids += self._tokens(piece)
        with torch.inference_mode():
            logits = self.model(
                input_ids=torch.tensor([ids]),
                pixel_values=torch.from_numpy(views),
                image_starts=[torch.tensor(starts)],
            ).logits[0, -1]
        likeliest = int(logits.argmax())
        return str(self.processor.tokenizer.decode([likeliest], skip_special_tokens=True)).strip()

    def _tokens(self, text: str) -> list[int]:
        return list(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def _box(pixels: Pixels, mask: Mask) -> Pixels:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _number(answer: str) -> int:
    try:
        return int(answer)
    except ValueError:
        return 1


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny 240728 that often answers by a digit, in or off the scale."""
    folder = mplug_owl3.write("240728", tmp_path_factory.mktemp("dog") / "owl")
    tokenizer = MplugOwl3Processor.from_pretrained(folder).tokenizer
    digits = [tokenizer(digit, add_special_tokens=False)["input_ids"] for digit in "0123456789"]
    assert all(len(ids) == 1 for ids in digits)
    tensors = load_file(folder / "model.safetensors")
    tensors["language_model.lm_head.weight"][[ids[0] for ids in digits]] *= LOUDER
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def rectangle(y0: int, x0: int, y1: int, x1: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def picture(seed: int) -> Pixels:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3)).repeat(16, 0).repeat(16, 1)
    return np.clip(coarse + random.normal(0, 9 * seed, coarse.shape), 0, 255).astype(np.uint8)


THOUSAND = rectangle(0, 0, 20, 50)
ONE_LESS = THOUSAND.copy()
ONE_LESS[0, 0] = False
CASES = {
    "apart, with a rest": [rectangle(10, 8, 60, 70), rectangle(64, 80, 96, 128)],
    "one has the least area, one has less": [THOUSAND, ONE_LESS, rectangle(40, 40, 96, 100)],
    "nested: more than the image in all, so that there is no rest": [
        rectangle(0, 0, 96, 100), rectangle(10, 10, 90, 60), rectangle(20, 20, 80, 50),
    ],
    "overlapping: the rest weighs less than its mask": [rectangle(0, 0, 70, 90), rectangle(30, 20, 90, 100)],
    "in two pieces": [rectangle(0, 0, 40, 40) | rectangle(60, 90, 96, 128)],
    "no masks": [],
    "none that is large enough": [ONE_LESS],
}  # fmt: skip


def raw(masks: Sequence[Mask]) -> sam2.GeneratedMasks:
    """Masks as the network's post-processing gives them, at the image's size."""
    areas = torch.tensor([int(mask.sum()) for mask in masks], dtype=torch.int64)
    planes = [torch.from_numpy(np.where(mask, 10.0, -10.0).astype(np.float32)) for mask in masks]
    count = len(masks)
    return sam2.GeneratedMasks(
        image_size=(HEIGHT, WIDTH),
        logits=torch.stack(planes) if planes else torch.zeros(0, HEIGHT, WIDTH),
        boxes=torch.zeros(count, 4, dtype=torch.int64),
        pixels=areas,
        predicted_iou=torch.linspace(1, 0.9, count),
        stability_score=torch.ones(count),
        points=torch.zeros(count, 2),
    )


@pytest.fixture(scope="module")
def scored(checkpoint: Path) -> dict[str, tuple[zeroiqa.ImageScore, Official]]:
    """Every case by the preset and by its authors; the raw masks are given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        method = zeroiqa.load_method("dog-iqa", raters=[f"hf:{checkpoint}"], device="cpu", dtype="float32")
        assert isinstance(method.segmenter, sam2.NetworkSegmenter)
        given: list[Mask] = []
        asked: list[Any] = []

        def generate(network: Any, images: Sequence[Pixels], parameters: Any, at_once: int) -> Any:
            asked.append(parameters)
            return [raw(given) for _ in images]

        network = property(lambda _: SimpleNamespace(device=torch.device("cpu")))
        patch.setattr(sam2.NetworkSegmenter, "network", network)
        patch.setattr(sam2, "generate_masks", generate)
        found = {}
        (rater,) = method.raters.values()
        authors: Authors | None = None
        for seed, (name, masks) in enumerate(CASES.items()):
            given[:] = masks
            mine = zeroiqa.score(picture(seed), method=method)
            authors = authors or Authors(rater.loaded, checkpoint)  # type: ignore[attr-defined]
            found[name] = mine, authors.score(picture(seed), masks)
        (parameters,) = set(asked)
        assert (parameters.points_per_side, parameters.min_mask_region_area) == (8, 1000)
        assert (parameters.pred_iou_thresh, parameters.stability_score_thresh) == (0.9, 0.8)
        assert (parameters.stability_score_offset, parameters.box_nms_thresh) == (0.7, 0.9)
        return found


@pytest.mark.parametrize("case", CASES)
def test_score_is_the_authors_number(
    case: str, scored: dict[str, tuple[zeroiqa.ImageScore, Official]]
) -> None:
    mine, official = scored[case]
    assert mine.score == pytest.approx(official.tip, abs=1e-6)
    assert (mine.s_global, mine.s_local) == (official.whole, pytest.approx(official.local, abs=1e-9))
    (score,) = mine.scores.values()
    assert list(score.region_levels) == official.levels
    weights = [region.area if region.weight is None else region.weight for region in mine.regions]
    assert weights == pytest.approx([weight / (HEIGHT * WIDTH) for weight in official.weights], abs=1e-12)
    total = score.global_contribution + sum(score.region_contributions)
    assert total == pytest.approx(official.tip, abs=1e-6)
    assert mine.scale == Scale(0.0, None)


def test_the_cases_hold_what_they_are_for(scored: dict[str, tuple[zeroiqa.ImageScore, Official]]) -> None:
    """Else all of them could agree on what is not asked: answers of every kind, one rest, none, all."""
    answers = {answer for _, official in scored.values() for answer in official.answers}
    assert answers & set("1234567") and answers & set("089") and answers - set("0123456789")
    counts = {name: len(official.levels) for name, (_, official) in scored.items()}
    assert list(counts.values()) == [3, 3, 3, 3, 2, 1, 1]
    apart = [
        name for name, (_, each) in scored.items() if name.startswith("no") and len(set(each.answers)) > 1
    ]
    assert apart, "the whole image and its crop, of the same pixels, are asked in two ways"
    said = [warning for mine, _ in scored.values() for warning in mine.warnings if "is no number" in warning]
    assert len(said) == sum(not set(each.answers) <= set("0123456789") for _, each in scored.values())


def test_a_run_keeps_what_both_formulas_of_the_authors_need(
    checkpoint: Path, tiny_sam2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real network of random weights finds the masks; its own filters would leave none of them."""
    (tmp_path / "photos").mkdir()
    photos = [picture(seed).repeat(3, 0).repeat(3, 1) for seed in (1, 2)]
    for number, pixels in enumerate(photos):
        PilImage.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    found: list[sam2.GeneratedMasks] = []
    real = sam2.generate_masks

    def generate(*arguments: Any) -> Any:
        made = real(*arguments)
        found.extend(made)
        return made

    monkeypatch.setattr(sam2, "generate_masks", generate)
    loose = "pred_iou_thresh=0.5,stability_score_thresh=0,box_nms_thresh=0.7,min_mask_region_area=0"
    run = zeroiqa.run(
        tmp_path / "photos",
        tmp_path / "run",
        preset="dog-iqa",
        segmenter=f"sam2:{tiny_sam2}",
        granularity=f"dog-iqa,{loose}",
        raters=[f"hf:{checkpoint}"],
        device="cpu",
        dtype="float32",
        workers=1,
    )
    authors = Authors(load(str(checkpoint), ModelOptions(device="cpu")), checkpoint)
    official = [
        authors.score(pixels, [masks.full_size(number, 0.0) for number in range(len(masks))])
        for pixels, masks in zip(photos, found, strict=True)
    ]
    assert min(len(each.levels) for each in official) > 3
    stored = zeroiqa.load_run(run.folder)
    tip = [result.score for result in stored.scores()]
    first = [result.score for result in stored.scores(formula="dog-iqa-first", lam=1.0)]
    assert tip == pytest.approx([each.tip for each in official], abs=1e-6)
    assert first == pytest.approx([each.first for each in official], abs=1e-6)
