"""`load_method`: segmenter and raters, built once for many calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from zeroiqa.choices import chosen_settings
from zeroiqa.errors import UserError
from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.guesses import guessed
from zeroiqa.pipeline import Method, build_method
from zeroiqa.runs.begin import log_sentence
from zeroiqa.runs.device import check_device
from zeroiqa.settings import DEFAULT_PRESET


class Overrides(TypedDict, total=False):
    """Fields of the preset that a caller may put in its place; see `zeroiqa.settings.Settings`.

    Where a sequence is taken, a single text is one, too.
    """

    segmenter: str
    granularity: str
    min_area: float
    complement: bool
    min_pixels: int
    complement_rule: str
    raters: str | Sequence[str]
    rater_weights: Sequence[float]
    standard_weights: Sequence[float]
    mass_threshold: float
    word_mass_threshold: float
    standards: str | Sequence[str]
    crop: str
    regions: bool
    readout: str
    weighting: str
    lam: float
    normalize_areas: bool
    formula: str
    count_weight: float
    background: str
    max_pixels: int
    scale: str
    device: str
    dtype: str
    segmenter_dtype: str
    attn: str
    load_in_8bit: bool
    trust_remote_code: bool
    allow_pickle: bool
    offline: bool
    describe: bool


@guessed()
def load_method(
    preset: str = DEFAULT_PRESET,
    *,
    baseline: str | None = None,
    aspects: str | Sequence[str] = (),
    image_seconds: float = IMAGE_SECONDS,
    **overrides: Unpack[Overrides],
) -> Method:
    """Build segmenter and raters once, for many calls of `score` or `score_images`.

    Weights are loaded by the first image and stay: of an ensemble of models all are in memory at once, while
    `zeroiqa score` holds one at a time.

    Args:
        preset: Its name, or the path of a TOML file; or the name of a rater, such as a name of `zeroiqa
            models` or "hf:REPOSITORY": it rates alone, and all else is as in the default preset.
        baseline: In place of raters, a name of `zeroiqa baselines`; it sees the whole image, its unit is its
            own, and `result.lower_is_better` says which way it points.
        aspects: What to judge, "quality", "authenticity" or "correspondence": by the word standard of each.
        image_seconds: How long reading and decoding one image may take, more than 0; `inf` does not end it.
        **overrides: Fields of the preset to replace, such as `lam=1.0` or `crop="mask"`.

    Raises:
        UserError: a name is unknown or a value out of its range, two of them contradict each other, or
            `scale` is given, which is of runs.

    Example:
        >>> import zeroiqa
        >>> zeroiqa.load_method(baseline="piqe").lower_is_better
        True
    """
    settings = chosen_settings(preset, baseline=baseline, aspects=aspects, overrides=overrides)
    if settings.scale != "declared":
        raise UserError(
            f"The setting scale is {settings.scale!r}, which tables of a run show; give it to zeroiqa.run, "
            "or leave it out."
        )
    check_device(settings, log_sentence)
    return build_method(settings, image_seconds=image_seconds)
