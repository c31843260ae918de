"""The ablations of LLM-IQA (Tables 3, 4 and 5) and some of ours: the runs they need, and what is read there.

A row is a run, one of its standards, and arithmetic. Rows share runs where they can, and runs share
segmentations and ratings (see `reuse`).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroiqa.evaluation.reuse import Calls, Memory, RememberingRater, RememberingSegmenter, open_memory
from zeroiqa.runs import open_run, pending, write_scores
from zeroiqa.runs.passes import rater_groups, release_memory
from zeroiqa.runs.stages import method_of, run_shards
from zeroiqa.segmenters import build_segmenter, has_weights
from zeroiqa.segmenters.mask_parameters import load_granularity
from zeroiqa.settings import settings_from_dict

if TYPE_CHECKING:
    from zeroiqa.inputs import Source
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings

REGIONS_ONLY = math.inf
"""Lambda of the rows that leave the whole image out."""
WORDS, WHOLE = "quality-word-7", "whole"
TABLES = ("3", "4", "5", "ours")


class RunKey(NamedTuple):
    """What makes a run of its own."""

    crop: str
    segmentation: tuple[tuple[str, Any], ...] = ()
    """Settings of the segmenter that differ from the common ones."""

    @property
    def name(self) -> str:
        """A folder name."""
        changes = "-".join(f"{key}-{value}" for key, value in self.segmentation)
        return "-".join(filter(None, (self.crop, changes))).replace("/", "_").replace(":", "_")


_BOXES = RunKey("bbox")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    label: str
    run: RunKey = _BOXES
    standard: str = WORDS
    arithmetic: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `reaggregation`, over digit readout, area weighting and lambda 1."""
    published: str = ""
    """What the paper's table calls it; empty for a row of ours."""


def table_rows(table: str, settings: Settings) -> list[Row]:
    """The rows of a table, those left out that the settings cannot give.

    Args:
        table: "3" (aggregation, crop and standard), "4" (number of levels), "5" (segmentation) or "ours"
            (readout, lambda, areas, least area).
        settings: The common ones; the rows of SAM 2 need a segmenter that has weights.
    """
    if table == "3":
        return _aggregation_rows(settings)
    if table == "4":
        return [Row(f"K = {k}", standard=f"quality-word-{k}", published=str(k)) for k in (3, 5, 7, 9)]
    if table == "5":
        return _segmentation_rows(settings)
    return _own_rows()


def _aggregation_rows(settings: Settings) -> list[Row]:
    only = {"lambda": REGIONS_ONLY}
    rows = [
        Row("whole image, free number", RunKey(WHOLE), "quality-float", {"lambda": 0}, "1"),
        Row("boxes by area, number standard", standard="quality-number-7", arithmetic=only, published="2"),
        Row(
            "boxes by area, sentence standard", standard="quality-sentence-7", arithmetic=only, published="3"
        ),
        Row("boxes by mean, word standard", arithmetic={**only, "weighting": "mean"}, published="4"),
        Row("masks by area, word standard", RunKey("mask"), arithmetic=only, published="5"),
        Row("whole image, word standard", arithmetic={"lambda": 0}, published="6"),
        Row("boxes by area, word standard", arithmetic=only, published="7"),
        Row("boxes and whole image, word standard", published="8"),
    ]
    if len(settings.raters) == 1:
        return rows
    first = {"members": (settings.raters[0],)}
    alone = [replace(row, arithmetic={**row.arithmetic, **first}) for row in rows]
    return [*alone, Row("the same, ensemble", published="9")]


def _segmentation_rows(settings: Settings) -> list[Row]:
    without = Row("no complement", RunKey("bbox", (("complement", False),)), published="No Complement")
    ours = Row("our setting", published="Our Setting")
    if not has_weights(settings.segmenter):
        return [without, ours]
    profiles = {"default": "Default", "tiny": "SAM Tiny", "coarse": ""}
    if ":" in settings.segmenter:  # a checkpoint of the user's own: there is no other size of it
        del profiles["tiny"]
    return [
        *(
            Row(name, RunKey("bbox", _profile(name, settings)), published=said)
            for name, said in profiles.items()
        ),
        without,
        ours,
    ]


def _profile(name: str, settings: Settings) -> tuple[tuple[str, Any], ...]:
    profile = load_granularity(name)
    segmenter = settings.segmenter if ":" in settings.segmenter else profile.segmenter
    changes = {"granularity": name, "segmenter": segmenter, "min_area": profile.min_area}
    return tuple((key, value) for key, value in changes.items() if value != getattr(settings, key))


def _own_rows() -> list[Row]:
    lambdas = (0, 0.25, 0.5, 1, 2, 4, REGIONS_ONLY)
    return [
        Row("readout digit"),
        Row("readout expected", arithmetic={"readout": "expected"}),
        *(Row(f"lambda {lam:g}", arithmetic={"readout": "expected", "lambda": lam}) for lam in lambdas),
        Row("literal areas", arithmetic={"readout": "expected", "normalize_areas": False}),
        *(
            Row(
                f"least area {area:g}",
                RunKey("bbox", (("min_area", area),)),
                arithmetic={"readout": "expected"},
            )
            for area in (0.0, 0.005, 0.02, 0.05)
        ),
    ]


@dataclass(frozen=True)
class Ablation:
    """Finished runs of the rows, and what they cost."""

    runs: Mapping[RunKey, Run]
    ratings: Calls
    segmentations: Calls


def run_ablation(
    rows: Sequence[Row],
    settings: Settings,
    sources: Sequence[Source],
    folder: Path,
    memory_file: Path,
    progress: Callable[[Run], Any] = lambda _: None,
) -> Ablation:
    """Do every run that the rows need; what is there already is used.

    Args:
        rows: From `table_rows`.
        settings: The common ones; crop and standards are those of the rows.
        sources: The images.
        folder: Gets one run folder for each distinct run.
        memory_file: What runs share, also those of other tables.
        progress: Told each run before its images; returns what is called with each image that is done.

    Raises:
        UserError: a model is unusable, or the folder holds something else.
    """
    ratings, segmentations = Calls(), Calls()
    runs = {}
    with open_memory(memory_file) as memory:
        for key, standards in _needed(rows).items():
            fields = {**settings.to_dict(), **dict(key.segmentation)}
            fields |= {"crop": key.crop, "standards": list(standards)}
            own = settings_from_dict(fields, "the ablation")
            run = open_run(folder / key.name, own, list(sources), preset="ablation")
            on_images = progress(run) or (lambda _: None)
            for group in rater_groups(own.raters):
                left = pending(run, group)
                if left:
                    method = method_of(run, group)
                    remembered = {n: RememberingRater(r, memory, ratings) for n, r in method.raters.items()}
                    segmenter = _remembering(own, memory, segmentations)
                    method = replace(method, raters=remembered, segmenter=segmenter)
                    for _ in run_shards(run, method, left, on_images):
                        pass
                    del method, remembered, segmenter
                    release_memory()
            write_scores(run)
            runs[key] = run
    return Ablation(runs, ratings, segmentations)


def _needed(rows: Sequence[Row]) -> dict[RunKey, tuple[str, ...]]:
    """The distinct runs, each with the standards that are read off it."""
    needed: dict[RunKey, dict[str, None]] = {}
    for row in rows:
        needed.setdefault(row.run, {})[row.standard] = None
    return {key: tuple(standards) for key, standards in needed.items()}


def _remembering(settings: Settings, memory: Memory, calls: Calls) -> RememberingSegmenter | None:
    if settings.crop == WHOLE:
        return None
    segmenter = build_segmenter(
        settings.segmenter,
        min_area=settings.min_area,
        complement=settings.complement,
        masks=True,  # so that boxes and masks share it
        granularity=settings.granularity,
        options=settings.model_options,
    )
    return RememberingSegmenter(segmenter, memory, calls, masks=settings.crop == "mask")


def common_arithmetic(row: Row) -> Iterator[tuple[str, Any]]:
    """The arithmetic of a row, whatever the runs' settings say."""
    yield from {
        "readout": "digit",
        "weighting": "area",
        "lambda": 1.0,
        "normalize_areas": True,
        **row.arithmetic,
    }.items()


_KEY_COLUMNS = {"3": "exp", "4": "K", "5": "setting"}
_DATASETS = {"spaq": "spaq", "agiqa3k": "agiqa3k", "livec": "livec", "kadid10k": "kadid"}
"""Dataset -> beginning of its columns in the published tables."""


def published_row(table: str, row: str, dataset: str) -> tuple[float | None, float | None]:
    """SRCC and PLCC that the paper prints for a row of its table on a dataset; None where it prints none."""
    if table not in _KEY_COLUMNS or not row or dataset not in _DATASETS:
        return None, None
    path = resources.files("zeroiqa.evaluation") / "published" / f"llm_iqa_table{table}.csv"
    for record in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        if record[_KEY_COLUMNS[table]] == row:
            values = [record.get(f"{_DATASETS[dataset]}_{measure}") for measure in ("srcc", "plcc")]
            srcc, plcc = (float(value) if value else None for value in values)
            return srcc, plcc
    return None, None
