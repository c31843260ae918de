"""How fast a rater is: views per second, and for a model its share of what the device could do."""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.images.opencv import cv2
from zeroiqa.speed.flops import count_flops, peak_tflops, read_geometry
from zeroiqa.speed.meter import Meter
from zeroiqa.types import Region, View

if TYPE_CHECKING:
    import torch

    from zeroiqa.standards import Standard
    from zeroiqa.types import Pixels, Rater

VIEWS_PER_IMAGE = 7
"""The whole image and six objects; the complement's crop is mostly the whole image, which is rated once."""
SIDE = 1024
"""Height and width of the synthetic images, in pixels."""


@dataclass(frozen=True)
class DeviceUse:
    """What one round is in the formulas of `zeroiqa.speed.flops`, and where its time goes."""

    device: str
    """The device's own name."""
    dtype: str
    """Type of the weights."""
    tflop: float | None
    """Matrix products of all forward passes in 10^12, padding excluded; None where they cannot be counted."""
    peak: float | None
    """The device's dense peak in TFLOP/s; None where there is none or it is not known."""
    outside: float
    """Share of the time that is spent outside the model's forward passes."""
    padding: float
    """Share of padding among the language model's tokens."""
    notes: tuple[str, ...]
    """Why a number is missing, a sentence each."""


@dataclass(frozen=True)
class Speed:
    """Rounds of one rater over the same views."""

    views: int
    seconds: tuple[float, ...]
    """Of every round."""
    use: DeviceUse | None
    """None for raters that are no model."""

    @property
    def views_per_second(self) -> float:
        """Median over the rounds."""
        return self.views / statistics.median(self.seconds)

    @property
    def images_per_second(self) -> float:
        """For images of `VIEWS_PER_IMAGE` views."""
        return self.views_per_second / VIEWS_PER_IMAGE

    @property
    def tflop_per_second(self) -> float | None:
        """Median over the rounds."""
        if self.use is None or self.use.tflop is None:
            return None
        return self.use.tflop / statistics.median(self.seconds)

    @property
    def share_of_peak(self) -> float | None:
        """How much of what the device could do is done."""
        if self.tflop_per_second is None or self.use is None or self.use.peak is None:
            return None
        return self.tflop_per_second / self.use.peak


def measure(rater: Rater, standard: Standard, views: Sequence[View], rounds: int) -> Speed:
    """Rate the views once to warm up, then in timed rounds, then once more under a meter if it is a model.

    Args:
        rater: Any.
        standard: One that it can rate under.
        views: Rated by one call.
        rounds: How often; the median counts.
    """
    time_round(rater, standard, views)
    seconds = tuple(time_round(rater, standard, views) for _ in range(rounds))
    return Speed(len(views), seconds, watch(rater, standard, views))


def time_round(rater: Rater, standard: Standard, views: Sequence[View]) -> float:
    """Seconds of one call; its results are numbers on the CPU, so that a GPU has finished too."""
    start = time.perf_counter()
    rater.rate(views, [standard])
    return time.perf_counter() - start


def watch(rater: Rater, standard: Standard, views: Sequence[View]) -> DeviceUse | None:
    """One round under a meter; None for a rater that is no model."""
    loaded = getattr(rater, "loaded", None)
    if loaded is None:
        return None
    notes = []
    try:
        geometry = read_geometry(loaded.model.config)
    except UserError as error:
        geometry, notes = None, [str(error)]
    with Meter(loaded.model, geometry.vision.patch if geometry else 1) as meter:
        seconds = time_round(rater, standard, views)
    peak, note = _peak(loaded.device, loaded.dtype)
    counts = meter.counts() if geometry else []
    return DeviceUse(
        device=_device_name(loaded.device),
        dtype=str(loaded.dtype).removeprefix("torch."),
        tflop=sum(count_flops(geometry, each).total for each in counts) / 1e12 if geometry else None,
        peak=peak,
        outside=max(0.0, 1 - meter.seconds / seconds),
        padding=meter.padding(),
        notes=(*notes, *([note] if note else [])),
    )


def _peak(device: torch.device, dtype: torch.dtype) -> tuple[float | None, str]:
    """The dense peak in TFLOP/s; where there is none, a sentence that says why."""
    if device.type != "cuda":
        return None, "No share of a peak: peaks are known for GPUs only."
    if str(dtype) not in ("torch.bfloat16", "torch.float16"):
        return None, "No share of a peak: peaks are those of bfloat16 and float16."
    name = _device_name(device)
    peak = peak_tflops(name)
    return peak, "" if peak else f"No share of a peak: that of {name} is not known."


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.processor() or platform.machine()})"


def make_views(count: int, *, side: int = SIDE, prompt: str | None = None, seed: int = 0) -> list[View]:
    """Views as they come from photos: of every synthetic image the whole, then six boxes.

    Areas are log-uniform between 3 and 60 % of the image, aspect ratios log-normal (sigma 0.45): an
    assumption, since no statistics of boxes are public.

    Args:
        count: How many views; the last image may have fewer than seven.
        side: Height and width of the images.
        prompt: What the images were generated from, for standards that ask.
        seed: Of the pixels and boxes.
    """
    random = np.random.default_rng(seed)
    views: list[View] = []
    while len(views) < count:
        pixels = _picture(side, random)
        views.append(View(pixels, None, (side, side), prompt))
        views += [_crop(pixels, prompt, random) for _ in range(VIEWS_PER_IMAGE - 1)]
    return views[:count]


def _picture(side: int, random: np.random.Generator) -> Pixels:
    """Soft shapes under fine noise."""
    coarse = cv2.resize(random.uniform(0, 255, (24, 24, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
    noisy = np.asarray(coarse) + random.normal(0, 6, (side, side, 3))
    pixels: Pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels


def _crop(pixels: Pixels, prompt: str | None, random: np.random.Generator) -> View:
    side = len(pixels)
    area = side**2 * math.exp(random.uniform(math.log(0.03), math.log(0.6)))
    width = min(side, max(32, round(math.sqrt(area * math.exp(random.normal(0, 0.45))))))
    height = min(side, max(32, round(area / width)))
    x, y = int(random.integers(side - width + 1)), int(random.integers(side - height + 1))
    region = Region((x, y, x + width, y + height), width * height / side**2, "object")
    return View(pixels[y : y + height, x : x + width], region, (side, side), prompt)
