"""Answers of several tokens, in words: decoded greedily, one view at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.chat.inputs import less_narrow
from zeroiqa.chat.memory import device_errors
from zeroiqa.errors import UserError
from zeroiqa.weights.devices import is_device_gone, is_out_of_memory

if TYPE_CHECKING:
    from zeroiqa.chat.engine import ChatEngine
    from zeroiqa.standards import FilledPrompt
    from zeroiqa.types import Pixels


class Answered(NamedTuple):
    """What a model wrote."""

    text: str
    cut: bool
    """Whether it ended only because no more tokens were allowed."""


def answer(engine: ChatEngine, pixels: Pixels, prompt: FilledPrompt, most_tokens: int) -> Answered:
    """The greedy answer, by `generate`; a narrow view that the model refuses is made less narrow.

    Raises:
        ImageError: the view cannot be shown to the model.
        UserError: there is no memory for it, or the device is gone.
    """
    with device_errors(engine.loaded):
        found = _tried(engine, pixels, prompt, most_tokens)
        for larger in less_narrow(pixels):
            if not isinstance(found, Exception):
                break
            found = _tried(engine, larger, prompt, most_tokens)
    if isinstance(found, Exception):
        raise engine.preprocessor.refusal(pixels, found) from found
    loaded = engine.loaded
    ends = loaded.model.generation_config.eos_token_id
    ended = found[-1:] and found[-1] in (ends if isinstance(ends, list) else [ends])
    text = str(loaded.processor.tokenizer.decode(found, skip_special_tokens=True))
    return Answered(text, cut=len(found) >= most_tokens and not ended)


def _tried(
    engine: ChatEngine, pixels: Pixels, prompt: FilledPrompt, most_tokens: int
) -> list[int] | Exception:
    """The tokens of an answer, or what the model has against the view."""
    item = engine.preprocessor.prepare(pixels, engine.template.text(prompt))
    try:
        return engine.forward.answer(item, most_tokens)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if is_out_of_memory(error) or is_device_gone(error):
            raise
        return error
