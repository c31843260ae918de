"""Slices of a run for jobs that know nothing of each other: job I of N takes every Nth shard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zeroiqa.errors import UserError


@dataclass(frozen=True)
class Slice:
    """What one of several jobs does of a run."""

    index: int
    """Of the job, from 0."""
    count: int
    """How many jobs there are."""

    def of(self, shards: Iterable[int]) -> list[int]:
        """Those of the shards that the job does; small and large ones are dealt out evenly."""
        return [shard for shard in shards if shard % self.count == self.index]

    def __str__(self) -> str:
        """As it is written in a command."""
        return f"{self.index}/{self.count}"


def parse_slice(text: str, environment: Mapping[str, str]) -> Slice:
    """The slice that I/N (I from 0 to N - 1), or `slurm` inside a job array, means.

    Args:
        text: As given.
        environment: Slurm's variables SLURM_ARRAY_TASK_ID, _MIN, _STEP and _COUNT are taken from it.

    Raises:
        UserError: it is neither, or the index is out of range.
    """
    if text == "slurm":
        return _of_slurm(environment)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found:
        raise UserError(
            f"--shard is {text!r}; give I/N, slice I of N (I from 0 to N - 1), or slurm in an array."
        )
    index, count = map(int, found.groups())
    if index >= count:
        ranges = f"I goes from 0 to {count - 1}" if count else "N must be 1 or more"
        raise UserError(f"--shard is {text}, but {ranges}; give another I/N.")
    return Slice(index, count)


def _of_slurm(environment: Mapping[str, str]) -> Slice:
    defaults = {"ID": "", "COUNT": "", "MIN": "0", "STEP": "1"}
    found = {name: environment.get(f"SLURM_ARRAY_TASK_{name}", default) for name, default in defaults.items()}
    try:
        task, count, first, step = map(int, found.values())
    except ValueError as error:
        raise UserError(
            "--shard slurm needs a Slurm job array, but SLURM_ARRAY_TASK_ID and _COUNT are "
            f"{found['ID'] or 'not set'} and {found['COUNT'] or 'not set'}; submit with "
            "`sbatch --array=0-63`, or give --shard I/N."
        ) from error
    index, rest = divmod(task - first, step)
    if rest or not 0 <= index < count:
        raise UserError(
            f"The Slurm array has tasks that do not count up evenly (this one is {task}, the first {first}, "
            f"{count} in all); use an array such as 0-63, or give --shard I/N."
        )
    return Slice(index, count)
