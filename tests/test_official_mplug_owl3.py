"""mPLUG-Owl3 and SeP-IQA beside what their authors' codes computed; see fixtures/official/README.md."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from tests import official  # noqa: E402
from tests.owl3_network import largest  # noqa: E402
from zeroiqa.chat.mplug_owl3 import (  # noqa: E402
    MplugOwl3Config,
    MplugOwl3ForConditionalGeneration,
    MplugOwl3ImageProcessor,
    MplugOwl3Processor,
)
from zeroiqa.chat.mplug_owl3.configuration import VERSIONS  # noqa: E402
from zeroiqa.chat.mplug_owl3.processing import check_tokenizer  # noqa: E402
from zeroiqa.chat.prompt import read_template  # noqa: E402
from zeroiqa.chat.readouts import direction_weights, read_levels, semantic_preference  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402

SIDES = {"240728": 384, "241101": 378}
SIZES = ((64, 48), (40, 40), (30, 90), (333, 500), (1200, 300), (900, 700))
BOOK = official.record("mplug_owl3.json")


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def known(version: str) -> dict[str, Any]:
    return official.arrays(f"mplug_owl3_{version}.npz")


@pytest.fixture(scope="module")
def model(version: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tiny network, loaded from a folder in the hub's layout."""
    folder = tmp_path_factory.mktemp(version)
    (folder / "config.json").write_text(json.dumps(BOOK[version]["config"]))
    with torch.device("meta"):
        empty = MplugOwl3ForConditionalGeneration(MplugOwl3Config(**BOOK[version]["config"], version=version))
    shapes = {name: tuple(tensor.shape) for name, tensor in empty.state_dict().items()}
    save_file(official.tiny_weights(version, shapes), folder / "model.safetensors", {"format": "pt"})
    return MplugOwl3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def test_the_network_computes_what_the_official_one_does(model: Any, known: dict[str, Any]) -> None:
    """One picture or several, samples without any, and pictures at either end of the text."""
    cases = sorted({key.partition("/")[0] for key in known} - {"processor"})
    assert len(cases) in (4, 5)
    for case in cases:
        found = {
            key.partition("/")[2]: torch.from_numpy(value)
            for key, value in known.items()
            if key.startswith(f"{case}/")
        }
        with torch.inference_mode():
            embeds = model.get_image_features(found["pixel_values"], return_dict=True).pooler_output
            given = model(
                input_ids=found["input_ids"],
                pixel_values=found["pixel_values"],
                image_starts=list(found["image_starts"].split(found["num_images"].tolist())),
                output_hidden_states=True,
            )
        close(embeds, found["image_embeds"], 3e-5)
        for layer in (2, 4, 5):
            close(given.hidden_states[layer], found[f"hidden_{layer}"], 3e-5)
        close(given.logits[:, ::4], found["logits"], 2e-5)
        close(given.logits[:, -1], found["last_logits"], 2e-5)


def close(one: Any, other: Any, tolerance: float) -> None:
    assert one.shape == other.shape
    assert largest(one, other) <= tolerance


@pytest.mark.parametrize("size", SIZES)
def test_the_image_processor_cuts_and_scales_as_the_official_one(
    known: dict[str, Any], version: str, size: tuple[int, int]
) -> None:
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([(7 * x + 3 * y) % 256, (x * y + 5 * x) % 256, (13 * y + x * x) % 256], -1)
    picture = Image.fromarray(pixels.astype(np.uint8))
    processor, name = MplugOwl3ImageProcessor(SIDES[version]), f"processor/{width}x{height}"
    views, grid = processor(picture)
    assert [list(grid), [1, 1]] == known[f"{name}_grid"].tolist()
    assert np.abs(views[:, :, ::81, ::81] - known[f"{name}_sub"]).max() <= 1e-5
    assert np.abs(views.mean((2, 3)) - known[f"{name}_mean"]).max() <= 1e-4
    assert np.abs(views.std((2, 3), ddof=1) - known[f"{name}_std"]).max() <= 1e-4
    alone, none = processor(picture, cut=False)
    assert none is None
    assert np.abs(alone[:, :, ::81, ::81] - known[f"{name}_nocut_sub"]).max() <= 1e-5


def test_grids_are_those_of_the_official_rule(version: str) -> None:
    processor = MplugOwl3ImageProcessor(SIDES[version])
    with (official.FOLDER / "anchors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 425
    for row in rows:
        wanted = int(row[f"rows_{version}"]), int(row[f"cols_{version}"])
        assert processor.choose_grid(int(row["width"]), int(row["height"])) == wanted, row


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Qwen2's, with the stock ids of the tokens that the texts here need."""
    from transformers import Qwen2Tokenizer

    cut = official.record("qwen2_vocabulary.json")
    specials = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
    made = Qwen2Tokenizer(
        vocab={**cut["vocab"], **specials},
        merges=[tuple(merge.split(" ")) for merge in cut["merges"]],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    check_tokenizer(made, "the stock vocabulary")
    return made


def test_conversations_become_the_official_token_ids(version: str, tokenizer: Any) -> None:
    processor = MplugOwl3Processor(tokenizer, MplugOwl3ImageProcessor(14), version)
    cases = BOOK[version]["texts"]
    assert len(cases) == {"240728": 9, "241101": 16}[version]
    for case in cases:
        *turns, answer = case["messages"]
        if case["options"].get("preface"):
            text = processor.apply_chat_template([*turns, answer], continue_final_message=True)
        else:
            text = processor.apply_chat_template(turns, add_generation_prompt=True)
        images = [Image.new("RGB", (width, height)) for width, height in case["sizes"]]
        given = processor(text, images=images, cut=case["options"].get("cut_enable"))
        assert given["input_ids"].tolist() == [case["input_ids"]], case["name"]
        assert given["image_starts"][0].nonzero()[:, 0].tolist() == case["image_starts"], case["name"]
        assert len(given["pixel_values"]) == case["n_views"], case["name"]


DOG_IQA = {
    "dog-iqa-word-3": (185, "bccb74d0256c31ef", "0dfb65804a500339"),
    "dog-iqa-word-5": (193, "5579be0b046801e3", "0eead33b0934f6d9"),
    "dog-iqa-word-7": (202, "a9110ae05767e3f0", "49e2a0f6495f71f0"),
    "dog-iqa-word-9": (212, "ed79e6184bc614eb", "805e05bfd701e263"),
    "dog-iqa-number-7": (155, "cf397f6e05056511", "1f821837adc88891"),
    "dog-iqa-sentence-5": (265, "389b57b78a7f8bf8", "3c3ccfcc1871e788"),
    "dog-iqa-sentence-7": (311, "bf3fe9611b3b12b2", "ceb8d9b8871344d1"),
}
"""Standard -> how many token ids Dog-IQA's prompt has for a picture cut 2 x 2, and the beginning of the ids'
SHA-256, a space between them, for the whole image and for a crop: by the whole vocabulary. The official code
has the same 202 for seven words, and 226 for 2 x 3."""


def test_dog_iqas_prompts_are_the_official_token_ids(tokenizer: Any) -> None:
    processor = MplugOwl3Processor(tokenizer, MplugOwl3ImageProcessor(14), "240728")
    template = read_template(processor, "mPLUG-Owl3")
    for name, (count, *digests) in DOG_IQA.items():
        rows = []
        for crop, digest in zip((False, True), digests, strict=True):
            filled = load_standard(name).fill(crop=crop)
            text = template.text(filled)
            assert text == (
                "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n"
                f"{filled.before_image}<|image|>{filled.after_image}{filled.user}<|im_end|>\n"
                "<|im_start|>assistant\n"
            )
            rows.append(ids := _ids(processor, text, (500, 500)))
            assert sha256(" ".join(map(str, ids)).encode()).hexdigest()[:16] == digest, (name, crop)
        pairs = [pair for pair in zip(*rows, strict=True) if len({*pair}) > 1]
        assert len(rows[0]) == count
        assert pairs == [(503, 664)] * 2  # 19 spaces, 23 spaces
        assert rows[0][8] == 1446  # " You": its space begins the turn's text
        assert len(_ids(processor, text, (640, 480))) == count + 24


def _ids(processor: MplugOwl3Processor, text: str, size: tuple[int, int]) -> list[int]:
    ids: list[int] = processor(text, images=[Image.new("RGB", size)])["input_ids"][0].tolist()
    return ids


def test_semantic_preference_is_that_of_the_authors() -> None:
    known = {key: torch.from_numpy(value) for key, value in official.arrays("sep_iqa.npz").items()}
    table, logits = known["embedding"].float(), known["logits"].float()
    positive, negative = (known[f"{side}_ids"].tolist() for side in ("positive", "negative"))
    weights = direction_weights(table, positive, negative)
    unit = torch.nn.functional.normalize
    cosines = unit(table, dim=1) @ unit(known["direction"].float(), dim=0)
    close(weights, cosines, 4e-6)
    for candidates in (5, 20, 60):
        scores = semantic_preference(logits, weights, candidates)
        close(scores.float(), known[f"score_k{candidates}"].float(), 4e-6)
    good = [np.exp(rating.logprobs[0]) for rating in read_levels(logits, known["qbench_ids"].tolist())]
    assert good == pytest.approx(known["qbench"].tolist(), abs=4e-6)


def test_the_published_words_have_their_ids(tokenizer: Any) -> None:
    standard = load_standard("sep-iqa")
    for side, words in (("positive", standard.positive), ("negative", standard.negative)):
        published = official.record("sep_iqa_words.json")[side]
        assert words == published["text"].strip()
        assert tokenizer(published["text"])["input_ids"] == published["ids"]
