"""Raters by name; a module is imported only when its rater is built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError
from zeroiqa.registry import resolve
from zeroiqa.weights.cards import model_names, resolve_model
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Rater

_EMBEDDED = {
    "nss": "zeroiqa.raters.nss:NssRater",
    "fake": "zeroiqa.raters.fake:FakeRater",
}
_CHAT = "zeroiqa.raters.chat:ChatRater"
_ANY_MODEL = "hf"
_ENDPOINT = "openai"
_BASELINE = "baseline"
_HEAD = "head"
_DIGITS = re.compile(r" digits( without .*)?$")


def rater_names() -> tuple[str, ...]:
    """The names that `build_rater` knows; hf, openai, baseline and head want to know which after a colon."""
    return (*_EMBEDDED, _ANY_MODEL, _ENDPOINT, _BASELINE, _HEAD, *model_names())


def has_weights(name: str) -> bool:
    """Whether the rater of that name is a model, so that only one of them shall be in memory at a time.

    A server is none: what it holds is in its own memory. Some baselines are, some are not.
    """
    key, _, argument = name.partition(":")
    if key == _BASELINE:
        from zeroiqa import baselines

        return baselines.has_weights(argument)
    return key not in (*_EMBEDDED, _ENDPOINT)


def is_server(name: str) -> bool:
    """Whether the rater of that name asks a server, which one process keeps busy."""
    return name.partition(":")[0] == _ENDPOINT


def has_digits_only(name: str, rater_id: str) -> bool:
    """Whether a rater of that name and id answered levels without their probabilities."""
    return is_server(name) and _DIGITS.search(rater_id) is not None


def measures_mass(name: str) -> bool:
    """Whether the rater of that name says how much of its probability lies on the levels.

    The embedded rater, heads and most baselines give a number that is always one; VQAScore has two words.
    """
    key, _, argument = name.partition(":")
    return key not in ("nss", _HEAD) and (key != _BASELINE or argument.partition(":")[0] == "vqascore")


def is_baseline(name: str) -> bool:
    """Whether the rater of that name is a baseline in a rater's place."""
    return name.partition(":")[0] == _BASELINE


def has_levels_beside(name: str) -> bool:
    """Whether the rater of that name gives levels beside its number, as heads do that give scores."""
    key, _, argument = name.partition(":")
    return key == _HEAD and not argument.startswith("lmm4lmm:qa:")


def has_own_scale(name: str) -> bool:
    """Whether a rater's numbers have a unit of their own, so that no mean with others exists."""
    return name.partition(":")[0] in (_BASELINE, _HEAD)


def build_rater(name: str, options: ModelOptions | None = None, *, digits_suffice: bool = False) -> Rater:
    """A rater by name. No weights are loaded, and no server is asked yet.

    Args:
        name: One of `rater_names()`, some of which take an argument after a colon ("fake:2",
            "hf:REPOSITORY_OR_FOLDER", "openai:http://HOST:PORT/v1#MODEL", "baseline:NAME",
            "head:lmm4lmm:DIMENSION:FOLDER").
        options: How to load and run weights; without effect on the embedded raters.
        digits_suffice: Whether only the most probable level counts, so that a server may rate which tells no
            other.

    Raises:
        UserError: the name is unknown, or the rater does not take the argument.
    """
    key, colon, argument = name.partition(":")
    models = model_names()
    if key == _ANY_MODEL and not argument:
        raise UserError("The rater hf needs a model; write hf:REPOSITORY or hf:FOLDER.")
    if key == _ENDPOINT:
        from zeroiqa.raters.endpoint.rater import EndpointRater

        return EndpointRater(argument, options or ModelOptions(), digits_suffice=digits_suffice)
    if key == _BASELINE:
        from zeroiqa.raters.baseline import BaselineRater

        return BaselineRater(argument, options or ModelOptions())
    if key == _HEAD:
        from zeroiqa.raters.head import HeadRater

        return HeadRater(argument, options or ModelOptions())
    if key in models and colon:
        raise UserError(f"The rater {key} takes no argument, found {argument!r}; write {key} alone.")
    build, _ = resolve("rater", name, {**dict.fromkeys(rater_names(), _CHAT), **_EMBEDDED})
    if has_weights(name):
        repo, revision = resolve_model(name)
        model: Rater = build(repo, options or ModelOptions(), revision)
        return model
    rater: Rater = build(argument if colon else None)
    return rater
