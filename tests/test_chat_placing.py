"""Text before the image: placed by some chat templates, refused of others, and rated as it asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from tests.test_chat_prompt import IMAGE_LAST, NEEDS_IMAGE, PARTS, TURNS  # noqa: E402
from tests.test_tiny import picture  # noqa: E402
from zeroiqa import samples  # noqa: E402
from zeroiqa.chat.placing import check_standard  # noqa: E402
from zeroiqa.chat.prompt import read_template  # noqa: E402
from zeroiqa.chat.template import ChatTemplate  # noqa: E402
from zeroiqa.cli import cli  # noqa: E402
from zeroiqa.errors import ImageError, UserError  # noqa: E402
from zeroiqa.pipeline import find_regions, rate_images, score_image  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.scoring.method import load_method  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402
from zeroiqa.types import Image  # noqa: E402
from zeroiqa.views import cut_views  # noqa: E402

OFFICIAL, OURS = load_standard("dog-iqa-word-7"), load_standard("quality-word-7")
SORTED = PARTS.replace("message.content", "message.content | sort(attribute='type')")
JOINED = "{% for part in message.content if part.type == 'image' %}<|image_pad|>{% endfor %}"
JOINED += "{{ message.content | map(attribute='text') | select('string') | join(' ') }}"
TRIMS = PARTS.replace("part.text", "part.text | trim")


def with_template(tiny: Callable[[str], Path], body: str) -> ChatTemplate:
    """What is found of a real processor with another chat template."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny("qwen2_5_vl"))
    processor.chat_template = TURNS.replace("BODY", body)
    return read_template(processor, "a model")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (SORTED, r"cannot put an image between two texts, as the standard dog-iqa-word-7 needs it; choose"),
        (IMAGE_LAST, r"cannot put an image between two texts, as"),
        (JOINED, r"cannot put an image between two texts, as"),
        (NEEDS_IMAGE, r"cannot put an image between two texts \(it fails with TemplateError: no image\), as"),
        (
            PARTS.replace(".text", ".text[-300:]"),
            r"cannot be asked under the standard dog-iqa-word-7: The chat",
        ),
    ],
    ids=["images first", "images last", "texts joined", "an error", "cut"],
)
def test_a_template_that_cannot_put_the_image_between_texts_is_refused(
    body: str, why: str, tiny: Callable[[str], Path]
) -> None:
    template = with_template(tiny, body)
    check_standard(template, load_standard("q-bench"), "a model")
    with pytest.raises(UserError, match=f"a model {why}") as refusal:
        check_standard(template, OFFICIAL, "a model")
    assert not isinstance(refusal.value, ImageError)


def test_lost_white_space_around_the_image_is_said_once(
    tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    template = with_template(tiny, TRIMS)
    check_standard(template, load_standard("quality-word-7"), "a model")
    assert not caplog.records
    check_standard(template, OFFICIAL, "a model")
    assert [record.getMessage() for record in caplog.records] == [
        "dog-iqa-word-7: the chat template of a model changes the white space around the image, so that "
        "crops are asked about as the whole image is."
    ]


@pytest.mark.parametrize("family", ["mplug_owl3_240728", "qwen2_5_vl", "internvl", "qwen3_5"])
def test_whole_image_and_crops_are_rated_under_their_own_prompts(
    family: str, tiny: Callable[[str], Path]
) -> None:
    """In one call, beside a standard of another length and without text before the image."""
    choices = {"raters": [f"hf:{tiny(family)}"], "device": "cpu", "crop": "bbox"}
    method = load_method("llm-iqa", segmenter="grid:1x2", standards=[OFFICIAL.name, OURS.name], **choices)
    images = [Image(picture(seed, *size), "") for seed, size in enumerate([(96, 128), (300, 200)])]
    ((_, rater),) = method.raters.items()
    assert isinstance(rater, ChatRater)
    regions = find_regions(images, method)
    found = rate_images(list(zip(images, regions, strict=True)), rater, method)
    text = rater.model.engine.template.text
    assert text(OFFICIAL.fill()) != text(OFFICIAL.fill(crop=True))
    for image, own, ratings in zip(images, regions, found, strict=True):
        for standard in (OFFICIAL, OURS):
            for view, rating in zip(cut_views(image, own, "bbox"), ratings[standard.name], strict=True):
                ids = rater.model.readout(standard).answers.ids
                alone = [
                    rater.model.last_logprobs([view], standard.fill(crop=crop))[0, list(ids)].log_softmax(-1)
                    for crop in (False, True)
                ]
                assert rating is not None
                mine, other = alone if view.region is None else alone[::-1]
                assert np.abs(np.array(rating.logprobs) - mine.numpy()).max() <= 1e-4
                if standard.crops_differ:
                    assert np.abs(np.array(rating.logprobs) - other.numpy()).max() > 1e-3
    assert 1 <= score_image(images[0], method).score <= 7


def test_a_family_that_puts_images_first_is_refused_by_api_and_command_line(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tiny("llava_next")
    sentence = (
        f"The chat template of {folder} cannot put an image between two texts, as the standard dog-iqa-word-7"
    )
    method = load_method("fast", raters=[f"hf:{folder}"], standards=[OFFICIAL.name], device="cpu")
    with pytest.raises(UserError, match=sentence):
        score_image(Image(picture(0, 60, 60), ""), method)
    command = ["score", str(samples.folder() / "cat.jpg"), "--preset", "fast", "--device", "cpu"]
    command += ["--rater", f"hf:{folder}", "--standard", OFFICIAL.name, "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(cli, command)
    assert isinstance(done.exception, UserError)
    assert sentence in str(done.exception)
