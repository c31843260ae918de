"""What is known of a baseline: its entry in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from zeroiqa.registry import import_attribute

if TYPE_CHECKING:
    from zeroiqa.standards import Aspect
    from zeroiqa.types import Mask, Pixels

Kind: TypeAlias = Literal["native", "pyiqa", "external", "published-only"]
Range: TypeAlias = tuple[float, float]


class PixelFunction(Protocol):
    """Computes a baseline of pixels alone."""

    def __call__(self, pixels: Pixels, *, inside: Mask | None = None) -> float | None:
        """A finite number.

        Args:
            pixels: RGB, shape (height, width, 3), uint8.
            inside: The pixels that count, shape (height, width); None for all. With it the number may be
                None: too few count.

        Raises:
            ImageError: there is no number, as of a picture that is too small.
        """
        ...


@dataclass(frozen=True)
class Variant:
    """One of pyiqa's metrics."""

    name: str
    """What pyiqa calls it."""
    range: Range
    """Lowest and highest value, both roughly: pyiqa's own estimate."""
    training: str
    """Human scores that it has seen; "none" for none."""


@dataclass(frozen=True)
class Baseline:
    """What is known of one baseline; None and "" stand for what is not.

    An installed package offers one as entry point in zeroiqa.baselines: of the kind native, with the field
    `compute` or `measure`. The name of the entry point is then the name of the baseline.
    """

    name: str
    """The name used in tables and on the command line."""
    title: str
    """The name in the papers."""
    kind: Kind
    """native: computed by this package, or by the one that offers it; pyiqa: through the adapter; external:
    elsewhere, scores come in by CSV; published-only: the papers' numbers."""
    direction: Literal[1, -1] | None = None
    """+1: higher means better; -1: lower means better; None: it depends on the implementation."""
    range: Range | None = None
    """Lowest and highest value."""
    rough: bool = False
    """Whether the range is an estimate rather than a bound."""
    aspect: Aspect = "quality"
    """What is rated; for correspondence each image needs the text prompt it was generated from."""
    training: str = ""
    """Human scores or preferences that it has seen; "none" for none."""
    licence: str = ""
    """Of the weights."""
    source: str = ""
    """The publication."""
    named_in: tuple[str, ...] = ()
    """The papers that compare with it."""
    note: str = ""
    """What else one must know, such as where a native one differs from its paper."""
    pyiqa: tuple[Variant, ...] = ()
    """What pyiqa has under this name."""
    version: int = 1
    """Goes up with every change of ours that moves a value."""
    compute: str = ""
    """ "module:function" of a native one without weights; see `PixelFunction`."""
    data: str = ""
    """ "package:file" that `compute` reads."""
    measure: str = ""
    """ "module:class" of a native one with weights or an argument; see `zeroiqa.baselines.measure`."""
    repo: str = ""
    """Repository of its weights on the Hugging Face hub, where no other is asked for."""
    revision: str = ""
    """Branch, commit or reference of the repository; "" is its main branch."""
    processor: str = ""
    """Repository of the processor, where that of the weights has none."""
    weightless: bool = False
    """Of one with `measure`: it holds no model in memory."""
    wants: str = ""
    """What the text after the name must be, where there has to be one."""
    otherwise: str = ""
    """Where that is to be had, and what to write instead: ends the sentence that refuses the bare name."""
    measures_mass: bool = False
    """Whether it reads an answer in words, and its measure says how probable these are."""

    def __post_init__(self) -> None:
        if self.is_measured_here and self.direction is None:
            raise ValueError(f"the baseline {self.name} is computed and has no direction; write 1 or -1")

    @property
    def needs_prompt(self) -> bool:
        """Whether each image must bring the text prompt that it was generated from."""
        return self.aspect == "correspondence"

    @property
    def needs_weights(self) -> bool:
        """Whether it holds a model in memory."""
        return not (self.compute or self.weightless)

    @property
    def is_measured_here(self) -> bool:
        """Whether `--rater baseline:NAME` can compute it."""
        return bool(self.compute or self.measure)

    def load(self) -> PixelFunction:
        """Import and return the function that computes a baseline without weights."""
        return cast("PixelFunction", import_attribute(self.compute))
