"""What the reader of a run's scores should know of the ratings that they are made of."""

from __future__ import annotations

from zeroiqa.aggregate import Aggregation
from zeroiqa.answers import run_warnings
from zeroiqa.runs.run import Run, RunStatus, status


def remarks(run: Run, aggregation: Aggregation | None = None, *, state: RunStatus | None = None) -> list[str]:
    """Sentences with counts: where little of the probability lies on the levels, or prompts are missing.

    Args:
        run: The run; of its shards, those that are finished count.
        aggregation: Says what is low, and which raters matter; the run's own if left out.
        state: From `status`, if it is known already; of the same aggregation.

    Raises:
        UserError: a part without an event is damaged.
    """
    state = state or status(run, aggregation=aggregation)
    members = (aggregation.members if aggregation else ()) or run.settings.raters
    keys = ((rater, standard) for rater in members for standard in run.labels)
    return list(run_warnings({key: state.answers[key] for key in keys if key in state.answers}, run.labels))
