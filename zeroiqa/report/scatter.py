"""Scores against opinions as a scatter plot with both distributions beside it (LLM-IQA, Fig. 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from zeroiqa.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

_BINS = 40


def scatter_plot(
    scores: Values,
    opinions: Values,
    title: str,
    file: BinaryIO,
    labels: tuple[str, str] = ("score", "opinion of people"),
) -> None:
    """Draw one point per image, and write it as PNG.

    Args:
        scores: One per image.
        opinions: Of people, in the same order.
        title: Above the plot.
        file: Where to.
        labels: Of the axes of scores and opinions.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            "A plot needs matplotlib, which is missing: pip install 'zeroiqa[report]'."
        ) from error
    figure = Figure(figsize=(5, 5), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(5, 1), height_ratios=(1, 5))
    middle = figure.add_subplot(grid[1, 0])
    middle.scatter(scores, opinions, s=8, alpha=0.4, linewidths=0)
    middle.set_xlabel(labels[0])
    middle.set_ylabel(labels[1])
    above = figure.add_subplot(grid[0, 0], sharex=middle)
    above.hist(scores, bins=_BINS)
    beside = figure.add_subplot(grid[1, 1], sharey=middle)
    beside.hist(opinions, bins=_BINS, orientation="horizontal")
    for side in (above, beside):
        side.axis("off")
    figure.suptitle(title)
    figure.savefig(file, format="png", dpi=150)
