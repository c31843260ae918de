"""Raters by name; a module is imported only when its rater is built."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError
from zeroiqa.raters.options import RaterOptions
from zeroiqa.registry import resolve

if TYPE_CHECKING:
    from zeroiqa.types import Rater

_EMBEDDED = {
    "nss": "zeroiqa.raters.nss:NssRater",
    "fake": "zeroiqa.raters.fake:FakeRater",
}
_CHAT = "zeroiqa.raters.chat:ChatRater"
_ANY_MODEL = "hf"


def rater_names() -> tuple[str, ...]:
    """The names that `build_rater` knows; "hf" wants the name of a repository or a folder after a colon."""
    return (*_EMBEDDED, _ANY_MODEL, *_model_names())


def build_rater(name: str, options: RaterOptions | None = None) -> Rater:
    """A rater by name. No weights are loaded yet.

    Args:
        name: One of `rater_names()`, some of which take an argument after a colon ("fake:2",
            "hf:REPOSITORY_OR_FOLDER").
        options: How to load and run weights; without effect on the embedded raters.

    Raises:
        UserError: the name is unknown, or the rater does not take the argument.
    """
    key, colon, argument = name.partition(":")
    if key == _ANY_MODEL and not argument:
        raise UserError("The rater hf needs a model; write hf:REPOSITORY or hf:FOLDER.")
    models = _model_names()
    if key in models and colon:
        raise UserError(f"The rater {key} takes no argument, found {argument!r}; write {key} alone.")
    build, _ = resolve("rater", name, {**_EMBEDDED, **dict.fromkeys((_ANY_MODEL, *models), _CHAT)})
    options = options or RaterOptions()
    if key in _EMBEDDED:
        rater: Rater = build(argument if colon else None)
    elif key == _ANY_MODEL:
        rater = build(argument, options)
    else:
        card = import_module("zeroiqa.raters.models").find_model(key)
        rater = build(card.repo, options, card.revision)
    return rater


def _model_names() -> tuple[str, ...]:
    if find_spec("zeroiqa.raters.models") is None:
        return ()
    return tuple(import_module("zeroiqa.raters.models").model_names())
