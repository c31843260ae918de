"""Runs: folders of stored ratings that can be interrupted at any moment, resumed, and scored again.

    plan --segment--> regions/ --rate--> ratings/<rater>/ --aggregate--> scores

Reading a run imports no segmenter, no rater and no image library.
"""

from zeroiqa.runs.opening import open_run, run_id
from zeroiqa.runs.remarks import remarks
from zeroiqa.runs.run import Run, RunStatus, load_run, pending, status
from zeroiqa.runs.score_files import read_column, write_scores
from zeroiqa.runs.scores import (
    ScoredImage,
    iter_scored,
    iter_scores,
    read_rated,
    read_scores,
    reaggregation,
    score_columns,
)

__all__ = [
    "Run",
    "RunStatus",
    "open_run",
    "load_run",
    "run_id",
    "pending",
    "status",
    "remarks",
    "read_column",
    "read_rated",
    "read_scores",
    "ScoredImage",
    "iter_scored",
    "iter_scores",
    "score_columns",
    "reaggregation",
    "write_scores",
]
