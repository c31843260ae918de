"""The entries of this package's raters. The class of a rater is imported when one is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from zeroiqa.baselines import catalogue
from zeroiqa.errors import UserError
from zeroiqa.raters.entry import LOWER_IS_BETTER, RaterEntry
from zeroiqa.weights.cards import ModelCard, model_cards
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Rater

_DIGITS = re.compile(r" digits( without .*)?$")


def builtin_raters() -> Mapping[str, RaterEntry]:
    """Name -> entry; hf, openai, baseline and head want to know which after a colon."""
    cards = {name: _of_card(card) for name, card in model_cards().items()}
    return {"nss": NSS, "fake": FAKE, "hf": HF, "openai": OPENAI, "baseline": BASELINE, "head": HEAD, **cards}


def _nss(argument: str | None, options: ModelOptions) -> Rater:
    from zeroiqa.raters.nss import NssRater

    return NssRater(argument)


def _fake(argument: str | None, options: ModelOptions) -> Rater:
    from zeroiqa.raters.fake import FakeRater

    return FakeRater(argument)


def _hf(argument: str | None, options: ModelOptions) -> Rater:
    if not argument:
        raise UserError("The rater hf needs a model; write hf:REPOSITORY or hf:FOLDER.")
    from zeroiqa.raters.chat import ChatRater

    return ChatRater(argument, options)


def _model(card: ModelCard, argument: str | None, options: ModelOptions) -> Rater:
    if argument is not None:
        raise UserError(
            f"The rater {card.name} takes no argument, found {argument!r}; write {card.name} alone."
        )
    from zeroiqa.raters.chat import ChatRater

    return ChatRater(card.repo, options, card.revision)


def _openai(argument: str | None, options: ModelOptions, *, digits_suffice: bool = False) -> Rater:
    from zeroiqa.raters.endpoint.rater import EndpointRater

    return EndpointRater(argument or "", options, digits_suffice=digits_suffice)


def _baseline(argument: str | None, options: ModelOptions) -> Rater:
    from zeroiqa.raters.baseline import BaselineRater

    return BaselineRater(argument or "", options)


def _head(argument: str | None, options: ModelOptions) -> Rater:
    from zeroiqa.heads.registry import HEADS
    from zeroiqa.raters.head import HeadRater

    with HEADS.code_of(argument or "", "cannot be built"):
        return HeadRater(argument or "", options)


def _of_card(card: ModelCard) -> RaterEntry:
    return replace(HF, build=partial(_model, card))


def _of_baseline(argument: str) -> RaterEntry:
    """What the catalogue says; a baseline that it does not list is taken for one with weights."""
    known = catalogue().get(argument.partition(":")[0])
    if known is None or not known.is_measured_here:
        return BASELINE
    return replace(
        BASELINE,
        needs_weights=known.needs_weights,
        measures_mass=known.measures_mass,
        reads_words=known.measures_mass,
    )


def _of_head(argument: str) -> RaterEntry:
    """What its dimension declares; an unknown one is refused when it is built."""
    from zeroiqa.heads.registry import find_head

    with suppress(UserError):
        return replace(HEAD, gives_levels=find_head(argument).dimension.gives_levels)
    return HEAD


def _check_baseline(argument: str | None) -> None:
    _baseline(argument, ModelOptions())


def _check_head(argument: str | None) -> None:
    from zeroiqa.heads.registry import find_head

    find_head(argument or "")


def _points_down(rater_id: str) -> bool:
    """As `BaselineRater.id` writes it."""
    return rater_id.endswith(f" {LOWER_IS_BETTER}")


def _has_digits_only(rater_id: str) -> bool:
    """As `EndpointRater.id` writes it."""
    return _DIGITS.search(rater_id) is not None


NSS = RaterEntry(_nss, measures_mass=False, gives_measures=True)
FAKE = RaterEntry(_fake, tells_answer=True)
HF = RaterEntry(_hf, needs_weights=True, is_chat_model=True, tells_answer=True, describes=True)
OPENAI = RaterEntry(
    _openai,
    is_server=True,
    digits_only=_has_digits_only,
    tells_answer=True,
    describes=True,
    build_for_digits=partial(_openai, digits_suffice=True),
)
BASELINE = RaterEntry(
    _baseline,
    needs_weights=True,
    own_scale=True,
    measures_mass=False,
    lower_is_better=_points_down,
    for_argument=_of_baseline,
    check=_check_baseline,
)
HEAD = RaterEntry(
    _head,
    needs_weights=True,
    own_scale=True,
    gives_levels=True,
    measures_mass=False,
    for_argument=_of_head,
    check=_check_head,
)
