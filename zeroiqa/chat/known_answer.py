"""Known answers: three built-in views whose level probabilities must not change from one load to the next.

A model can be loaded wrongly without any error: a changed library, a changed file behind the same name, a
broken kernel. So the first load of some weights records what they answer to three small pictures, and later
loads compare. Answers that come with the package (known_answers.toml) go before those recorded by the user.
"""

from __future__ import annotations

import logging
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib import metadata, resources
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from zeroiqa.errors import ImageError, UserError
from zeroiqa.files.damage import read_json, stumbles
from zeroiqa.files.schema import NUMBER, TEXT, ListOf, Record, first_wrong
from zeroiqa.standards import load_standard
from zeroiqa.types import Rating, View
from zeroiqa.weights.fingerprint import user_cache, write_note

if TYPE_CHECKING:
    from zeroiqa.standards import Standard
    from zeroiqa.types import Pixels

Status: TypeAlias = Literal["recorded", "same", "different", "not recorded"]
STANDARD = "quality-word-7"
"""Under which the views are rated at every load."""
EXAMPLE = "a photo of a cat"
"""In place of an image's own text prompt, where a prompt is shown or tried."""
_TOLERANCES = {"float32": 1e-3}
_TOLERANCE = 2e-2
_ROUNDING = 1e-3
_ANSWER = Record(
    dict.fromkeys(("fingerprint", "dtype", "question", "made_with"), TEXT)
    | {"mass": ListOf(NUMBER), "probabilities": ListOf(ListOf(NUMBER))}
)
_log = logging.getLogger(__name__)


@runtime_checkable
class Watched(Protocol):
    """A rater whose answers to the built-in views are compared whenever its weights are loaded."""

    def watch(self, on_load: Callable[[Result], None]) -> None:
        """Have a function called with what each load finds; whatever it raises refuses the model."""


class _CanRate(Protocol):
    def rate(
        self, views: Sequence[View], standards: Sequence[Standard]
    ) -> Sequence[Sequence[Rating | None]]: ...


@dataclass(frozen=True)
class KnownAnswer:
    """What some weights answered to the built-in views."""

    fingerprint: str
    """Identifies the weights: two models of one fingerprint have the same."""
    dtype: str
    """Type that they were run in."""
    question: str
    """SHA-256 of the views and of the standard: an answer to another question is not compared."""
    probabilities: tuple[tuple[float, ...], ...]
    """P(level k) for each view, in [0, 1]; of a comparison its number; empty where no level was named."""
    mass: tuple[float, ...]
    """P(the answer is a level) for each view, in [0, 1]."""
    made_with: str
    """Versions of the libraries, for the reader of a message."""


@dataclass(frozen=True)
class Result:
    """What a comparison with a known answer found."""

    status: Status
    """recorded: there was nothing to compare with; not recorded: nor could the answer be written down."""
    difference: float
    """Largest difference of a probability; 0 where nothing was compared."""
    tolerance: float
    """What rounding may change."""
    source: str
    """Where the known answer is: "the package", or the path of a file."""
    known_with: str
    """Libraries of the known answer; empty where nothing was compared."""
    answer: KnownAnswer
    """The answer given now."""

    @property
    def made_with(self) -> str:
        """Libraries of the answer given now."""
        return self.answer.made_with

    @property
    def mass(self) -> tuple[float, ...]:
        """P(the answer is a level) for each view, as given now."""
        return self.answer.mass

    def __str__(self) -> str:
        if self.status == "recorded":
            return f"recorded in {self.source}"
        if self.status == "not recorded":
            return f"not recorded: {self.source} cannot be written"
        return (
            f"{self.status}: largest difference {self.difference:.1e}, "
            f"tolerance {self.tolerance:g}, known from {self.source}"
        )


def tolerance(dtype: str) -> float:
    """How far a probability may move between two loads: 1e-3 in float32, 2e-2 in every coarser type."""
    return _TOLERANCES.get(dtype, _TOLERANCE)


def built_in_views() -> tuple[View, ...]:
    """Three pictures made by whole-number arithmetic, so that they are the same bytes on every machine.

    A colour gradient and a noisy checkerboard of 224 x 224 pixels, and discs on a picture of 320 x 192.
    """
    return tuple(View(pixels, None, pixels.shape[:2]) for pixels in (_gradient(), _checkerboard(), _discs()))


def cache_folder() -> Path:
    """Where answers are recorded: known-answers under the user's cache of zeroiqa."""
    return user_cache("known-answers")


def shipped_answers(text: str | None = None) -> dict[tuple[str, str], KnownAnswer]:
    """The answers that come with the package, by fingerprint and type.

    Args:
        text: TOML in place of known_answers.toml.
    """
    if text is None:
        text = (resources.files("zeroiqa.chat") / "known_answers.toml").read_text(encoding="utf-8")
    answers = [answer_from(fields) for fields in tomllib.loads(text).get("answer", [])]
    return {(answer.fingerprint, answer.dtype): answer for answer in answers}


def check(
    rater: _CanRate,
    fingerprint: str,
    dtype: str,
    folder: Path | None = None,
    shipped: Mapping[tuple[str, str], KnownAnswer] | None = None,
    standard: Standard | None = None,
) -> Result:
    """Let a rater answer, and compare with the known answer; where there is none, record this one.

    Args:
        rater: Weights loaded; its `rate` is called for each view.
        fingerprint: Identifies the weights.
        dtype: "float32", "bfloat16", ...
        folder: In place of `cache_folder()`.
        shipped: In place of `shipped_answers()`.
        standard: One with levels, in place of `STANDARD`; each has a record of its own.

    Raises:
        UserError: the model answers with something that is no probability.
    """
    given = _ask(rater, fingerprint, dtype, standard or load_standard(STANDARD))
    own = "" if standard is None or standard.name == STANDARD else f"-{standard.hash[:16]}"
    path = (folder or cache_folder()) / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', fingerprint)}-{dtype}{own}.json"
    known = (shipped_answers() if shipped is None else shipped).get((fingerprint, dtype))
    source = "the package"
    if known is None or known.question != given.question:
        known, source = _recorded(path), str(path)
    limit = tolerance(dtype)
    if known is None or known.question != given.question:
        status: Status = "recorded" if write_note(path, asdict(given)) else "not recorded"
        return Result(status, 0.0, limit, source, "", given)
    apart = difference(known, given)
    status = "same" if apart <= limit else "different"
    return Result(status, apart, limit, source, known.made_with, given)


def enforce(result: Result, model: str) -> None:
    """Refuse a model that differs from an answer in the package; warn where only the user's record differs.

    Raises:
        UserError: the answer that differs comes with the package.
    """
    if result.status != "different":
        return
    finding = (
        f"The model {model} rates the built-in views differently from the known answer in {result.source}: a "
        f"probability differs by {result.difference:.3f}, more than {result.tolerance:g} (known with "
        f"{result.known_with}; now with {result.made_with})"
    )
    if result.source == "the package":
        raise UserError(
            f"{finding}; its files or the libraries have changed: download it again (`zeroiqa models pull`) "
            "or install the versions named."
        )
    _log.warning(
        "%s; do not mix scores from before and now, or delete the file if the change is meant.", finding
    )


def _ask(rater: _CanRate, fingerprint: str, dtype: str, standard: Standard) -> KnownAnswer:
    views = [replace(view, prompt=EXAMPLE if standard.needs_prompt else None) for view in built_in_views()]
    try:
        ratings = [
            rater.rate([view], [standard])[0][0] for view in views
        ]  # alone: no batch to round differently
    except ImageError as error:  # it is the model's fault, not an image's
        raise UserError(f"The model cannot rate the built-in views in {dtype}: {error}") from error
    probabilities = tuple(_probabilities(rating, standard) for rating in ratings)
    mass = tuple(rating.mass if rating else 0.0 for rating in ratings)
    numbers = [*mass, *(number for of_view in probabilities for number in of_view)]
    if not all(map(math.isfinite, numbers)):
        raise UserError(
            f"The model answers a built-in view with a number that is no probability (in {dtype}); "
            "use --dtype bfloat16 or float32, and download it again if that does not help."
        )
    return KnownAnswer(fingerprint, dtype, _question(views, standard), probabilities, mass, _versions())


def _probabilities(rating: Rating | None, standard: Standard) -> tuple[float, ...]:
    if rating is None:
        return ()
    if standard.comparison is not None and rating.value is not None:
        return (rating.value,)
    return tuple(map(math.exp, rating.logprobs))


def _question(views: Sequence[View], standard: Standard) -> str:
    digest = sha256(standard.hash.encode())
    for view in views:
        digest.update(repr(view.pixels.shape).encode() + view.pixels.tobytes())
    return digest.hexdigest()


def difference(known: KnownAnswer, given: KnownAnswer) -> float:
    """Largest difference of a probability or a mass; 1 where only one of them names levels."""
    pairs = list(zip(known.mass, given.mass, strict=True))
    for one, other in zip(known.probabilities, given.probabilities, strict=True):
        pairs += zip(one, other, strict=True) if len(one) == len(other) else [(0.0, 1.0)]
    return max(abs(a - b) for a, b in pairs)


def _versions() -> str:
    found = []
    for package in ("torch", "transformers"):
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return ", ".join(found)


def answer_from(fields: Mapping[str, Any]) -> KnownAnswer:
    """An answer from its fields, as a file holds them.

    Raises:
        ValueError: they are none.
    """
    if wrong := first_wrong(fields, _ANSWER):
        raise ValueError(wrong)
    probabilities = tuple(tuple(map(float, of_view)) for of_view in fields["probabilities"])
    mass = tuple(map(float, fields["mass"]))
    if not len(mass) == len(probabilities) == len(built_in_views()):
        raise ValueError("one row and one mass for each view")
    if not all(0 <= number <= 1 + _ROUNDING for number in (*mass, *chain.from_iterable(probabilities))):
        raise ValueError("a probability is outside of [0, 1]")
    names = ("fingerprint", "dtype", "question", "made_with")
    texts = {name: str(fields[name]) for name in names}
    return KnownAnswer(probabilities=probabilities, mass=mass, **texts)


def _recorded(path: Path) -> KnownAnswer | None:
    """The user's own record; one that cannot be read counts as none and is replaced."""
    try:
        return answer_from(read_json(path))
    except stumbles():
        return None


def _gradient() -> Pixels:
    """Red runs to the right, green downwards, blue against both."""
    y, x = np.mgrid[0:224, 0:224]
    return np.stack([x * 255 // 223, y * 255 // 223, 255 - (x + y) * 255 // 446], axis=-1).astype(np.uint8)


def _checkerboard() -> Pixels:
    """Squares of 28 pixels, dark and light, under noise from a multiplicative hash of the position."""
    y, x = np.mgrid[0:224, 0:224].astype(np.uint32)
    squares = np.where((x // 28 + y // 28) % 2 == 0, 64, 192)
    channels = []
    for channel in range(3):
        mixed = (
            x * np.uint32(2654435761)
            ^ y * np.uint32(2246822519)
            ^ np.uint32(3266489917 * (channel + 1) % 2**32)
        )
        mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2246822519)
        channels.append(squares + (mixed >> np.uint32(26)).astype(np.int64) - 32)
    return np.stack(channels, axis=-1).astype(np.uint8)


def _discs() -> Pixels:
    """Three coloured discs on grey, 320 pixels wide and 192 high."""
    y, x = np.mgrid[0:192, 0:320]
    pixels = np.full((192, 320, 3), 128, dtype=np.uint8)
    discs = ((80, 96, 60, (200, 40, 40)), (170, 60, 44, (40, 170, 70)), (240, 120, 56, (50, 70, 210)))
    for centre_x, centre_y, radius, colour in discs:
        pixels[(x - centre_x) ** 2 + (y - centre_y) ** 2 <= radius**2] = colour
    return pixels
