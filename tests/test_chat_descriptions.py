"""What a model says of an image in a sentence of its own: as it says it, and beside its ratings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from tests.test_chat import fails  # noqa: E402
from tests.test_tiny import picture  # noqa: E402
from tests.tiny import NATIVE, load_parts  # noqa: E402
from zeroiqa.chat.descriptions import MOST_TOKENS, request, sentence_of  # noqa: E402
from zeroiqa.errors import ImageError  # noqa: E402
from zeroiqa.pipeline import assemble, rate_images  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.raters.fake import FakeRater  # noqa: E402
from zeroiqa.settings import load_settings  # noqa: E402
from zeroiqa.types import Describer, Image, Region, View  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

IMAGES = [Image(picture(seed, 96, 128), f"{seed}.png", prompt="a cat") for seed in (1, 2)]
VIEWS = [View(image.pixels, None, image.size) for image in IMAGES]
STANDARDS = ("quality-word-7", "authenticity-word-7")
FAMILIES = ["qwen2_5_vl", "gemma3", "smolvlm", *NATIVE]


@pytest.mark.parametrize(
    ("answer", "cut", "kept"),
    [
        ("  The sky\n is\tblown out.\r\n", False, "The sky is blown out."),
        ("Blur", True, "Blur..."),
        ("It ends well.", True, "It ends well..."),
        ("\x1b[31mred\x07 \u202eand\u2028more \udcff", False, "\\x1b[31mred\\x07 \\u202eand more \\udcff"),
        ("", False, None),
        (" \n\t ", True, None),
        ("...", True, "..."),
        ("<think>\n\n</think>\n\nNoise.", False, "Noise."),
        ("<think>It is a cat, and", True, None),
        ("noise " * 1000, False, f"{'noise ' * 66}nois..."),
    ],
)
def test_what_is_kept_of_an_answer_is_one_short_harmless_line(
    answer: str, cut: bool, kept: str | None
) -> None:
    found = sentence_of(answer, cut=cut)
    assert found == kept
    assert found is None or (len(found) <= 403 and found.isprintable())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_description_is_what_generate_writes_and_ratings_stay_as_they_are(
    family: str, tiny: Callable[[str], Path]
) -> None:
    rater = ChatRater(str(tiny(family)), ModelOptions(device="cpu"))
    settings = load_settings(overrides={"raters": ("nss",), "standards": STANDARDS, "lam": 1.0})
    method = assemble(settings, {"model": rater}, None)
    regions = (Region((0, 0, 60, 60), 0.3, "object"),)
    pairs = [(image, regions) for image in IMAGES]
    plain = rate_images(pairs, rater, method)
    described = rate_images(pairs, rater, replace(method, describe=True))
    again = rate_images(pairs, rater, method)

    assert plain == again, "what was written leaves nothing behind"
    assert isinstance(rater, Describer) and not isinstance(FakeRater(None), Describer)
    sentences = [ratings[STANDARDS[0]][0].description for ratings in described]
    assert any(sentences)
    assert sentences == [rater.descriptions([view])[0] for view in VIEWS]
    assert sentences == [written(rater, tiny(family), view) for view in VIEWS]
    for ratings, sentence, without in zip(described, sentences, plain, strict=True):
        whole, *others = (rating for by_view in ratings.values() for rating in by_view)
        assert [rating.description for rating in others] == [None] * 3
        assert {**ratings, STANDARDS[0]: (replace(whole, description=None), others[0])} == without
        assert whole.description == sentence


def written(rater: ChatRater, folder: Path, view: View) -> str | None:
    """By the classes alone: `generate`, token by token the likeliest one."""
    from PIL import Image as PilImage

    network, processor = load_parts(folder)
    text = rater.model.engine.template.text(request().prompt)
    bos = processor.tokenizer.bos_token
    inputs = processor(
        images=[PilImage.fromarray(view.pixels)],
        text=[text],
        return_tensors="pt",
        add_special_tokens=bos is None or not text.startswith(bos),
    )
    ids = network.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
    new = ids[0, inputs["input_ids"].shape[1] :].tolist()
    ends = network.generation_config.eos_token_id
    ended = new[-1] in (ends if isinstance(ends, list) else [ends])
    return sentence_of(processor.tokenizer.decode(new, skip_special_tokens=True), cut=not ended)


def test_a_narrow_view_that_the_model_refuses_is_described_less_narrow(tiny: Callable[[str], Path]) -> None:
    rater = ChatRater(str(tiny("qwen2_5_vl")), ModelOptions(device="cpu"))
    shape = (28, 2800)
    view = View(picture(3, *shape), None, shape)

    def is_narrow(inputs: dict[str, Any]) -> bool:
        grid = inputs.get("image_grid_thw")
        return grid is not None and int(grid[0, 1:].max()) > 40 * int(grid[0, 1:].min())

    with fails(rater.loaded.model, RuntimeError("no place for it"), is_narrow):
        assert rater.descriptions([view])[0]
    with (
        fails(rater.loaded.model, RuntimeError("no place for it"), lambda _: True),
        pytest.raises(ImageError, match="A view of 2800 x 28 pixels cannot be rated by .*no place for it"),
    ):
        rater.descriptions([view])
