"""Loading by transformers: quietly, and completely or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from zeroiqa.errors import UserError, one_line

_SHOWN = 5  # names of tensors in a message


def transformers(part: str = "") -> Any:
    """A module of transformers, whose types are partial: what comes from there is Any."""
    return import_module(f"transformers.{part}" if part else "transformers")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no reports of transformers' own while loading; what matters is said by us."""
    their_logging = transformers("utils.logging")
    level, bars = their_logging.get_verbosity(), their_logging.is_progress_bar_enabled()
    their_logging.set_verbosity_error()
    their_logging.disable_progress_bar()
    try:
        yield
    finally:
        their_logging.set_verbosity(level)
        if bars:
            their_logging.enable_progress_bar()


def check_tensors(name: str, report: dict[str, Any]) -> None:
    """Refuse a checkpoint that leaves a weight to chance, or holds one that the model has no place for.

    Args:
        name: What the user called the model.
        report: The loading info of `from_pretrained`.

    Raises:
        UserError: tensors are missing, of another shape, or without a place.
    """
    wrong = {
        "missing": sorted(report.get("missing_keys") or ()),
        "of another shape": sorted(str(item[0]) for item in report.get("mismatched_keys") or ()),
        "without a place in the model": sorted(report.get("unexpected_keys") or ()),
    }
    found = [f"{what}: {_listed(names)}" for what, names in wrong.items() if names]
    if found or report.get("error_msgs"):
        reasons = "; ".join(found) or one_line(str(report["error_msgs"][0]))
        raise UserError(
            f"The weights of {name} do not fit its configuration (tensors {reasons}); fetch the model again."
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
