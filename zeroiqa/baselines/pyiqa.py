"""Adapter to pyiqa (extra `pyiqa`), which computes many baselines; it is for non-commercial use only.

Nothing of pyiqa is part of this package: its public functions are called where it is installed. It downloads
the weights itself when it first needs them, from files that are not safetensors.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from zeroiqa.baselines.measure import Measured, known_direction
from zeroiqa.baselines.registry import catalogue, find_variant
from zeroiqa.errors import UserError, one_line
from zeroiqa.suggestions import did_you_mean
from zeroiqa.weights.devices import find_device

if TYPE_CHECKING:
    from zeroiqa.types import Pixels, View
    from zeroiqa.weights.options import ModelOptions

_LOG = logging.getLogger(__name__)

LICENCE = "PolyForm Noncommercial 1.0.0"
NOTICE = (
    f"pyiqa is for non-commercial use only ({LICENCE}; Required Notice: Copyright (c) 2022 Chaofeng Chen); "
    "the weights that it downloads have licences of their own."
)
_OFFLINE = "HF_HUB_OFFLINE"  # the hub library's own switch
_ELSEWHERE = {
    "clipscore": "it needs text prompts; write clipscore",
    "fid": "it rates sets of images, not images; choose another one",
    "inception_score": "it rates sets of images, not images; choose another one",
}


class PyiqaMeasure:
    """One of pyiqa's metrics without a reference.

    Args:
        name: What pyiqa calls it.
        options: The device. The other options do not reach pyiqa.

    Raises:
        UserError: the name is missing, or the metric rates something else than an image.
    """

    images_per_call = 1

    def __init__(self, name: str, options: ModelOptions) -> None:
        if not name:
            raise UserError("The name pyiqa: lacks a metric; write pyiqa:NAME (see `zeroiqa baselines`).")
        if name in _ELSEWHERE:
            raise UserError(f"The metric pyiqa:{name} cannot rate images: {_ELSEWHERE[name]}.")
        self._name, self._options = name, options
        self._metric: Any = None

    @property
    def id(self) -> str:
        """pyiqa's version and the metric's name; pyiqa does not tell its weights' fingerprint.

        Raises:
            UserError: pyiqa is not installed, or has no such metric.
        """
        self._package()
        try:
            return f"{version('pyiqa')} {self._name}"
        except PackageNotFoundError:  # on the path, but not installed
            return f"unknown version {self._name}"

    @property
    def direction(self) -> int:
        """What the catalogue says of the metric; of one that it does not list, what pyiqa says.

        Raises:
            UserError: pyiqa is asked and not installed, or has no such metric.
        """
        listed = find_variant(self._name)
        if listed is not None:
            return known_direction(listed)
        self._package()
        try:  # where pyiqa keeps it, so that no weights are loaded to tell
            facts = import_module("pyiqa.default_model_configs").DEFAULT_CONFIGS[self._name]
            lower = facts.get("lower_better", False)
        except (ImportError, AttributeError, KeyError):
            lower = self._loaded().lower_better
        return -1 if lower else 1

    def measure(self, views: Sequence[View]) -> list[Measured]:
        """One number for each view, on pyiqa's own scale; one view runs at a time.

        Raises:
            UserError: pyiqa is not installed, or the metric needs a reference.
        """
        metric = self._loaded()
        return [Measured(self._run(metric, view.pixels)) for view in views]

    def _run(self, metric: Any, pixels: Pixels) -> float:
        import torch

        tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            return float(metric(tensor.to(find_device(self._options.device))).reshape(-1)[0])

    def _loaded(self) -> Any:
        if self._metric is None:
            package = self._package()
            if self._options.offline and not os.environ.get(_OFFLINE):
                raise UserError(
                    f"pyiqa downloads weights itself and cannot be told --offline; set {_OFFLINE}=1 as well, "
                    "with the weights in its cache, or leave out --offline."
                )
            _LOG.warning(NOTICE)
            try:
                metric = package.create_metric(self._name, device=find_device(self._options.device))
            except Exception as error:  # pyiqa raises what its parts raise
                raise UserError(f"pyiqa cannot load its metric {self._name} ({one_line(error)}).") from error
            if metric.metric_mode != "NR":
                raise UserError(f"The metric pyiqa:{self._name} needs a reference image; choose another one.")
            self._metric = metric
        return self._metric

    def _package(self) -> Any:
        try:
            package = import_module("pyiqa")
        except ImportError as error:
            raise UserError(
                f"The baseline pyiqa:{self._name} needs the package pyiqa, which cannot be imported here "
                f"({error}); if your use is non-commercial ({LICENCE}), install it: pip install "
                "'zeroiqa[pyiqa]'."
            ) from error
        known = package.list_models()
        if self._name not in known:
            ours = [variant.name for baseline in catalogue().values() for variant in baseline.pyiqa]
            listed = f"it has {', '.join(known)}. "
            hint = did_you_mean(self._name, [*known, *ours], most=3) or listed
            raise UserError(f"pyiqa has no metric {self._name!r}; {hint}`zeroiqa baselines` lists some.")
        return package
