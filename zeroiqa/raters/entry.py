"""What is known of a rater before it is built: its entry in the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Rater

Build: TypeAlias = "Callable[[str | None, ModelOptions], Rater]"
"""Builds a rater from the text after the colon of its name (None without a colon) and how to run weights."""

LOWER_IS_BETTER = "lower-is-better"
"""The last word of the id of a rater whose numbers may point either way, where they fall as quality rises."""


def never(rater_id: str) -> bool:
    """No id says so."""
    return False


@dataclass(frozen=True)
class RaterEntry:
    """What a rater declares of itself; an installed package offers one as entry point in zeroiqa.raters.

    Two facts depend on what happened when a run was made. They are told by the id that the run stores.
    """

    build: Build
    """Raises `UserError` for an argument that it does not take. Loads no weights and asks no server."""
    help: str = ""
    """What it is, in a few words, for `zeroiqa models`."""
    needs_weights: bool = False
    """Whether it holds a model in memory, so that no two of these are there at a time."""
    is_server: bool = False
    """Whether it asks a server, which one process keeps busy."""
    is_chat_model: bool = False
    """Whether it is a chat model that transformers runs, which `zeroiqa models check` looks into."""
    own_scale: bool = False
    """Whether its numbers have a unit of their own, so that there is no mean with those of others."""
    gives_levels: bool = False
    """Whether it gives levels beside its number, as heads do."""
    measures_mass: bool = True
    """Whether `Rating.mass` is measured; else it is 1 and says nothing."""
    reads_words: bool = False
    """Whether its number comes with a mass, that of words among all words: it may rightly be small."""
    lower_is_better: Callable[[str], bool] = never
    """By its id: whether its numbers fall as quality rises."""
    digits_only: Callable[[str], bool] = never
    """By its id: whether it answered levels without their probabilities."""
    tells_answer: bool = False
    """Whether its ratings hold the greedy answer, which the readout "greedy" takes."""
    describes: bool = False
    """Whether it is a `zeroiqa.types.Describer`: a model that writes what it sees, where it is asked to."""
    gives_measures: bool = False
    """Whether its ratings hold what it measured of the view, from which the reasons are made."""
    build_for_digits: Build | None = None
    """Builds it where only the most probable level counts, if that makes a difference."""
    for_argument: Callable[[str], RaterEntry] | None = None
    """The entry for the text after the colon, where that changes what is declared; refuses nothing."""
    check: Callable[[str | None], None] | None = None
    """Refuses the text after the colon where a slip in it can be told before anything is read or loaded."""
