"""The placement of worker processes: each has a GPU or a group of cores to itself."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from zeroiqa.guards.heap import keep_freed_memory
from zeroiqa.raters import find_rater
from zeroiqa.segmenters import find_segmenter
from zeroiqa.settings import Settings

VISIBLE = "CUDA_VISIBLE_DEVICES"
_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@dataclass(frozen=True)
class Placement:
    """What one worker process has to itself."""

    gpu: str | None
    """An entry of CUDA_VISIBLE_DEVICES: a number, or the name of a GPU or of a part of one."""
    cores: tuple[int, ...]
    """Numbers of cores; empty: all that there are."""
    threads: int
    """Of BLAS, OpenMP, torch and OpenCV."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables that have to be set before numpy and torch are imported."""
        variables = dict.fromkeys(_THREAD_LIMITS, str(self.threads))
        return variables if self.gpu is None else {**variables, VISIBLE: self.gpu}

    def enter(self) -> None:
        """Bind this process to the cores, and let it keep its memory."""
        from zeroiqa.images.opencv import cv2

        cv2.setNumThreads(self.threads)
        keep_freed_memory()
        if self.cores and hasattr(os, "sched_setaffinity"):
            for thread in Path("/proc/self/task").iterdir():  # those that libraries have started, too
                os.sched_setaffinity(int(thread.name), self.cores)


def uses_models(settings: Settings) -> bool:
    """Whether the segmenter or a rater has weights."""
    segments = settings.makes_regions and find_segmenter(settings.segmenter).needs_weights
    return segments or any(find_rater(name).needs_weights for name in settings.raters)


def placements(workers: int, settings: Settings) -> list[Placement]:
    """A placement for each of several workers: a GPU where models are run on GPUs, else a group of cores.

    Workers in excess of the GPUs share them. A GPU that the settings name (cuda:1) is left to all of them.
    """
    from joblib import cpu_count

    allowed = int(cpu_count())  # knows the limits of containers
    gpus = usable_gpus(settings)
    if gpus:
        threads = max(1, allowed // workers)
        return [Placement(gpus[worker % len(gpus)], (), threads) for worker in range(workers)]
    groups = _groups(workers)
    return [Placement(None, cores, max(1, min(len(cores), allowed // workers))) for cores in groups]


def usable_gpus(settings: Settings) -> tuple[str, ...]:
    """The GPUs that workers can be spread over, as entries of CUDA_VISIBLE_DEVICES; none without models."""
    if settings.device not in ("auto", "cuda") or not uses_models(settings):
        return ()
    return visible_gpus(os.environ)


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs that a process may use, as entries of CUDA_VISIBLE_DEVICES.

    The variable decides where it is set; what follows an entry that is no GPU does not count, as in CUDA.

    Args:
        environment: Its variables.
    """
    if VISIBLE in environment:
        entries = []
        for entry in map(str.strip, environment[VISIBLE].split(",")):
            if not re.fullmatch(r"\d+|(GPU|MIG)-.+", entry):
                break
            entries.append(entry)
        return tuple(entries)
    listed = _listed_by_driver()
    if listed is not None:
        return named_gpus(listed)
    import torch

    return tuple(map(str, range(torch.cuda.device_count())))


def named_gpus(listing: str) -> tuple[str, ...]:
    """The names in what `nvidia-smi -L` prints; a GPU that is divided counts as its parts."""
    names: list[str] = []
    for name in re.findall(r"UUID: ((?:GPU|MIG)-[^)]+)\)", listing):
        if name.startswith("MIG-") and names and names[-1].startswith("GPU-"):
            names.pop()  # whose parts begin here
        names.append(name)
    return tuple(names)


def _listed_by_driver() -> str | None:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _groups(workers: int) -> list[tuple[int, ...]]:
    """The cores of this process in as many groups of neighbours; empty ones where there are too few."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < workers:
        return [()] * workers
    bounds = [len(cores) * worker // workers for worker in range(workers + 1)]
    return [tuple(cores[start:end]) for start, end in pairwise(bounds)]
