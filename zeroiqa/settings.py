"""What a score depends on besides the image: one flat record, read from a preset, overridden by field."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from zeroiqa.aggregate import LARGEST_COUNT_WEIGHT, Aggregation, Formula, Readout, Weighting
from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.files.damage import read_toml, reading
from zeroiqa.presets import preset_names as preset_names
from zeroiqa.raters import check_rater, find_rater
from zeroiqa.segmenters import SegmenterOptions, find_segmenter
from zeroiqa.segmenters.granularity import ComplementRule, current_name, load_granularity, say_renamed
from zeroiqa.standards import load_standard
from zeroiqa.suggestions import did_you_mean, nearest
from zeroiqa.types import CropMode
from zeroiqa.weights.devices import Dtype
from zeroiqa.weights.options import Attention, ModelOptions
from zeroiqa.weights.replies import Replies

DEFAULT_PRESET = "embedded"

Shown: TypeAlias = Literal["declared", "0-100", "percentile"]


@dataclass(frozen=True)
class Settings:
    """Every choice of a run. Presets, stored settings, overrides and options derive from its fields."""

    segmenter: str
    """Name in the registry of segmenters, with its argument after a colon."""
    min_area: float
    """Algorithm 1's t: a mask counts from this share of the image's area on, in [0, 1]."""
    complement: bool
    """Whether what no object covers becomes one more region."""
    raters: tuple[str, ...]
    """Names in the registry of raters; several make an ensemble, none only finds regions."""
    standards: tuple[str, ...]
    """Shipped names or paths of TOML files; the score is that of the first one, or with weights a mean."""
    crop: CropMode
    """How a region becomes a view: its bounding box, its mask on black, or no regions at all (whole)."""
    readout: Readout
    """How a rating becomes a number: the most probable level (digit), the mean level (expected), or the first
    token that the model would say, a level or not (greedy)."""
    weighting: Weighting
    """Regions weighted by mask area, or all alike (mean)."""
    lam: float
    """Weight of the regions against the whole image, >= 0; inf leaves the whole image out."""
    normalize_areas: bool
    """Divide by the sum of the areas (an average), or take the paper's literal inner product."""
    background: str
    """Colour under transparent pixels, as #rrggbb."""
    max_pixels: int
    """Larger images are refused before they are decoded."""
    rater_weights: tuple[float, ...] = ()
    """Weights of the raters in an ensemble, in their order; empty means all alike."""
    standard_weights: tuple[float, ...] = ()
    """Weights of the standards, in their order: the score is the mean of theirs; empty: the first one's."""
    formula: Formula = Aggregation.formula
    """How whole image and regions become one number: their mean, or the sums of Dog-IQA's code."""
    count_weight: float = Aggregation.count_weight
    """What each rated region adds to the regions' level, >= 0."""
    mass_threshold: float = Aggregation.mass_threshold
    """An image has a warning where less of the probability lies on the levels, in [0, 1]; no score moves."""
    word_mass_threshold: float = Aggregation.word_mass_threshold
    """The same under standards that compare next words, and for VQAScore: such words may rightly be rare."""
    granularity: str = SegmenterOptions.granularity
    """How finely SAM 2 cuts: the name of a profile or a TOML file, with changes after commas."""
    min_pixels: int = SegmenterOptions.min_pixels
    """Besides min_area: a mask counts from so many pixels of the image on."""
    complement_rule: ComplementRule = SegmenterOptions.complement_rule
    """By what the complement is kept and weighed: the area of what no object covers (union), or the image's
    without the sum of the objects' areas (remainder), which is less where objects overlap."""
    segmenter_dtype: Dtype = ModelOptions.dtype
    """Type that the segmenter computes in; auto is that of `dtype`."""
    scale: Shown = "declared"
    """What tables show beside each score: nothing (declared: the score is on the scale of its standard), the
    same from 0 to 100, or its percentile in the run; no score moves."""
    regions: bool = False
    """Whether regions are found and rated though lambda is 0, where they count for nothing."""
    device: str = ModelOptions.device
    """Where models run: auto, cpu, cuda, cuda:1 or mps. This and the following: see `ModelOptions`."""
    dtype: Dtype = ModelOptions.dtype
    """Type of a model's weights."""
    attn: Attention = ModelOptions.attn
    """Implementation of a model's attention."""
    load_in_8bit: bool = ModelOptions.load_in_8bit
    """Whether a model's linear layers are quantised."""
    trust_remote_code: bool = ModelOptions.trust_remote_code
    """Whether code that comes with weights may run."""
    allow_pickle: bool = ModelOptions.allow_pickle
    """Whether weights may be read from pickled files."""
    offline: bool = ModelOptions.offline
    """Whether only weights that are on the disk may be used."""
    describe: bool = False
    """Whether raters that can also say in a sentence of their own what the whole image's quality is like."""

    @property
    def makes_regions(self) -> bool:
        """Whether regions are found: they count or are asked for, and views are made of them."""
        return self.crop != "whole" and (self.regions or self.lam > 0)

    @property
    def aggregation(self) -> Aggregation:
        """The arithmetic from ratings to a score."""
        return Aggregation(
            readout=self.readout,
            weighting=self.weighting,
            lam=self.lam,
            normalize_areas=self.normalize_areas,
            formula=self.formula,
            count_weight=self.count_weight,
            member_weights=self.rater_weights,
            standard_weights=self.standard_weights,
            mass_threshold=self.mass_threshold,
            word_mass_threshold=self.word_mass_threshold,
        )

    @property
    def model_options(self) -> ModelOptions:
        """How the weights of models are loaded and run."""
        names = (field.name for field in dataclasses.fields(ModelOptions) if field.compare)
        return ModelOptions(**{name: getattr(self, name) for name in names})

    def segmenter_options(self, replies: Replies | None = None) -> SegmenterOptions:
        """What the segmenter is built with; `replies` are what hubs have replied already."""
        own = replace(self.model_options, replies=replies)
        if self.segmenter_dtype != "auto":
            own = replace(own, dtype=self.segmenter_dtype)
        return SegmenterOptions(
            min_area=self.min_area,
            complement=self.complement,
            masks=self.crop == "mask",
            granularity=self.granularity,
            model=own,
            min_pixels=self.min_pixels,
            complement_rule=self.complement_rule,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, in the presets' spelling (an infinite lambda becomes the string "inf")."""
        return {key_of(name): _plain(value) for name, value in dataclasses.asdict(self).items()}


_TYPES = get_type_hints(Settings)
_KEYS = {"lam": "lambda"}
"""Field -> what it is called outside of Python, where that is another word."""
_BOUNDS: dict[str, tuple[float, float]] = {
    "lam": (0.0, math.inf),
    "max_pixels": (1, 2**40),
    "min_pixels": (0, 2**40),
    "count_weight": (0.0, LARGEST_COUNT_WEIGHT),
}
"""Least and greatest value of numbers; of all others 0 and 1."""
_DEVICES = {"gpu": "cuda", "nvidia": "cuda", "cuda:": "cuda", "metal": "mps", "apple": "mps"}
"""What a device may be called elsewhere -> its name."""
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def key_of(field: str) -> str:
    """What a field of `Settings` is called in preset files, in run.json and on the command line."""
    return _KEYS.get(field, field)


def type_of(field: str) -> type:
    """The type of a field of `Settings`: str, bool, int, float, or that of each value where it is a list."""
    kind = _TYPES[field]
    found: type = str if choices_of(field) else get_args(kind)[0] if is_list(field) else kind
    return found


def is_list(field: str) -> bool:
    """Whether a field of `Settings` takes several values."""
    return get_origin(_TYPES[field]) is tuple


def choices_of(field: str) -> tuple[str, ...]:
    """The words that a field of `Settings` may be; empty where any value of its type may stand."""
    return get_args(_TYPES[field]) if get_origin(_TYPES[field]) is Literal else ()


def load_settings(preset: str = DEFAULT_PRESET, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read a preset by name, or a TOML file of one's own, and put `overrides` in place of its fields.

    Args:
        preset: The name or the file.
        overrides: Field of `Settings` -> value.

    Raises:
        UserError: the preset is unknown or unreadable, or a field is missing, unknown or out of its range.
    """
    changes = {key_of(name): value for name, value in (overrides or {}).items()}
    fields = {**_read_preset(preset), **_brought_along(changes), **changes}
    if "standards" in changes and "standard_weights" not in changes:  # the preset's are of its own standards
        fields.pop("standard_weights", None)
    say_renamed(fields.get("granularity", ""))
    fields.pop("description", None)
    settings = settings_from_dict(fields, f"preset {preset}")
    if not settings.raters:
        raise UserError(f"The setting raters is empty (preset {preset}); name at least one.")
    find_segmenter(settings.segmenter)  # a slip is one though no regions are made
    check_describers(settings)
    for name in settings.raters:
        check_rater(name)
    for name in settings.standards:
        load_standard(name)
    return settings


def check_describers(settings: Settings) -> None:
    """Refuse to ask for descriptions where no rater can give one.

    Raises:
        UserError: `describe` is set, and none of the raters writes text.
    """
    if settings.describe and not any(find_rater(name).describes for name in settings.raters):
        raise UserError(
            f"None of the raters {', '.join(settings.raters)} writes text, so none can describe an image; "
            "leave --describe out, or choose a chat model: a name of `zeroiqa models`, hf:REPOSITORY or "
            "openai:URL."
        )


def load_segmentation_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The default preset with masks and without raters: a run of it finds regions and rates nothing.

    Raises:
        UserError: as `load_settings`.
    """
    return replace(load_settings(DEFAULT_PRESET, overrides), crop="mask", raters=(), regions=True)


def _brought_along(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a granularity that was asked for decides besides the masks; the preset's own leaves it alone."""
    if "granularity" not in changes:
        return {}
    profile = load_granularity(current_name(str(changes["granularity"])))
    segmenter = str(changes.get("segmenter", profile.segmenter))
    if not find_segmenter(segmenter).takes_granularity:
        raise UserError(
            f"The granularity {changes['granularity']} is one of SAM 2 and does nothing for the segmenter "
            f"{segmenter}; leave one of the two out."
        )
    return {
        "segmenter": profile.segmenter,
        "min_area": profile.min_area,
        "complement": profile.complement,
        "min_pixels": profile.min_pixels,
        "complement_rule": profile.complement_rule,
    }


def preset_description(preset: str) -> str:
    """The one sentence that a preset says of itself; empty if it says none."""
    return str(_read_preset(preset).get("description", ""))


def settings_from_dict(fields: Mapping[str, Any], origin: str) -> Settings:
    """Build and check settings.

    Args:
        fields: Key of a preset file or of stored settings -> value.
        origin: Says in messages where they came from.
    """
    known = {key_of(field.name): field for field in dataclasses.fields(Settings)}
    for key in fields:
        if key not in known:
            hint = _meant(key, known) or f"known: {', '.join(sorted(known))}."
            raise UserError(f"There is no setting {key} ({origin}); {hint.rstrip()}")
    for key, field in known.items():
        if key not in fields and field.default is dataclasses.MISSING:
            raise UserError(
                f"The setting {key} is missing ({origin}); copy it from the preset {DEFAULT_PRESET}."
            )
    values = {known[key].name: _checked(known[key].name, value, origin) for key, value in fields.items()}
    settings = Settings(**values)
    for what, weights in (("rater", settings.rater_weights), ("standard", settings.standard_weights)):
        of = getattr(settings, f"{what}s")
        if weights and len(weights) != len(of):
            raise UserError(
                f"There are {len(weights)} {what}_weights for {len(of)} {what}s ({origin}); give one weight "
                f"for each {what}, in the same order."
            )
    if settings.regions and settings.crop == "whole":
        raise UserError(
            f"The setting regions is true, and crop is whole, which shows none ({origin}); choose the crop "
            "bbox or mask, or leave the regions out."
        )
    alone = next((name for name in settings.raters if find_rater(name).own_scale), None)
    if alone is not None and len(settings.raters) > 1:
        raise UserError(
            f"The rater {alone} has a scale of its own, so there is no mean of it with others ({origin}); "
            "make a run of each, and `zeroiqa compare` them."
        )
    mute = next((name for name in settings.raters if not find_rater(name).tells_answer), None)
    if settings.readout == "greedy" and mute is not None:
        raise UserError(
            f"The rater {mute} answers no text, of which the readout greedy takes the first token "
            f"({origin}); take the readout digit or expected, or a chat model."
        )
    settings.aggregation  # noqa: B018 -- it checks its own fields
    return settings


def _meant(key: str, known: Mapping[str, dataclasses.Field[Any]]) -> str:
    """The setting that a key may mean, also by the name that it has in Python where that is another one."""
    names = {name: key_of(name) for name in (*known, *_KEYS)}
    found = [names[name] for name in nearest(key, names)][:1]
    return "".join(
        f"did you mean {name}{''.join(f' (in Python {field})' for field in _KEYS if _KEYS[field] == name)}? "
        for name in found
    )


def _read_preset(preset: str) -> dict[str, Any]:
    path = Path(preset)
    if path.suffix == ".toml":
        with reading(preset, "correct it, or name another one", "The preset file"):
            return read_toml(path)
    if preset not in preset_names():
        known = preset_names()
        hint = f"{did_you_mean(preset, known)}Known: {', '.join(known)}"
        raise UnknownNameError(
            f"There is no preset {preset!r}; {hint}, or the path of a .toml file.", "preset", preset
        )
    return tomllib.loads((resources.files("zeroiqa.presets") / f"{preset}.toml").read_text(encoding="utf-8"))


def _checked(field: str, value: Any, origin: str) -> Any:
    """The value in the type that `Settings` wants, or a sentence that says what the field takes."""
    kind, named = type_of(field), f"The setting {key_of(field)} is {value!r} ({origin})"
    if choices := choices_of(field):
        if value not in choices:
            hint = did_you_mean(str(value), choices)
            raise UserError(f"{named}; {hint}it must be one of {', '.join(choices)}.")
        return value
    if is_list(field):
        return _checked_list(field, value, origin)
    if kind is bool and not isinstance(value, bool):
        raise UserError(f"{named}; it must be true or false.")
    if kind is str and not isinstance(value, str):
        raise UserError(f"{named}; it must be a text.")
    if field == "device" and not _DEVICE.fullmatch(value):
        meant = _DEVICES.get(value.lower()) or (f"cuda:{value}" if value.isdecimal() else value)
        hint = did_you_mean(meant, ("auto", "cpu", "cuda", "mps", meant if value.isdecimal() else "cuda:1"))
        raise UserError(f"{named}; {hint}it must be auto, cpu, cuda, cuda:1 or mps.")
    if field == "granularity":
        return current_name(value)
    return value if kind in (bool, str) else _checked_number(field, value, origin)


def _checked_list(key: str, value: Any, origin: str) -> tuple[Any, ...]:
    kind = type_of(key)
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, list | tuple) or not all(isinstance(item, accepted) for item in value):
        raise UserError(
            f"The setting {key} is {value!r} ({origin}); it must be a list of {kind.__name__} values."
        )
    try:
        items = tuple(kind(item) for item in value)
    except OverflowError as error:
        raise UserError(f"The setting {key} has a number that is too large ({origin}).") from error
    if key == "standards" and not items:
        raise UserError(f"The setting {key} is empty ({origin}); name at least one.")
    if kind is not float and len(set(items)) < len(items):
        raise UserError(
            f"The setting {key} holds a value twice: {', '.join(items)} ({origin}); name each once."
        )
    return items


def _checked_number(field: str, value: Any, origin: str) -> float | int:
    low, high = _BOUNDS.get(field, (0.0, 1.0))
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        raise UserError(
            f"The setting {key_of(field)} is {value!r} ({origin}); it must be a number from {low} to {high}."
        )
    if type_of(field) is int and number != int(number):
        raise UserError(f"The setting {key_of(field)} is {value!r} ({origin}); it must be a whole number.")
    return type_of(field)(number)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    """The value as JSON has it, where there are neither tuples nor infinite numbers."""
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return list(value) if isinstance(value, tuple) else value
