"""Models with a cache, features and options in ways of their own: what is used, what is said, the numbers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from transformers.utils import ModelOutput  # noqa: E402

from tests.test_chat import CPU, VIEWS, WORDS, Numbers, numbers  # noqa: E402
from zeroiqa.chat.caching import CacheError, check_used, find_cache, see  # noqa: E402
from zeroiqa.chat.loading import Loaded, load  # noqa: E402
from zeroiqa.cli.commands.models import _described  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402

USUAL = ("cache", "past_key_values")
Forward = Callable[..., Any]


@pytest.fixture
def loaded(tiny: Callable[[str], Path]) -> Loaded:
    """A model of one's own, to be changed."""
    return load(str(tiny("qwen2_5_vl")), CPU)


@pytest.fixture(scope="module")
def expected(tiny: Callable[[str], Path]) -> Numbers:
    return numbers(ChatRater.of(load(str(tiny("qwen2_5_vl")), CPU)), VIEWS[:3])


@pytest.fixture(scope="module")
def own_name(tiny: Callable[[str], Path]) -> str:
    """What this version of transformers calls a cache."""
    model = load(str(tiny("qwen2_5_vl")), CPU).model
    return find_cache(model(input_ids=torch.tensor([[5, 6, 7]]), use_cache=True))[0]


def altered(model: Any, change: Callable[[Forward], Forward], unknown: str = "") -> None:
    """Let a model's forward be called in another way; its signature, which `generate` reads, lacks a name."""
    forward = wraps(model.forward)(change(model.forward))
    known = inspect.signature(forward)
    forward.__signature__ = known.replace(  # type: ignore[attr-defined]
        parameters=[one for name, one in known.parameters.items() if name != unknown]
    )
    model.forward = forward


def without_usual(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name not in USUAL}


@dataclass
class Renamed(ModelOutput):
    """What a model of a later version might return."""

    logits: Any = None
    kept_states: Any = None


def renamed(own: str) -> Callable[[Forward], Forward]:
    """Takes and gives a cache under a third name; any other passes without a word."""

    def change(forward: Forward) -> Forward:
        def called(kept_states: Any = None, **inputs: Any) -> Renamed:
            output = forward(**without_usual(inputs), **{own: kept_states})
            return Renamed(output.logits, find_cache(output)[1])

        return called

    return change


def renamed_and_given_back_as_before(own: str) -> Callable[[Forward], Forward]:
    return lambda forward: (
        lambda kept_states=None, **inputs: forward(**without_usual(inputs), **{own: kept_states})
    )


def taken_by_the_old_name(own: str) -> Callable[[Forward], Forward]:
    """As code of its own that is older than the library does."""

    def change(forward: Forward) -> Forward:
        def called(past_key_values: Any = None, **inputs: Any) -> Any:
            return forward(**without_usual(inputs), **{own: past_key_values})

        return called

    return change


def refused(own: str) -> Callable[[Forward], Forward]:
    """Tokens behind a cache are no business of this model."""

    def change(forward: Forward) -> Forward:
        def called(**inputs: Any) -> Any:
            cache = find_cache(inputs)[1]
            if cache is not None and cache.get_seq_length():
                raise TypeError("forward() got a cache that it does not expect")
            return forward(**inputs)

        return called

    return change


def kept_back(own: str) -> Callable[[Forward], Forward]:
    return lambda forward: lambda **inputs: Renamed(forward(**inputs).logits)


@pytest.mark.parametrize(
    ("change", "prefix", "cause"),
    [
        (renamed, "any", ""),
        (taken_by_the_old_name, "any", ""),
        (renamed_and_given_back_as_before, "off", "cannot be tried (the model ignores the cache that it is"),
        (refused, "off", "fails with TypeError: forward() got a cache that it does not expect"),
        (kept_back, "off", "cannot be tried (the model gives no cache back)"),
    ],
)
def test_a_prefix_is_shared_or_the_cause_is_said_and_the_numbers_are_right(
    change: Callable[[str], Callable[[Forward], Forward]],
    prefix: str,
    cause: str,
    own_name: str,
    loaded: Loaded,
    expected: Numbers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    altered(loaded.model, change(own_name))
    with caplog.at_level(logging.WARNING):
        rater = ChatRater.of(loaded)
    described = rater.describe(WORDS)
    said = [record.getMessage() for record in caplog.records]

    assert described["paths"]["prefix"] == prefix
    assert len(said) == bool(cause) and all(cause in line and loaded.name in line for line in said)
    shown = "\n".join(_described(rater, [WORDS]))
    assert f"prefix {prefix}" in shown and (not cause or f"prefix off: {cause}" in shown)
    assert cause in described["why"].get("prefix", "") and "disagrees" not in "".join(said)
    assert numbers(rater, VIEWS[:3]) == pytest.approx(expected, abs=1e-4)


def features_ignored(forward: Forward) -> Forward:
    return lambda mm_encoder_outputs=None, **inputs: forward(**inputs)


def features_refused(forward: Forward) -> Forward:
    def called(**inputs: Any) -> Any:
        if inputs.get("mm_encoder_outputs") is not None:
            raise TypeError("forward() got an unexpected keyword argument 'mm_encoder_outputs'")
        return forward(**inputs)

    return called


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (features_ignored, "cannot be tried (the model ignores the features that it is given)"),
        (features_refused, "fails with TypeError: forward() got an unexpected keyword argument"),
    ],
)
def test_features_that_are_not_taken_are_left_out_with_the_cause(
    change: Callable[[Forward], Forward],
    cause: str,
    loaded: Loaded,
    expected: Numbers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    altered(loaded.model, change, "mm_encoder_outputs")
    rater = ChatRater.of(loaded)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert f"vision features computed once {cause}" in said
    assert cause in rater.describe(WORDS)["why"]["vision features"]
    assert numbers(rater, VIEWS[:3]) == pytest.approx(expected, abs=1e-4)


def positions_refused(forward: Forward) -> Forward:
    def called(**inputs: Any) -> Any:
        if "position_ids" in inputs:
            raise TypeError("forward() got an unexpected keyword argument 'position_ids'")
        return forward(**inputs)

    return called


def positions_ignored(forward: Forward) -> Forward:
    return lambda position_ids=None, **inputs: forward(**inputs)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (positions_refused, "a pass that is given positions fails with TypeError"),
        (positions_ignored, "for views of different lengths disagrees with the reference"),
    ],
)
def test_behind_a_prefix_that_shifts_the_rest_there_is_no_padding(
    change: Callable[[Forward], Forward],
    cause: str,
    tiny: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The family has as many tokens for every picture of some sizes, those of the check among them."""
    plain, changed = (load(str(tiny("smolvlm")), CPU) for _ in range(2))
    altered(changed.model, change, "position_ids")
    rater = ChatRater.of(changed)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert cause in said
    assert rater.describe(WORDS)["paths"]["batch"] and rater.describe(WORDS)["paths"]["prefix"] == "equal"
    assert numbers(rater, VIEWS[:3]) == pytest.approx(numbers(ChatRater.of(plain), VIEWS[:3]), abs=1e-4)


def test_a_model_that_knows_no_options_is_rated_without_them(loaded: Loaded, expected: Numbers) -> None:
    def change(forward: Forward) -> Forward:
        def called(**inputs: Any) -> Any:
            if "logits_to_keep" in inputs or inputs.get("use_cache") is False:
                raise TypeError("forward() got an unexpected keyword argument")
            return forward(**inputs)

        return called

    altered(loaded.model, change, "logits_to_keep")
    rater = ChatRater.of(loaded)
    described = rater.describe(WORDS)

    assert rater.model.engine.forward.without_cache == {}
    assert described["paths"]["forward"] and described["paths"]["prefix"] == "any"
    assert described["why"] == {"last position": "the model computes the logits of every position"}
    assert numbers(rater, VIEWS[:3]) == pytest.approx(expected, abs=1e-4)


def test_a_processor_without_batches_is_named_as_the_cause(
    loaded: Loaded, expected: Numbers, caplog: pytest.LogCaptureFixture
) -> None:
    kind = type(loaded.processor)

    class Single(kind):  # type: ignore[misc, valid-type]
        def __call__(self, images: Any = None, **inputs: Any) -> Any:
            if len(images) > 1:
                raise NotImplementedError("one picture at a time")
            return super().__call__(images=images, **inputs)

    loaded.processor.__class__ = Single
    rater = ChatRater.of(loaded)
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert "several views in one batch cannot be tried (the processor makes no batch: NotImplemented" in said
    assert rater.describe(WORDS)["paths"]["batch"] is False
    assert numbers(rater, VIEWS[:3]) == pytest.approx(expected, abs=1e-4)


def test_a_cache_that_has_not_grown_was_not_used(loaded: Loaded) -> None:
    model, ids = loaded.model, torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        seen = see(model, {"input_ids": ids})
        given = seen.repeated(torch.zeros(2, dtype=torch.long))
        model(input_ids=ids[:, :1].repeat(2, 1), **{seen.arguments[0]: given}, use_cache=True)

    assert seen.length == 4 and find_cache({"input_ids": ids, "kept": given}) == ("kept", given)
    assert find_cache({"input_ids": ids, seen.arguments[0]: None}) == ("", None)
    check_used(given, 5, "kept")
    with pytest.raises(CacheError, match="ignores the cache that it is given as 'kept'"):
        check_used(seen.cache, 5, "kept")
