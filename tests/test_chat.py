"""The rater of chat models at work: memory, lost devices, paths that disagree, odd views, free answers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from tests.test_tiny import picture  # noqa: E402
from zeroiqa.chat.inputs import Preprocessor, enlarged  # noqa: E402
from zeroiqa.chat.loading import Loaded, load  # noqa: E402
from zeroiqa.errors import ImageError, UserError  # noqa: E402
from zeroiqa.raters.chat import ChatRater, parse_number  # noqa: E402
from zeroiqa.standards import FilledPrompt, load_standard  # noqa: E402
from zeroiqa.types import Rating, View  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
WORDS, FLOAT = load_standard("quality-word-7"), load_standard("quality-float")
VIEWS = [View(picture(seed, 60 + 40 * seed, 200), None, (500, 640)) for seed in range(6)]
Numbers = npt.NDArray[np.float64]


@pytest.fixture
def loaded(tiny: Callable[[str], Path]) -> Loaded:
    """A model of one's own, to be broken."""
    return load(str(tiny("qwen2_5_vl")), CPU)


@pytest.fixture(scope="module")
def rater(tiny: Callable[[str], Path]) -> ChatRater:
    return ChatRater.of(load(str(tiny("qwen2_5_vl")), CPU))


def numbers(rater: ChatRater, views: list[View] = VIEWS) -> Numbers:
    ratings = [row[0] for row in rater.rate(views, [WORDS])]
    return np.array([[*rating.logprobs, rating.mass] for rating in ratings if rating is not None])


@contextmanager
def fails(model: Any, error: BaseException, when: Callable[[dict[str, Any]], bool]) -> Iterator[None]:
    """The model raises an error in those passes."""

    def before(_: object, __: object, inputs: dict[str, Any]) -> None:
        if when(inputs):
            raise error

    hook = model.register_forward_pre_hook(before, with_kwargs=True)
    yield
    hook.remove()


def shifted(model: Any, when: Callable[[dict[str, Any]], bool]) -> None:
    """The model computes something else in those passes, as after an error in its code."""

    def after(_: object, __: object, inputs: dict[str, Any], output: Any) -> None:
        if when(inputs):
            output.logits[..., ::2] += 1

    model.register_forward_hook(after, with_kwargs=True)


def size(inputs: dict[str, Any]) -> int:
    """Tokens, padding and prefix included."""
    mask = inputs.get("attention_mask")
    return 0 if mask is None else int(mask.numel())


def rows(inputs: dict[str, Any]) -> int:
    """Views in a pass; 0 in some passes of `generate`."""
    mask = inputs.get("attention_mask")
    return 0 if mask is None else len(mask)


def test_running_out_of_memory_halves_the_budget_and_changes_no_rating(loaded: Loaded) -> None:
    rater = ChatRater.of(loaded)
    before, budget = numbers(rater), rater.describe(WORDS)["budget_tokens"]
    out = torch.OutOfMemoryError("CUDA out of memory")
    with fails(loaded.model, out, lambda inputs: size(inputs) > 450):
        assert numbers(rater) == pytest.approx(before, abs=1e-5)
    assert rater.describe(WORDS)["budget_tokens"] < budget


def test_no_memory_for_one_view_is_a_sentence_with_a_way_out(rater: ChatRater) -> None:
    out = torch.OutOfMemoryError("CUDA out of memory")
    with (
        fails(rater.loaded.model, out, lambda inputs: True),
        pytest.raises(UserError, match=r"not enough memory for even one view of \d+ tokens.*--load-in-8bit"),
    ):
        rater.rate(VIEWS[:1], [WORDS])


def test_no_memory_for_one_view_is_noticed_while_loading(loaded: Loaded) -> None:
    out = torch.OutOfMemoryError("CUDA out of memory")
    with (
        fails(loaded.model, out, lambda inputs: True),
        pytest.raises(UserError, match=r"not enough memory for even one view of \d+ tokens"),
    ):
        ChatRater.of(loaded)


def test_a_device_that_is_gone_stops_the_run_and_says_that_it_can_go_on(rater: ChatRater) -> None:
    gone = RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be ...")
    with (
        fails(rater.loaded.model, gone, lambda inputs: True),
        pytest.raises(UserError, match=r"The device cpu failed .* repeat the command to go on\.") as caught,
    ):
        rater.rate(VIEWS, [WORDS])
    assert not isinstance(caught.value, ImageError)


def test_a_device_that_goes_while_paths_are_tried_is_no_slow_path(loaded: Loaded) -> None:
    gone = RuntimeError("CUDA error: an illegal memory access was encountered")
    with (
        fails(loaded.model, gone, lambda inputs: rows(inputs) > 1),
        pytest.raises(UserError, match="The device cpu failed"),
    ):
        ChatRater.of(loaded)


def test_a_model_that_fails_on_one_view_fails_for_this_view_alone(rater: ChatRater) -> None:
    before = numbers(rater)
    lengths = [int(item.length) for item in _items(rater)]
    broken = ValueError("shape mismatch")

    def holds_the_longest(inputs: dict[str, Any]) -> bool:
        return bool((inputs["attention_mask"].sum(1) == max(lengths)).any())

    with fails(rater.loaded.model, broken, holds_the_longest):
        good = [view for view, length in zip(VIEWS, lengths, strict=True) if length < max(lengths)]
        kept = [index for index, length in enumerate(lengths) if length < max(lengths)]
        assert numbers(rater, good) == pytest.approx(before[kept], abs=1e-5)
        with pytest.raises(ImageError, match=r"200 x \d+ pixels cannot be rated .*shape mismatch"):
            rater.rate(VIEWS, [WORDS])


def _items(rater: ChatRater) -> list[Any]:
    engine = rater.model.engine
    text = engine.template.text(WORDS.fill())
    return [engine.preprocessor.prepare(view.pixels, text) for view in VIEWS]


@pytest.mark.parametrize(
    ("when", "path", "named"),
    [
        (lambda inputs: rows(inputs) > 1, "batch", "several views in one batch"),
        (
            lambda inputs: rows(inputs) > 0 and size(inputs) > inputs["input_ids"].numel(),
            "prefix",
            "beginning",
        ),
        (lambda inputs: inputs.get("use_cache") is False, "forward", "one forward pass"),
    ],
)
def test_a_path_that_disagrees_is_left_out_with_a_warning(
    when: Callable[[dict[str, Any]], bool],
    path: str,
    named: str,
    loaded: Loaded,
    rater: ChatRater,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shifted(loaded.model, when)
    with caplog.at_level(logging.WARNING):
        other = ChatRater.of(loaded)

    assert not other.describe(WORDS)["paths"][path] or other.describe(WORDS)["paths"][path] == "off"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert loaded.name in warning and named in warning
    assert numbers(other) == pytest.approx(numbers(rater), abs=1e-5)


def test_a_sound_model_uses_every_path_without_a_warning(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        paths = ChatRater.of(loaded).describe(WORDS)["paths"]

    assert paths == {
        "forward": True,
        "batch": True,
        "vision features": True,
        "prefix": "any",
        "shared view": True,
        "last position": True,
    }
    assert caplog.records == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_paths_agree_in_short_types_and_stay_close_to_float32(
    dtype: str, tiny: Callable[[str], Path], rater: ChatRater
) -> None:
    short = ChatRater.of(load(str(tiny("qwen2_5_vl")), ModelOptions(device="cpu", dtype=dtype)))  # type: ignore[arg-type]
    exact = numbers(rater)

    assert short.describe(WORDS)["paths"]["batch"] is True
    assert np.abs(np.exp(numbers(short)[:, :7]) - np.exp(exact[:, :7])).max() < 0.05


def test_ratings_do_not_depend_on_order_repetition_or_company(rater: ChatRater) -> None:
    together = numbers(rater)
    assert numbers(rater, VIEWS[::-1])[::-1] == pytest.approx(together, abs=1e-5)
    assert numbers(rater, VIEWS[2:3] * 5) == pytest.approx(together[[2] * 5], abs=1e-5)
    assert (numbers(rater) == together).all()


def test_views_prepared_by_threads_rate_the_same(loaded: Loaded) -> None:
    rater = ChatRater.of(loaded)
    before = numbers(rater, VIEWS * 7)
    with ThreadPoolExecutor(3) as pool:
        rater.model.engine._pool = pool
        assert (numbers(rater, VIEWS * 7) == before).all()


def test_a_rating_is_a_distribution_and_the_mass_that_fell_on_it(rater: ChatRater) -> None:
    (rating,) = rater.rate(VIEWS[:1], [WORDS])[0]
    levels = rater.describe(WORDS)["levels"]
    whole = rater.model.last_logprobs(VIEWS[:1], WORDS.fill())[0]

    assert rating is not None
    assert math.fsum(map(math.exp, rating.logprobs)) == pytest.approx(1, abs=1e-5)
    picked = whole[[levels[str(level)] for level in range(1, 8)]]
    assert float(picked.exp().sum()) == pytest.approx(rating.mass, rel=1e-4)
    assert (picked - picked.logsumexp(0)).tolist() == pytest.approx(list(rating.logprobs), abs=1e-5)


def test_the_beginning_of_an_answer_changes_what_comes_next(rater: ChatRater) -> None:
    prompt = FilledPrompt("", "How good is the image?")
    alone, after = (rater.model.last_logprobs(VIEWS[:2], prompt, text) for text in ("", "The quality is"))

    assert alone.dtype == torch.float32
    assert alone.exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert float((alone - after).abs().max()) > 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (700, 2), (3, 3), (27, 31)])
def test_tiny_and_thin_views_are_rated(shape: tuple[int, int], rater: ChatRater) -> None:
    view = View(np.full((*shape, 3), 90, dtype=np.uint8), None, (700, 700))
    ((rating,),) = rater.rate([view], [WORDS])
    assert rating is not None and all(map(math.isfinite, rating.logprobs))


def test_enlarging_repeats_pixels_until_the_sides_are_long_enough_and_alike_enough() -> None:
    def size(height: int, width: int, least: int) -> tuple[int, ...]:
        return enlarged(np.zeros((height, width, 3), dtype=np.uint8), least).shape[:2]

    assert size(1, 1, 28) == (28, 28)
    assert size(10, 300, 28) == (30, 300)
    assert size(1, 5000, 28) == (50, 5000)
    pixels = np.zeros((28, 2800, 3), dtype=np.uint8)
    assert enlarged(pixels, 28) is pixels


def test_a_model_without_numbers_for_a_view_is_an_error_of_the_image(rater: ChatRater) -> None:
    def after(_: object, __: object, ___: object, output: Any) -> None:
        output.logits[:] = math.nan

    hook = rater.loaded.model.register_forward_hook(after, with_kwargs=True)
    with pytest.raises(ImageError, match="no numbers"):
        rater.rate(VIEWS[:1], [WORDS])
    hook.remove()


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("4.5", 4.5),
        (" 6", 6.0),
        ("Score: 3.25.", 3.25),
        ("7/7", 7.0),
        ("**5.0**", 5.0),
        ("1", 1.0),
        ("0.99", None),
        ("7.01", None),
        ("-3", None),
        ("4,5", None),
        ("1 to 7", None),
        ("1-7", None),
        ("between 1 and 7", None),
        ("4omp", None),
        ("x4", None),
        ("1,000", None),
        ("", None),
        ("none", None),
        ("1.2.3", None),
    ],
)
def test_a_number_is_read_where_it_is_one_on_the_scale(answer: str, value: float | None) -> None:
    assert parse_number(answer, 7) == value


def test_levels_and_a_free_answer_are_asked_for_side_by_side(rater: ChatRater) -> None:
    ratings = rater.rate(VIEWS[:2], [WORDS, FLOAT, WORDS])
    assert [[type(rating) for rating in row[::2]] for row in ratings] == [[Rating, Rating]] * 2
    assert all(row[0] == row[2] for row in ratings)


@pytest.mark.gpu
def test_a_gpu_rates_as_the_cpu_does(tiny: Callable[[str], Path], rater: ChatRater) -> None:
    exact = ChatRater.of(load(str(tiny("qwen2_5_vl")), ModelOptions(device="cuda", dtype="float32")))
    short = ChatRater.of(load(str(tiny("qwen2_5_vl")), ModelOptions(device="cuda")))

    assert numbers(exact) == pytest.approx(numbers(rater), abs=5e-3)
    assert short.loaded.dtype == torch.bfloat16
    assert np.abs(np.exp(numbers(short)[:, :7]) - np.exp(numbers(rater)[:, :7])).max() < 0.05


def test_a_start_token_is_there_once_whatever_it_is_called(tiny: Callable[[str], Path]) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny("gemma3"))
    tokenizer, ids = processor.tokenizer, processor.tokenizer.convert_tokens_to_ids
    around = [(token, ids(token)) for token in ("<bos>", "<eos>")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("<bos> $A <eos>", special_tokens=around)
    tokenizer.bos_token = None
    encode = Preprocessor(processor, "a model").encode
    assert encode("user: Hi") == [ids("<bos>"), *encode("<bos>user: Hi")[1:], ids("<eos>")]
    assert encode("<bos>user: Hi").count(ids("<bos>")) == 1
    assert ids("<eos>") not in encode("<bos>user: Hi")
