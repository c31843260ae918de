"""zeroiqa: image quality without a reference and without training.

>>> import zeroiqa
>>> result = zeroiqa.score("photo.jpg")         # doctest: +SKIP
>>> results = zeroiqa.score_images(["a.jpg", "b.jpg"])  # doctest: +SKIP
>>> run = zeroiqa.run("photos/", "my-run")      # doctest: +SKIP
>>> agreement = zeroiqa.evaluate("run", mos="opinions.csv")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroiqa.version import __version__

if TYPE_CHECKING:
    from zeroiqa.api import RunProgress, load_run, run
    from zeroiqa.curation.select import select
    from zeroiqa.errors import ImageError, UserError
    from zeroiqa.evaluation.calibrate import Calibrated, calibrate
    from zeroiqa.evaluation.compare import compare
    from zeroiqa.evaluation.comparison import Comparison
    from zeroiqa.evaluation.evaluate import Evaluation, evaluate
    from zeroiqa.image_scores import ImageScores
    from zeroiqa.pipeline import Method
    from zeroiqa.results import ImageScore
    from zeroiqa.runs.run import Run
    from zeroiqa.scoring.images import score, score_images
    from zeroiqa.scoring.method import load_method

__all__ = [
    "score",
    "score_images",
    "load_method",
    "run",
    "load_run",
    "select",
    "evaluate",
    "compare",
    "calibrate",
    "Method",
    "Run",
    "RunProgress",
    "ImageScore",
    "ImageScores",
    "Evaluation",
    "Comparison",
    "Calibrated",
    "UserError",
    "ImageError",
    "__version__",
]

_HOME = {
    "score": "scoring.images",
    "score_images": "scoring.images",
    "load_method": "scoring.method",
    "run": "api",
    "load_run": "api",
    "select": "curation.select",
    "RunProgress": "api",
    "Run": "runs.run",
    "evaluate": "evaluation.evaluate",
    "compare": "evaluation.compare",
    "calibrate": "evaluation.calibrate",
    "Method": "pipeline",
    "ImageScore": "results",
    "ImageScores": "image_scores",
    "Evaluation": "evaluation.evaluate",
    "Comparison": "evaluation.comparison",
    "Calibrated": "evaluation.calibrate",
    "UserError": "errors",
    "ImageError": "errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `import zeroiqa` alone stays instant."""
    if name not in _HOME:
        raise AttributeError(f"module 'zeroiqa' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"zeroiqa.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
