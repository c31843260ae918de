"""The models known by name: where their weights are, under which licence, and how large they are."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Literal, TypeAlias

from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.suggestions import did_you_mean

Commercial: TypeAlias = Literal["yes", "conditions", "no"]
_BYTES_BF16 = 2
_GIB = 2**30


@dataclass(frozen=True)
class ModelCard:
    """One chat vision-language model on the Hugging Face hub."""

    name: str
    """What `--rater` and the presets call it."""
    repo: str
    """Repository on the hub, owner/name."""
    family: str
    """Architecture as transformers names it."""
    licence: str
    """Licence of the weights, as the repository states it; "not seen": as others quote it."""
    commercial: Commercial
    """Whether the licence allows commercial use; "conditions": it does under conditions to be read there."""
    parameters: float
    """Billions of weights, those of the vision encoder included."""
    revision: str = "main"
    """Branch or commit of the repository."""
    gated: bool = False
    """Whether the hub wants its terms accepted, and a token, before the download."""
    tflop_per_view: float | None = None
    """Matrix products in 10^12 of one view, on average over those of `zeroiqa bench`, by the formulas of
    `zeroiqa.speed.flops`; None where nobody has counted."""
    trained_on: tuple[str, ...] = ()
    """Databases whose human scores it was fine-tuned on, so that its agreement with them says little of other
    images; empty for a training-free rater."""

    @property
    def memory_bf16_gib(self) -> float:
        """Memory of the weights in bfloat16, in GiB; activations come on top."""
        return self.parameters * 1e9 * _BYTES_BF16 / _GIB


def model_cards() -> dict[str, ModelCard]:
    """All cards by name, in the order of models.toml."""
    text = (resources.files("zeroiqa.weights") / "models.toml").read_text(encoding="utf-8")
    return {
        name: ModelCard(name=name, **{**fields, "trained_on": tuple(fields.get("trained_on", ()))})
        for name, fields in tomllib.loads(text).items()
    }


def find_model(name: str) -> ModelCard:
    """The card of a model.

    Raises:
        UserError: no model has this name; the message suggests the nearest ones.
    """
    cards = model_cards()
    if name in cards:
        return cards[name]
    hint = did_you_mean(name, cards, most=3) or f"known: {', '.join(cards)}. "
    raise UnknownNameError(
        f"There is no model {name!r}; {hint}Any other one is hf:REPOSITORY or hf:FOLDER.", "model", name
    )


def trained_on(rater: str) -> tuple[str, ...]:
    """Databases whose human scores a rater was fine-tuned on, as far as its name tells: () for none.

    Args:
        rater: A name of models.toml, hf:REPOSITORY, or what ends in a repository's name, as a server's model.
    """
    found = (
        card.trained_on for card in model_cards().values() if rater == card.name or rater.endswith(card.repo)
    )
    return next(found, ())


def resolve_model(name: str) -> tuple[str, str | None]:
    """Repository (or folder) and revision behind a name of models.toml or hf:REPOSITORY_OR_FOLDER.

    Raises:
        UserError: the name is neither.
    """
    if name.startswith("hf:"):
        if name == "hf:":
            raise UserError("The name hf: lacks a model; write hf:REPOSITORY or hf:FOLDER.")
        return name.removeprefix("hf:"), None
    card = find_model(name)
    return card.repo, card.revision
