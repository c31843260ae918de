"""How finely a network of the SAM 2 kind cuts an image: the numbers, and profiles of them by name."""

from __future__ import annotations

import logging
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.files.damage import read_toml, reading, stumbles
from zeroiqa.suggestions import did_you_mean

_LOG = logging.getLogger(__name__)

ComplementRule: TypeAlias = Literal["union", "remainder"]
_RULES = get_args(ComplementRule)

_FILLING = "default-16"
"""The profile that says what a file leaves out."""
_FORMER = {"paper": _FILLING}
"""What a profile was called -> what it is called. Ids of runs keep to what it was called."""
_POINTS = (1, 128)
_MOST_PIXELS = 1 << 40
_COUNT = f"a whole number from 0 to {_MOST_PIXELS}"
_LARGEST = 1e300  # beyond, a whole number becomes no float
_RANGES = {
    "pred_iou_thresh": (0.0, 1.0),
    "stability_score_thresh": (0.0, 1.0),
    "stability_score_offset": (0.0, math.inf),
    "mask_threshold": (-math.inf, math.inf),
    "box_nms_thresh": (0.0, 1.0),
}


@dataclass(frozen=True)
class MaskParameters:
    """Names, meanings and defaults are those of sam2's SAM2AutomaticMaskGenerator.

    Raises:
        UserError: a value is outside its range.
    """

    points_per_side: int = 32
    """A grid of this many points on either side asks the network for masks, 1 to 128."""
    pred_iou_thresh: float = 0.8
    """Masks go on if the network's own estimate of their IoU is above this, in [0, 1]; 0 lets all pass."""
    stability_score_thresh: float = 0.95
    """... and if their stability is at least this, in [0, 1]; 0 lets all pass."""
    stability_score_offset: float = 1.0
    """Stability is the IoU of the masks at logits above mask_threshold + and - this, >= 0."""
    mask_threshold: float = 0.0
    """A pixel is in a mask if its logit is above this."""
    box_nms_thresh: float = 0.7
    """Of two masks whose boxes have a larger IoU the one with the better estimate stays, in [0, 1]."""
    multimask_output: bool = True
    """Three masks for each point (the whole, a part, a subpart), or one."""
    min_mask_region_area: int = 0
    """Holes and islands of at most so many of the decoder's pixels, of which a mask has 65,536 whatever the
    photo's size, are filled and removed; see `zeroiqa.segmenters.sam2.cleaning`. 0 leaves masks as they are,
    as the package does where its CUDA extension is missing."""

    def __post_init__(self) -> None:
        low, high = _POINTS
        points = self.points_per_side
        if isinstance(points, bool) or not isinstance(points, int) or not low <= points <= high:
            raise UserError(f"points_per_side is a whole number from {low} to {high}, not {points!r}.")
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not _is_number(value) or not least <= value <= most or not abs(value) < _LARGEST:
                raise UserError(f"{name} is a number from {least:g} to {most:g}, not {value!r}.")
        if not isinstance(self.multimask_output, bool):
            raise UserError(f"multimask_output is true or false, not {self.multimask_output!r}.")
        if not _is_count(self.min_mask_region_area):
            raise UserError(f"min_mask_region_area is {_COUNT}, not {self.min_mask_region_area!r}.")

    @property
    def id(self) -> str:
        """Every choice, for a segmenter's id; what came later only where it is not the default."""
        values = asdict(self)
        if not self.min_mask_region_area:
            del values["min_mask_region_area"]
        return ",".join(f"{name}={value}" for name, value in values.items())


@dataclass(frozen=True)
class Granularity:
    """A profile: everything that decides how many regions an image has."""

    segmenter: str
    """Name of a segmenter."""
    min_area: float
    """Algorithm 1's t, in [0, 1]."""
    complement: bool
    """Whether what no mask covers becomes one more region."""
    min_pixels: int
    """Besides min_area: the least number of the image's pixels."""
    complement_rule: ComplementRule
    """By what the complement is kept and weighed."""
    masks: MaskParameters
    """Of the network's masks."""


def load_granularity(text: str) -> Granularity:
    """A profile by name, or from a TOML file, with some of its values replaced.

    Args:
        text: "default-16", "my.toml", "default-16,points_per_side=8,min_area=0.02". What a file leaves out is
            as in the profile "default-16".

    Raises:
        UserError: the profile, the file or a name is unknown, or a value is out of its range.
    """
    say_renamed(text)
    name, *changes = current_name(text).split(",")
    values = {**_profiles()[_FILLING], **_read(name.strip())}
    for change in changes:
        key, equals, value = (part.strip() for part in change.partition("="))
        if not equals:
            raise UserError(f"{change.strip()!r} in the granularity {text!r} is no KEY=VALUE; write one.")
        values[key] = _parsed(key, value)
    return _checked(values, text)


def current_name(granularity: str) -> str:
    """The same granularity by what its profile is called today."""
    name, comma, changes = granularity.partition(",")
    return f"{_FORMER.get(name.strip(), name)}{comma}{changes}"


def name_in_ids(granularity: str) -> str:
    """The same granularity by the first name of its profile: a new one makes no other run."""
    name, comma, changes = current_name(granularity).partition(",")
    first = {new: old for old, new in _FORMER.items()}
    return f"{first.get(name, name)}{comma}{changes}"


def say_renamed(granularity: str) -> None:
    """Log that a granularity names its profile by a former name, if it does."""
    if isinstance(granularity, str) and current_name(granularity) != granularity:
        _LOG.warning(
            "The granularity paper is called %s now: its numbers are ours, and not the paper's.", _FILLING
        )


def check_min_area(min_area: float) -> None:
    """Raise `UserError` unless the threshold is a fraction of the image area."""
    if not 0 <= min_area <= 1:
        raise UserError(f"min_area is a fraction of the image area from 0 to 1, not {min_area}.")


def granularity_names() -> tuple[str, ...]:
    """Names of the profiles in the package."""
    return tuple(_profiles())


def _profiles() -> dict[str, dict[str, Any]]:
    data = resources.files("zeroiqa.segmenters") / "granularity.toml"
    return tomllib.loads(data.read_text(encoding="utf-8"))


def _read(name: str) -> Mapping[str, Any]:
    if name.endswith(".toml"):
        with reading(name, "correct it, or name another one", "The granularity file"):
            return read_toml(Path(name).expanduser())
    profiles = _profiles()
    if name not in profiles:
        raise UnknownNameError(
            f"There is no granularity {name!r}; {did_you_mean(name, profiles)}known: {', '.join(profiles)}, "
            "or the path of a .toml file.",
            "granularity",
            name,
        )
    return profiles[name]


def _parsed(key: str, value: str) -> Any:
    """A value as in a TOML file; what is none is a text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except stumbles():
        return value


def _checked(values: Mapping[str, Any], origin: str) -> Granularity:
    of_masks = {field.name for field in fields(MaskParameters)}
    known = [*of_masks, *_KINDS]
    for key in values:
        if key not in known:
            raise UserError(
                f"There is no parameter {key!r} (granularity {origin}); {did_you_mean(key, known)}known: "
                f"{', '.join(sorted(known))}."
            )
    for key, (fits, what) in _KINDS.items():
        if not fits(values[key]):
            raise UserError(f"{key} is {what}, not {values[key]!r} (granularity {origin}).")
    check_min_area(values["min_area"])
    masks = MaskParameters(**{key: value for key, value in values.items() if key in of_masks})
    return Granularity(**{key: values[key] for key in _KINDS}, masks=masks)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_PIXELS


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "segmenter": (lambda value: isinstance(value, str), "a name"),
    "min_area": (_is_number, "a number from 0 to 1"),
    "complement": (lambda value: isinstance(value, bool), "true or false"),
    "min_pixels": (_is_count, _COUNT),
    "complement_rule": (lambda value: value in _RULES, f"{' or '.join(_RULES)}"),
}
"""What a profile says besides the masks' parameters: whether a value is of its kind, and what that is."""
