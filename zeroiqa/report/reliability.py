"""A calibration as a plot: labels over scores with the map and its intervals, and how reliable the map is."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from zeroiqa.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zeroiqa.calibration import Bin
    from zeroiqa.calibration_file import Calibration
    from zeroiqa.metrics.correlation import Values

FORMATS = (".png", ".svg")
_HEAD = 4096
_DRAWN_BY = b"Matplotlib"


def is_plot(path: Path) -> bool:
    """Whether a file is one that Matplotlib has drawn; a photo or the like is not to be replaced."""
    try:
        with path.open("rb") as file:
            return _DRAWN_BY in file.read(_HEAD)
    except OSError:
        return False


def reliability_plot(
    calibration: Calibration, points: tuple[Values, Values], bins: Sequence[Bin], file: BinaryIO, form: str
) -> None:
    """Draw the map on the left; on the right the labels of each bin over what is expected of them.

    Args:
        calibration: The map, in the units of scores and labels as they are.
        points: Score and label of each labelled image.
        bins: The labels by what maps without them expect.
        file: Where to.
        form: png or svg.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            "A plot needs matplotlib, which is missing: pip install 'zeroiqa[report]'."
        ) from error
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    scores, values, low, high = zip(*calibration.knots, strict=True)
    left.fill_between(scores, low, high, alpha=0.2, linewidth=0, label="9 of 10 labels")
    left.plot(scores, values, label=f"{calibration.kind} map")
    left.scatter(*points, s=12, alpha=0.6, linewidths=0, color="C1", label="labels")
    left.set_xlabel("score" + " (lower is better)" * calibration.lower_is_better)
    left.set_ylabel("label" + " (lower is better)" * calibration.scale.lower_is_better)
    left.legend()
    expected, labels = ([getattr(each, what) for each in bins] for what in ("expected", "label"))
    ends = (min(*expected, *labels), max(*expected, *labels))
    right.plot(ends, ends, linestyle=":", color="0.5")
    right.plot(expected, labels, marker="o")
    right.set_xlabel("expected, by maps without these labels")
    right.set_ylabel("mean label")
    with matplotlib.rc_context({"svg.hashsalt": "zeroiqa"}):  # equal plots are equal files
        figure.savefig(file, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
