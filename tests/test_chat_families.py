"""Chat models of every family: whatever makes rating fast gives what `generate` gives one view at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from tests.test_tiny import picture  # noqa: E402
from tests.tiny import FAMILIES, NATIVE, UNLISTED, build, load_parts, tokenizer, unlisted_more  # noqa: E402
from tests.tiny.checkpoint import write  # noqa: E402
from zeroiqa.chat.paths import Paths  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.settings import load_settings  # noqa: E402
from zeroiqa.standards import Standard, load_standard  # noqa: E402
from zeroiqa.types import Rating, View  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

ALL = [*FAMILIES, *UNLISTED, *NATIVE]
EXACT = 1e-4
"""Of log-probabilities in float32."""
CROSS_ATTENDING = "mllama"
"""Its image is no part of the prompt: the prompt's beginning cannot be computed without it."""
ALIKE = [family for family in ALL if family != CROSS_ATTENDING]
OTHERWISE_FINISHED = ("llava_onevision", "aya_vision", "qwen3_5")
"""Their templates write a finished answer in another way than after the generation prompt."""
SPACED = ("idefics3", "smolvlm")
PADDING_AVERSE = ("gemma3", "qwen3_5", "minicpmv4_6", "minicpmv4_7", "aya_vision", "lfm2_vl", "minimax_m3_vl")
"""Windows, recurrent layers and blocks would see padding between a shared prefix and the rest."""
SIZES = ((96, 128), (300, 200), (60, 180), (96, 128), (224, 224))
VIEWS = [
    View(picture(seed, *size), None, (500, 640), f"a red fox in {'deep ' * seed}snow")
    for seed, size in enumerate(SIZES)
]
"""Of different lengths in tokens for every family, by their sizes or by their prompts."""
STANDARDS = [load_standard(name) for name in ("quality-word-7", "correspondence-word-7", "quality-word-5")]

Numbers = npt.NDArray[np.float64]


class Model(NamedTuple):
    """A rater with its weights loaded, and what was logged meanwhile."""

    rater: ChatRater
    folder: Path
    warnings: list[str]


@pytest.fixture(scope="module")
def models(tiny: Callable[[str], Path]) -> Callable[[str], Model]:
    loaded: dict[str, Model] = {}

    def model(family: str) -> Model:
        if family not in loaded:
            rater = ChatRater(str(tiny(family)), ModelOptions(device="cpu"))
            with _Warnings() as warnings:
                rater.describe(STANDARDS[0])
            loaded[family] = Model(rater, tiny(family), warnings.messages)
        return loaded[family]

    return model


class _Warnings(logging.Handler):
    """What the raters' modules warn of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "rarely answers by a level" not in record.getMessage():  # random weights do
            self.messages.append(record.getMessage())

    def __enter__(self) -> _Warnings:
        logging.getLogger("zeroiqa").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger("zeroiqa").removeHandler(self)


@pytest.fixture
def walk(models: Callable[[str], Model]) -> Iterator[Callable[..., Numbers]]:
    """Ratings on other paths than those that the rater chose."""
    used: list[tuple[Any, Paths]] = []

    def ratings(family: str, **changes: object) -> Numbers:
        engine = models(family).rater.model.engine
        used.append((engine, engine.paths))
        engine.paths = replace(engine.paths, **changes)  # type: ignore[arg-type]
        try:
            return numbers(models(family).rater.rate(VIEWS, STANDARDS))
        finally:
            engine.paths = used[-1][1]

    yield ratings
    for engine, paths in reversed(used):
        engine.paths = paths


def numbers(ratings: Sequence[Sequence[Rating | None]]) -> Numbers:
    """[view, standard, ...]: log-probabilities of nine levels (0 where there are fewer), and log mass."""

    def row(rating: Rating | None) -> list[float]:
        assert rating is not None
        return [*rating.logprobs, *[0.0] * (9 - len(rating.logprobs)), float(np.log(rating.mass))]

    return np.array([[row(rating) for rating in view] for view in ratings])


def difference(one: Numbers, other: Numbers) -> float:
    return float(np.abs(one - other).max())


class Transformers:
    """The same numbers by the classes alone: their processor, `generate` of one token, the logits of that."""

    def __init__(self, model: Model) -> None:
        self._network, self._processor = load_parts(model.folder)
        self._rater = model.rater

    def rate(self, view: View, standard: Standard) -> list[float]:
        """A row of `numbers`."""
        from PIL import Image

        described = self._rater.describe(standard)
        text = described["prompt"].replace("a photo of a cat", view.prompt)
        bos = self._processor.tokenizer.bos_token
        inputs = self._processor(
            images=[Image.fromarray(view.pixels)],
            text=[text],
            return_tensors="pt",
            add_special_tokens=bos is None or not text.startswith(bos),
        )
        answer = self._network.generate(
            **inputs, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
        logits = answer.logits[0][0].double()
        levels = logits[[described["levels"][str(level)] for level in range(1, standard.k + 1)]]
        mass = float(levels.logsumexp(-1) - logits.logsumexp(-1))
        return [*levels.log_softmax(-1).tolist(), *[0.0] * (9 - standard.k), mass]


@pytest.mark.parametrize("family", ALL)
def test_a_batch_of_mixed_sizes_answers_as_generate_does_view_by_view(
    family: str, models: Callable[[str], Model]
) -> None:
    batched = numbers(models(family).rater.rate(VIEWS[:3], STANDARDS))
    slow = Transformers(models(family))
    one_by_one = np.array([[slow.rate(view, standard) for standard in STANDARDS] for view in VIEWS[:3]])

    assert difference(batched, one_by_one) < EXACT


@pytest.mark.parametrize("family", ALIKE)
def test_every_fast_path_is_in_use_without_a_warning(family: str, models: Callable[[str], Model]) -> None:
    paths = models(family).rater.model.engine.paths

    assert models(family).warnings == []
    assert (paths.forward, paths.batch, paths.features) == (True, True, True)
    assert paths.trunk == ("picture" if family in NATIVE else "text")  # what looks at it from every token
    assert paths.prefix == ("equal" if family in PADDING_AVERSE else "any")


def test_a_path_that_disagrees_with_generate_is_left_out_with_a_warning(
    models: Callable[[str], Model],
) -> None:
    model = models(CROSS_ATTENDING)
    paths = model.rater.model.engine.paths

    assert (paths.forward, paths.batch, paths.features, paths.prefix) == (True, True, False, "off")
    assert len(model.warnings) == 1 and "disagrees with the reference" in model.warnings[0]
    why = model.rater.describe(STANDARDS[0])["why"]
    assert why["prefix"] == "disagrees with the reference" and "cannot be run apart" in why["vision features"]


@pytest.mark.parametrize("family", ALL)
def test_each_path_gives_the_ratings_of_the_slow_one(family: str, walk: Callable[..., Numbers]) -> None:
    slow = walk(family, forward=False, batch=False, features=False, prefix="off")

    assert difference(walk(family), slow) < EXACT
    assert difference(walk(family, prefix="off"), slow) < EXACT
    assert difference(walk(family, features=False), slow) < EXACT
    assert difference(walk(family, batch=False), slow) < EXACT


@pytest.mark.parametrize("family", ALL)
def test_views_one_by_one_and_in_another_order_get_the_same_ratings(
    family: str, models: Callable[[str], Model]
) -> None:
    rater = models(family).rater
    together = numbers(rater.rate(VIEWS, STANDARDS))
    backwards = numbers(rater.rate(VIEWS[::-1], STANDARDS))[::-1]
    alone = np.concatenate([numbers(rater.rate([view], STANDARDS)) for view in VIEWS])

    assert difference(together, backwards) < EXACT
    assert difference(together, alone) < EXACT


@pytest.mark.parametrize("family", ALIKE)
def test_standards_in_one_call_share_the_vision_encoder_and_rate_as_alone(
    family: str, models: Callable[[str], Model], walk: Callable[..., Numbers]
) -> None:
    rater = models(family).rater
    alone = [numbers(rater.rate(VIEWS, [standard])) for standard in STANDARDS]
    with _Calls(rater) as together:
        shared = numbers(rater.rate(VIEWS, STANDARDS))
    with _Calls(rater) as apart:
        walk(family, features=False)

    assert difference(shared, np.concatenate(alone, axis=1)) < EXACT
    assert 0 < together.vision * len(STANDARDS) == apart.vision


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_5", "internvl"])
def test_ten_probes_are_one_encoding_one_trunk_and_ten_ends(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "WORDS", f"{tokenizer.WORDS} A B C D E")  # as any real one has them
    probes = [load_standard(name) for name in load_settings("probes").standards]
    rater = ChatRater(str(build(family, tmp_path / "model")), ModelOptions(device="cpu"))
    rater.describe(probes[0])
    with _Calls(rater) as calls:
        (ratings,) = rater.rate(VIEWS[:1], probes)

    assert (calls.vision, calls.rows) == (1, 1 + 10)
    assert len({rating and rating.logprobs for rating in ratings}) == 10
    alone = numbers(rater.rate(VIEWS[:1], probes[-1:]))
    assert difference(numbers([ratings])[:, -1:], alone) < EXACT


class _Calls:
    """Counts the passes of the vision encoder, and the rows of those of the whole model."""

    def __init__(self, rater: ChatRater) -> None:
        self._model = rater.model.engine.loaded.model
        base = self._model.base_model
        names = ("visual", "vision_tower", "vision_model")
        self._encoder = next(getattr(base, name) for name in names if hasattr(base, name))
        self.vision = self.rows = 0

    def __enter__(self) -> _Calls:
        self._hooks = (
            self._encoder.register_forward_hook(self._count),
            self._model.register_forward_hook(self._count_rows),
        )
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _count(self, *arguments: object) -> None:
        self.vision += 1

    def _count_rows(self, _: object, __: object, output: Any) -> None:
        self.rows += len(output.logits)


@pytest.mark.parametrize("family", ALL)
def test_the_rating_depends_on_the_image_and_on_the_standard(
    family: str, models: Callable[[str], Model]
) -> None:
    one, other = VIEWS[0], replace(VIEWS[0], pixels=VIEWS[3].pixels)
    probabilities = np.exp(numbers(models(family).rater.rate([one, other], STANDARDS)))

    assert one.pixels.shape == other.pixels.shape
    assert np.abs(probabilities[0] - probabilities[1]).max(axis=-1).min() > 1e-3
    assert np.abs(probabilities[:, 0] - probabilities[:, 1]).max() > 1e-3


@pytest.mark.parametrize("family", ALL)
def test_the_prompt_of_an_image_reaches_the_model(family: str, models: Callable[[str], Model]) -> None:
    fox, cat = VIEWS[0], replace(VIEWS[0], prompt="a cat {levels} on a sofa, 4k")
    correspondence = STANDARDS[1:2]
    both = np.exp(numbers(models(family).rater.rate([fox, cat], correspondence)))
    alone = np.exp(numbers(models(family).rater.rate([cat], correspondence)))

    assert difference(both[0], both[1]) > 1e-3
    assert difference(both[1:], alone) < EXACT


@pytest.mark.parametrize("family", ALL)
def test_level_tokens_are_those_of_an_answer_that_the_template_itself_writes(
    family: str, models: Callable[[str], Model]
) -> None:
    model, standard = models(family), load_standard("quality-word-9")
    processor = load_parts(model.folder)[1]
    described, user = model.rater.describe(standard), standard.fill().user
    prompt = described["prompt"]
    ids = [described["levels"][str(level)] for level in range(1, 10)]

    assert len(set(ids)) == 9
    assert [processor.tokenizer.decode([token]).strip() for token in ids] == [str(n) for n in range(1, 10)]
    for level, token in enumerate(ids, start=1):
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": user}]}
        answer = {"role": "assistant", "content": [{"type": "text", "text": str(level)}]}
        written = processor.apply_chat_template([turn, answer], continue_final_message=True, tokenize=False)
        if family in OTHERWISE_FINISHED:
            written = f"{prompt}{level}"
        whole = prompt.rpartition(user)[0] + user + written.rpartition(user)[2]
        encoded = [processor.tokenizer(text)["input_ids"] for text in (prompt, whole)]
        assert encoded[1] == [*encoded[0], token]


@pytest.mark.parametrize("family", ["minicpmv4_6", "minicpmv4_7", "qwen3_5"])
def test_a_family_that_can_think_is_asked_for_the_answer_at_once(
    family: str, models: Callable[[str], Model]
) -> None:
    prompt = models(family).rater.describe(STANDARDS[0])["prompt"]

    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize("family", SPACED)
def test_an_answer_after_assistant_begins_with_a_space(family: str, models: Callable[[str], Model]) -> None:
    described = models(family).rater.describe(STANDARDS[0])
    tokenizer = models(family).rater.model.engine.loaded.processor.tokenizer
    seven = described["levels"]["7"]

    assert (described["prompt"][-11:] + tokenizer.decode([seven])).endswith("Assistant: 7")
    assert seven == tokenizer.encode("Assistant: 7", add_special_tokens=False)[-1]


@pytest.mark.parametrize("family", ALL)
def test_last_logprobs_hold_the_ratings(family: str, models: Callable[[str], Model]) -> None:
    rater, standard = models(family).rater, STANDARDS[0]
    described = rater.describe(standard)
    lead = " " if described["prompt"].endswith(": ") or described["prompt"].endswith("[/INST] ") else ""
    logprobs = rater.model.last_logprobs(VIEWS, standard.fill(), answer_prefix=lead)
    levels = logprobs[:, [described["levels"][str(level)] for level in range(1, 8)]].double()
    rated = numbers(rater.rate(VIEWS, [standard]))[:, 0]

    assert logprobs.dtype == torch.float32
    assert logprobs.exp().sum(-1).numpy() == pytest.approx(1, abs=1e-4)
    assert difference(levels.log_softmax(-1).numpy(), rated[:, :7]) < EXACT
    assert difference(levels.logsumexp(-1).numpy(), rated[:, -1]) < EXACT
    assert (
        difference(rater.model.last_logprobs(VIEWS, standard.fill(), "I rate it").numpy(), logprobs.numpy())
        > 1e-2
    )


def test_more_views_than_are_prepared_at_once_keep_their_order(models: Callable[[str], Model]) -> None:
    rater = models("qwen2_5_vl").rater
    views = [replace(VIEWS[0], pixels=picture(seed, 28 + 14 * (seed % 3), 56)) for seed in range(70)]
    together = numbers(rater.rate(views, STANDARDS[:1]))

    for place in (0, 1, 33, 69):
        assert difference(together[place], numbers(rater.rate([views[place]], STANDARDS[:1]))[0]) < EXACT
    assert len(np.unique(together.round(5), axis=0)) == len(views)


@pytest.mark.parametrize("family", ALL)
def test_views_of_any_shape_are_rated_the_same_alone_and_among_others(
    family: str, models: Callable[[str], Model]
) -> None:
    rater = models(family).rater
    odd = [replace(VIEWS[0], pixels=picture(9, *size)) for size in ((1, 1), (2, 3), (1, 500), (900, 3))]
    together = numbers(rater.rate([VIEWS[0], *odd, VIEWS[1]], STANDARDS[:1]))[1:-1]
    alone = np.concatenate([numbers(rater.rate([view], STANDARDS[:1])) for view in odd])

    assert np.isfinite(alone).all()
    assert difference(together, alone) < EXACT


def test_an_encoder_with_a_decoder_is_rated_by_generate(tmp_path: Path) -> None:
    rater = ChatRater(str(write(unlisted_more.t5gemma2(), tmp_path / "t5gemma2")), ModelOptions(device="cpu"))
    with _Warnings() as warnings:
        rated = numbers(rater.rate(VIEWS[:2], STANDARDS[:1]))[:, 0]
    slow = Transformers(Model(rater, tmp_path / "t5gemma2", warnings.messages))
    likeliest = int(rater.model.last_logprobs(VIEWS[:1], STANDARDS[0].fill())[0].argmax())

    assert len(warnings.messages) == 1
    assert "one forward pass instead of generate" in warnings.messages[0]
    assert difference(rated, np.array([slow.rate(view, STANDARDS[0]) for view in VIEWS[:2]])) < EXACT
    assert rater.model.answer_text(VIEWS[0], STANDARDS[0].fill(), 2).text.startswith(
        rater.model.token_text(likeliest)
    )


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision", "smolvlm", "gemma3", *NATIVE])
def test_in_bfloat16_a_batch_gives_the_scores_of_one_view_at_a_time(
    family: str, tiny: Callable[[str], Path], models: Callable[[str], Model]
) -> None:
    rater = ChatRater(str(tiny(family)), ModelOptions(device="cpu", dtype="bfloat16"))
    levels = np.arange(1, 8)
    together, alone, exact = (
        np.exp(numbers(ratings)[:, 0, :7]) @ levels
        for ratings in (
            rater.rate(VIEWS, STANDARDS[:1]),
            [rater.rate([view], STANDARDS[:1])[0] for view in VIEWS],
            models(family).rater.rate(VIEWS, STANDARDS[:1]),
        )
    )

    assert np.abs(together - alone).max() < 0.1
    assert np.abs(together - exact).max() < 0.5
