"""The ablations of LLM-IQA (Tables 3, 4 and 5) and some of ours: the runs they need, and what is read there.

A row is a run, one of its standards, and arithmetic. Rows share runs where they can, and runs share
segmentations and ratings (see `reuse`).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from zeroiqa.evaluation.cache import CachedRater, CachedSegmenter, Calls, ResultCache, open_cache
from zeroiqa.raters import find_rater
from zeroiqa.runs import open_run, pending, write_scores
from zeroiqa.runs.healing import find_changes
from zeroiqa.runs.passes import rater_groups, release_memory
from zeroiqa.runs.resolved import Builder, Resolved
from zeroiqa.runs.run import revised
from zeroiqa.runs.stages import method_of, run_shards
from zeroiqa.segmenters import find_segmenter, segmenter_of
from zeroiqa.segmenters.granularity import ComplementRule, load_granularity
from zeroiqa.settings import settings_from_dict

if TYPE_CHECKING:
    from zeroiqa.aggregate import Readout
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.pipeline import Method
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings

REGIONS_ONLY = math.inf
"""Lambda of the rows that leave the whole image out."""
WORDS, WHOLE = "quality-word-7", "whole"
OFFICIAL_WORDS = "dog-iqa-word-7"
_OFFICIAL = {"formula": "dog-iqa", "lambda": 2.0, "count_weight": 0.1}
"""Arithmetic of Dog-IQA's code, but for its readout, greedy, which not every rater has."""
_PAPER = {"formula": "mean", "lambda": 1.0}
_READOUTS: tuple[Readout, ...] = ("greedy", "digit", "expected")


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
class AblationRow:
    """One line of a table."""

    label: str
    run: RunKey = _BOXES
    standard: str = WORDS
    arithmetic: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `reaggregation`, over digit readout, area weighting and the mean with lambda 1."""
    published: str = ""
    """What the paper's table calls it; empty for a row of ours."""


def table_rows(table: str, settings: Settings) -> list[AblationRow]:
    """The rows of a table, those left out that the settings cannot give (see `left_out`).

    Two rows differ in what their labels name and in nothing else. Of an ensemble each rater has rows of its
    own, as the paper's numbers are of one model; only Table 3 has a row of all.

    Args:
        table: "3" (aggregation, crop and standard), "4" (number of levels), "5" (segmentation), "ours"
            (readout, lambda, areas, least area) or "official" (Dog-IQA's code: formula, count term,
            complement, prompt, readout, lambda).
        settings: The common ones; the rows of SAM 2 need a segmenter that has weights.
    """
    rows = [row for row in _one_rater(table, settings) if not _vary_nothing(row, settings)]
    if len(settings.raters) == 1:
        return [row for row in rows if _can_give(settings.raters[0], row)]
    blocks = [
        replace(row, label=f"{row.label}, {rater}", arithmetic={**row.arithmetic, "members": (rater,)})
        for rater in settings.raters
        for row in rows
        if _can_give(rater, row)
    ]
    weights = f" weighted {':'.join(f'{each:g}' for each in settings.rater_weights)}" * bool(
        settings.rater_weights
    )
    together = f"{rows[-1].label}, ensemble of {len(settings.raters)} raters{weights}"
    return [*blocks, AblationRow(together, published="9")] if table == "3" else blocks


def left_out(table: str, settings: Settings) -> list[str]:
    """Sentences about the rows of a table that the settings cannot give: they have that already, or a rater
    does not answer so."""
    rows = _one_rater(table, settings)
    common = [
        f"Left out: {row.label}. That is the common setting here."
        for row in rows
        if _vary_nothing(row, settings)
    ]
    mute = [(rater, [row.label for row in rows if not _can_give(rater, row)]) for rater in settings.raters]
    return common + [
        f"Left out: {', '.join(labels)} ({len(labels)} of {len(rows)} rows). The rater {rater} answers no "
        "text, whose first token they read."
        for rater, labels in mute
        if labels
    ]


def _one_rater(table: str, settings: Settings) -> list[AblationRow]:
    if table == "3":
        return _aggregation_rows()
    if table == "4":
        return [AblationRow(f"K = {k}", standard=f"quality-word-{k}", published=str(k)) for k in (3, 5, 7, 9)]
    if table == "5":
        return _segmentation_rows(settings)
    return _official_rows(_official_readout(settings)) if table == "official" else _own_rows()


def _can_give(rater: str, row: AblationRow) -> bool:
    """Whether a rater's answers can be read as the row reads them."""
    return row.arithmetic.get("readout") != "greedy" or find_rater(rater).tells_answer


def _vary_nothing(row: AblationRow, settings: Settings) -> bool:
    """Whether a row is about settings of the segmenter that are the common ones already."""
    return bool(row.run.segmentation) and all(
        load_granularity(value).masks == load_granularity(settings.granularity).masks
        if key == "granularity"
        else value == getattr(settings, key)
        for key, value in row.run.segmentation
    )


def _aggregation_rows() -> list[AblationRow]:
    only = {"lambda": REGIONS_ONLY}
    return [
        AblationRow("whole image, free number", RunKey(WHOLE), "quality-float", {"lambda": 0}, "1"),
        AblationRow(
            "boxes by area, number standard", standard="quality-number-7", arithmetic=only, published="2"
        ),
        AblationRow(
            "boxes by area, sentence standard", standard="quality-sentence-7", arithmetic=only, published="3"
        ),
        AblationRow("boxes by mean, word standard", arithmetic={**only, "weighting": "mean"}, published="4"),
        AblationRow("masks by area, word standard", RunKey("mask"), arithmetic=only, published="5"),
        AblationRow("whole image, word standard", arithmetic={"lambda": 0}, published="6"),
        AblationRow("boxes by area, word standard", arithmetic=only, published="7"),
        AblationRow("boxes and whole image, word standard", published="8"),
    ]


def _segmentation_rows(settings: Settings) -> list[AblationRow]:
    """One segmenter in all rows but that which names another; published: the paper's areas may be literal.

    Without the complement the areas add up to less than 1. Normalised, that changes little; literal, the
    regions' part of the score grows with the area that they cover. Only the latter can do to the agreement
    what the paper's Table 5 reports, so that both are measured.
    """
    literal = {"normalize_areas": False}
    without = RunKey("bbox", (("complement", False),))
    rows = [
        AblationRow("no complement", without, published="No Complement"),
        AblationRow("no complement, literal areas", without, arithmetic=literal, published="No Complement"),
        AblationRow("our setting", published="Our Setting"),
        AblationRow("our setting, literal areas", arithmetic=literal, published="Our Setting"),
    ]
    if not find_segmenter(settings.segmenter).takes_granularity:
        return rows
    fine, coarse = (RunKey("bbox", (("granularity", name),)) for name in ("default", "coarse"))
    tiny = RunKey("bbox", (("segmenter", "sam2.1-tiny"),))
    networks = [
        AblationRow("default parameters", fine, published="Default"),
        AblationRow("segmenter sam2.1-tiny", tiny, published="SAM Tiny"),
        AblationRow("coarse parameters", coarse),
    ]
    if ":" in settings.segmenter:  # a checkpoint of the user's own: there is no other size of it
        del networks[1]
    return [*networks, *rows]


def _own_rows() -> list[AblationRow]:
    lambdas = (0, 0.25, 0.5, 1, 2, 4, REGIONS_ONLY)
    mean = {"readout": "expected"}
    return [
        AblationRow("readout digit"),
        AblationRow("readout expected", arithmetic=mean),
        *(AblationRow(f"lambda {lam:g}", arithmetic={**mean, "lambda": lam}) for lam in lambdas),
        AblationRow("literal areas", arithmetic={**mean, "normalize_areas": False}),
        *(
            AblationRow(f"least area {area:g}", RunKey("bbox", (("min_area", area),)), arithmetic=mean)
            for area in (0.0, 0.005, 0.02, 0.05)
        ),
    ]


def _official_readout(settings: Settings) -> Readout:
    """That of Dog-IQA's code, where every rater tells what it would say."""
    return "greedy" if all(find_rater(name).tells_answer for name in settings.raters) else "digit"


def _official_rows(readout: Readout) -> list[AblationRow]:
    """Each differs from the first in what its label says; of one lambda and count all formulas rank alike."""
    official = {**_OFFICIAL, "readout": readout}
    arithmetic: dict[str, dict[str, Any]] = {
        **{f"readout {other}": {"readout": other} for other in _READOUTS if other != readout},
        "formula dog-iqa-first, lambda 1": {"formula": "dog-iqa-first", "lambda": 1.0},
        "formula mean, lambda 1": _PAPER,
        "count term 0": {"count_weight": 0.0},
        "formula mean, lambda 0": {"formula": "mean", "lambda": 0},
        **{f"lambda {lam:g}": {"lambda": lam} for lam in (0.25, 0.5, 1, 4, REGIONS_ONLY)},
    }
    complements: dict[str, tuple[tuple[str, Any], ...]] = {
        f"complement {rule}": (("complement", True), ("complement_rule", rule))
        for rule in get_args(ComplementRule)
    }
    complements["no complement"] = (("complement", False),)
    digit = "" if readout == "digit" else ", readout digit"
    return [
        AblationRow("official prompt and formula", standard=OFFICIAL_WORDS, arithmetic=official),
        *(
            AblationRow(label, _BOXES, OFFICIAL_WORDS, {**official, **changes})
            for label, changes in arithmetic.items()
        ),
        *(
            AblationRow(label, RunKey("bbox", changes), OFFICIAL_WORDS, official)
            for label, changes in complements.items()
        ),
        AblationRow("prompt of the paper", standard=WORDS, arithmetic=official),
        AblationRow(
            f"prompt of the paper{digit}, formula mean, lambda 1, count term 0",
            standard=WORDS,
            arithmetic={**_PAPER, "readout": "digit", "count_weight": 0.0},
        ),
    ]


def common_settings(table: str, settings: Settings) -> str:
    """What all rows of a table have in common but where their labels say otherwise."""
    readout: Readout = "expected" if table == "ours" else "digit"
    formula = "lambda 1"
    if table == "official":
        readout = _official_readout(settings)
        formula = f"formula dog-iqa, lambda 2, count term 0.1, prompt {OFFICIAL_WORDS}"
    fineness = f" ({settings.granularity})" if find_segmenter(settings.segmenter).takes_granularity else ""
    pixels = f" and {settings.min_pixels} pixels" if settings.min_pixels else ""
    complement = (
        f"with the complement ({settings.complement_rule})"
        if settings.complement
        else "without the complement"
    )
    return (
        f"readout {readout}, {formula}, normalised areas, segmenter {settings.segmenter}{fineness}, "
        f"least area {settings.min_area:g}{pixels}, {complement}, rater {', '.join(settings.raters)}"
    )


@dataclass(frozen=True)
class Ablation:
    """Finished runs of the rows, and what they cost."""

    runs: Mapping[RunKey, Run]
    ratings: Calls
    segmentations: Calls


def run_ablation(
    rows: Sequence[AblationRow],
    settings: Settings,
    sources: Sequence[ImageRef],
    folder: Path,
    cache_file: Path,
    progress: Callable[[Run], Any] = lambda _: None,
) -> Ablation:
    """Do every run that the rows need; what is there already is used.

    Args:
        rows: From `table_rows`.
        settings: The common ones; crop and standards are those of the rows.
        sources: The images.
        folder: Gets one run folder for each distinct run.
        cache_file: What runs share, also those of other tables.
        progress: Called with each run before its images; returns what is called with the number of images
            that are done.

    Raises:
        UserError: a model is unusable, or the folder holds something else.
    """
    ratings, segmentations = Calls(), Calls()
    runs, builder = {}, Builder()
    readouts = {dict(common_arithmetic(row))["readout"] for row in rows}
    with open_cache(cache_file) as cache:
        for key, standards in _needed(rows).items():
            fields = {**settings.to_dict(), **dict(key.segmentation)}
            fields |= {"crop": key.crop, "standards": list(standards), "standard_weights": []}
            fields["regions"] = key.crop != WHOLE  # lambda is that of the rows, not of the run
            if {settings.readout, *readouts} != {"digit"}:  # then a rater tells more than its digits
                fields["readout"] = "expected"
            own = settings_from_dict(fields, "the ablation")
            resolved = Resolved(own, builder)
            run = open_run(folder / key.name, resolved, list(sources), preset="ablation")
            run = revised(run, find_changes(run, sources).changes)
            cached = partial(_cached, own, cache, ratings, segmentations)
            _compute(run, cached, progress(run) or (lambda _: None), builder)
            runs[key] = run
    return Ablation(runs, ratings, segmentations)


def _needed(rows: Sequence[AblationRow]) -> dict[RunKey, tuple[str, ...]]:
    """The distinct runs, each with the standards that are read off it."""
    needed: dict[RunKey, dict[str, None]] = {}
    for row in rows:
        needed.setdefault(row.run, {})[row.standard] = None
    return {key: tuple(standards) for key, standards in needed.items()}


def _compute(
    run: Run, cached: Callable[[Method], Method], on_images: Callable[[int], None], builder: Builder
) -> None:
    """Do what is left of a run, one group of raters after the other, and write its scores."""
    for group in rater_groups(run.settings.raters):
        left = pending(run, group)
        if left:
            method = cached(method_of(run, group))
            for _ in run_shards(run, method, left, on_images):
                pass
            del method
            release_memory(builder)
    write_scores(run)


def _cached(
    settings: Settings, cache: ResultCache, ratings: Calls, segmentations: Calls, method: Method
) -> Method:
    """The method with a cache around its raters and its segmenter."""
    raters = {name: CachedRater(rater, cache, ratings) for name, rater in method.raters.items()}
    return replace(method, raters=raters, segmenter=_cached_segmenter(settings, cache, segmentations))


def _cached_segmenter(settings: Settings, cache: ResultCache, calls: Calls) -> CachedSegmenter | None:
    if not settings.makes_regions:
        return None
    own = replace(settings.segmenter_options(), masks=True)  # shared by boxes and masks
    keep = settings.crop == "mask"
    if not find_segmenter(settings.segmenter).by_rule:
        return CachedSegmenter(segmenter_of(settings.segmenter, own), cache, calls, masks=keep)
    every = replace(own, min_area=0.0, min_pixels=0, complement=False, complement_rule="union")
    return CachedSegmenter(segmenter_of(settings.segmenter, every), cache, calls, masks=keep, rule=own)


def common_arithmetic(row: AblationRow) -> Iterator[tuple[str, Any]]:
    """The arithmetic of a row, whatever the runs' settings say."""
    yield from {
        "readout": "digit",
        "weighting": "area",
        "lambda": 1.0,
        "normalize_areas": True,
        "formula": "mean",
        "count_weight": 0.0,
        **row.arithmetic,
    }.items()


SOURCE = "LLM-IQA, Table {}"
_KEY_COLUMNS = {"3": "exp", "4": "K", "5": "setting"}
_DATASETS = {"spaq": "spaq", "agiqa3k": "agiqa3k", "livec": "livec", "kadid10k": "kadid"}
"""Dataset -> beginning of its columns in the published tables."""


def printed_row(table: str, row: str, dataset: str) -> dict[str, str]:
    """SRCC and PLCC as the paper prints them for a row of its table on a dataset; empty where it has none."""
    if table not in _KEY_COLUMNS or not row or dataset not in _DATASETS:
        return {}
    path = resources.files("zeroiqa.evaluation") / "published" / f"llm_iqa_table{table}.csv"
    for record in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        if record[_KEY_COLUMNS[table]] == row:
            cells = {name: record.get(f"{_DATASETS[dataset]}_{name.lower()}") for name in ("SRCC", "PLCC")}
            return {name: text for name, text in cells.items() if text}
    return {}
