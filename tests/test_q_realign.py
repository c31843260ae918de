"""Q-ReAlign as its README runs it: prompt, ids and score, under both chat templates of Qwen3.5."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from PIL import Image  # noqa: E402
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from tests.test_chat import CPU, VIEWS  # noqa: E402
from tests.tiny import load_parts, qwen  # noqa: E402
from tests.tiny.checkpoint import write  # noqa: E402
from zeroiqa.chat.inputs import Preprocessor  # noqa: E402
from zeroiqa.chat.prompt import read_template  # noqa: E402
from zeroiqa.chat.readouts import read_levels  # noqa: E402
from zeroiqa.chat.tokens import first_tokens  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.standards import Standard, load_standard  # noqa: E402

QUALITY, AESTHETICS = load_standard("q-realign"), load_standard("q-realign-aesthetics")
OPEN = qwen.THOUGHT
"""Of the template of Qwen3.5-4B and -9B, SHA-256 a4aee8af: a thought, unless told otherwise."""
CLOSED = (
    "{% if enable_thinking is defined and enable_thinking is true %}<think>\n"
    "{% else %}<think>\n\n</think>\n\n{% endif %}"
)
"""Of the template of Qwen3.5-0.8B, SHA-256 273d8e0e: none, unless told otherwise."""
SENT = (
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{question}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n{stem}"
)
ASKED = {
    QUALITY: SENT.format(
        question="How would you rate the quality of this image?", stem="The quality of the image is"
    ),
    AESTHETICS: SENT.format(
        question="How is the aesthetics of this image?", stem="The aesthetics of the image is"
    ),
}
WEIGHTS = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0])
WORDS = ("excellent", "good", "fair", "poor", "bad")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same weights beside either template."""
    written = {}
    for thought in (OPEN, CLOSED):
        parts = qwen.qwen3_5()
        parts.processor.chat_template = parts.processor.chat_template.replace(OPEN, thought)
        written[thought] = write(parts, tmp_path_factory.mktemp("q-realign") / "model")
    return written


@pytest.fixture(scope="module")
def raters(folders: dict[str, Path]) -> dict[str, ChatRater]:
    return {thought: ChatRater(str(folder), CPU) for thought, folder in folders.items()}


@pytest.mark.parametrize("standard", [QUALITY, AESTHETICS], ids=lambda standard: standard.name)
def test_the_prompt_is_the_official_one_and_the_score_that_of_either_template(
    standard: Standard, raters: dict[str, ChatRater]
) -> None:
    """The README's own lines pass nothing to the template, and leave the thought open under one of them."""
    ratings = []
    for rater in raters.values():
        assert rater.describe(standard)["prompt"] == ASKED[standard]
        ratings.append(rater.rate(VIEWS[:2], [standard]))
    assert ratings[0] == ratings[1]


@pytest.mark.parametrize("standard", [QUALITY, AESTHETICS], ids=lambda standard: standard.name)
def test_the_mean_level_is_the_score_that_the_model_alone_gives(
    standard: Standard, raters: dict[str, ChatRater], folders: dict[str, Path]
) -> None:
    """Softmax over the words' logits, weights 1 to 0: a score in [0, 1], which is (level - 1) / 4."""
    model, processor = load_parts(folders[CLOSED])
    ids = [processor.tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in WORDS]
    for view, (rating,) in zip(VIEWS[:2], raters[OPEN].rate(VIEWS[:2], [standard]), strict=True):
        inputs = processor(text=[ASKED[standard]], images=[Image.fromarray(view.pixels)], return_tensors="pt")
        with torch.inference_mode():
            shares = model(**inputs).logits[0, -1, ids].softmax(-1)
        assert rating is not None
        level = sum(k * p for k, p in enumerate(torch.tensor(rating.logprobs).exp().tolist(), start=1))
        assert (level - 1) / 4 == pytest.approx(float(shares @ WEIGHTS), abs=1e-6)


def test_equal_logits_are_the_middle() -> None:
    (rating,) = read_levels(torch.zeros(1, 5), range(5))
    level = sum(k * p for k, p in enumerate(torch.tensor(rating.logprobs).exp().tolist(), start=1))
    assert level == pytest.approx(3) and (level - 1) / 4 == pytest.approx(0.5)


PIECES = {
    "user": 846, "\n": 198, "How": 4199, " would": 1000, " you": 488, " rate": 4238, " the": 279,
    " quality": 4131, " of": 314, " this": 411, " image": 2099, "?": 30, "assistant": 74455, "\n\n": 271,
    "The": 760, " is": 369, " excellent": 8800, " good": 1603, " fair": 6415, " poor": 7604, " bad": 3743,
}  # fmt: skip
"""Ids of these words in the vocabulary of Qwen3.5; each is one token there."""
CONTROL = {
    "<|endoftext|>": 248044, "<|im_start|>": 248045, "<|im_end|>": 248046, "<|vision_start|>": 248053,
    "<|vision_end|>": 248054, "<|vision_pad|>": 248055, "<|image_pad|>": 248056, "<|video_pad|>": 248057,
    "<think>": 248068, "</think>": 248069,
}  # fmt: skip
SPLIT = r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"


def cut_tokenizer() -> PreTrainedTokenizerFast:
    """The part of Qwen3.5's vocabulary that the prompt needs, at its real ids, split as it splits."""
    tokenizer = Tokenizer(models.WordLevel({**PIECES, **CONTROL, "<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(CONTROL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|endoftext|>", eos_token="<|im_end|>", padding_side="left"
    )


@pytest.mark.parametrize("thought", [OPEN, CLOSED], ids=["open", "closed"])
def test_the_ids_are_those_of_the_real_vocabulary(thought: str) -> None:
    processor = qwen._processor(type(qwen.qwen3_5().processor), cut_tokenizer(), 16, "")
    processor.chat_template = processor.chat_template.removesuffix("{% endif %}") + thought + "{% endif %}"
    template, preprocessor = read_template(processor, "q-realign"), Preprocessor(processor, "q-realign")
    text = template.text(QUALITY.fill()) + template.beginning(QUALITY.fill())
    ids = preprocessor.prepare(VIEWS[0].pixels, text).ids
    shown = [token for token in ids if token != CONTROL["<|image_pad|>"]]

    assert shown == [
        248045, 846, 198, 248053, 248054, 4199, 1000, 488, 4238, 279, 4131, 314, 411, 2099, 30, 248046, 198,
        248045, 74455, 198, 248068, 271, 248069, 271, 760, 4131, 314, 279, 2099, 369,
    ]  # fmt: skip
    words = first_tokens(preprocessor.encode, text, QUALITY.levels, (" ",), "q-realign")
    assert words.ids == (3743, 7604, 6415, 1603, 8800)


def test_nothing_is_read_that_the_preset_does_not_name() -> None:
    """The README's settings: the whole image, the mean of the words."""
    from zeroiqa.settings import load_settings

    settings = load_settings("q-realign")
    assert (settings.crop, settings.readout, settings.standards) == ("whole", "expected", ("q-realign",))
    assert settings.raters == ("q-realign-mini",)
