"""How a chat template wants to be asked: found by letting it write and by looking, never by names of models.

A prompt that ends within a thought would have the thought's first word where the level should be. It is
closed by a variable of the template ("enable_thinking"), else by what the template writes before an answer,
else by an empty thought; a model for which none of them works is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import Any, TypeAlias

from zeroiqa.chat.rendering import UnboundedTemplateError, bounded, variables
from zeroiqa.chat.template import PROBE, ChatTemplate, Message, layout
from zeroiqa.chat.thoughts import closings, find_thought, unpaired_tags
from zeroiqa.errors import ImageError, UserError, one_line
from zeroiqa.standards import load_standard

__all__ = ["ChatTemplate", "read_template"]

Render: TypeAlias = Callable[..., str]

_LOG = logging.getLogger(__name__)
_LAYOUTS = ((True, False), (True, True), (False, False))
"""(system turn, as a text), in the order of trying; at last its text stands in the user's turn."""
_EMPTY: dict[str, Any] = {"tools": [], "documents": []}
"""For templates that count what is not there."""
_DAY = datetime(2024, 7, 26)
"""Today, for templates that write the date: no score may depend on it: Llama's without a clock."""
_DATE = re.compile(r"strftime_now\(\s*(?:format\s*=\s*)?(['\"])(.{0,99}?)\1\s*\)")
_ABOUT_THOUGHT = re.compile(r"think|thought|reason|effort|(?<![a-z])cot(?![a-z])|reflect", re.IGNORECASE)
_NEGATIVE = re.compile(r"no|skip|disable|without|hide|omit|suppress", re.IGNORECASE)
_LEAST_THOUGHT = ("none", "off", "no", "disabled", "no_think", 0, "minimal", "low")
_OF_TURNS = re.compile("answer|response|reply|output|final|result|assistant|model|bot|turn|content", re.I)
"""Names of tags that an answer may stand in."""


def read_template(processor: Any, model: str) -> ChatTemplate:
    """Find out what a chat template can do by trying it.

    Raises:
        UserError: there is no template, it takes no image or no text, or it ends within a thought.
    """
    source = _source(processor, model)
    render = _undated(bounded(processor.apply_chat_template, model), source, model)
    special = (*_special_tokens(processor.tokenizer), *getattr(processor, "control_texts", ()))
    template = _find_layout(render, special, getattr(processor, "image_token", None), model)
    known = (source, *map(str, processor.tokenizer.added_tokens_decoder.values()))
    template = _without_thought(template, source, known, model)
    template = replace(template, spaced=_is_spaced(processor.tokenizer, template.text(PROBE)))
    try:
        template.text(load_standard("quality-word-7").fill())  # is longer than what was tried with
    except ImageError as error:
        raise UserError(f"{model} cannot be asked about images: {error}") from error
    return template


def _source(processor: Any, model: str) -> str:
    source = getattr(processor, "chat_template", None)
    if isinstance(source, dict):
        source = source.get("default")
    if not source:
        raise UserError(
            f"{model} has no chat template, so there is no telling how to ask it; choose an instruct or chat "
            "model."
        )
    return str(source)


def _undated(render: Render, source: str, model: str) -> Render:
    """A template that writes today's date writes another one, the same for ever."""
    undated = _DATE.sub(lambda call: repr(_DAY.strftime(call[2])), source)
    if "strftime_now(" in undated:
        _LOG.warning("The prompt of %s holds today's date: its scores may change from day to day.", model)
    return render if undated == source else partial(render, chat_template=undated)


def _find_layout(render: Render, special: tuple[str, ...], image_token: object, model: str) -> ChatTemplate:
    """The first layout in which the standard's text and one image reach the prompt."""
    why = ""
    for rendered in (render, partial(render, **_EMPTY)):
        for system_turn, plain in _LAYOUTS:
            make = partial(layout, PROBE, system_turn, plain)
            text, error = _try(rendered, make("\n"))
            blind = _try(rendered, make("\n", image=False))[0]
            fault = error or _fault(text, blind, image_token)
            if not fault:
                breaks = f"\n{PROBE.user}" in _try(rendered, make(""))[0]
                image = _image_text(text, blind, image_token)
                return ChatTemplate(rendered, system_turn, plain, breaks, special, image)
            why = why if rendered is not render else fault
    raise UserError(
        f"The chat template of {model} takes no image together with a standard's text ({why.rstrip('.')}); "
        "choose a vision-language model whose processor brings its own template."
    )


def _try(render: Render, messages: list[Message]) -> tuple[str, str]:
    """What a template writes, and what it fails with; either is empty."""
    try:
        return render(messages, add_generation_prompt=True, tokenize=False), ""
    except UnboundedTemplateError:
        raise
    except Exception as error:  # each template raises errors of its own
        return "", f"it fails with {one_line(error, kind=True)}"


def _fault(text: str, blind: str, image_token: object) -> str:
    """What is wrong with a prompt; "" for nothing.

    Args:
        text: As the template writes it.
        blind: Without an image; empty where it refuses that.
        image_token: What stands for an image, where the processor says so.
    """
    if re.search(r"""['"]type['"]\s*:""", text):
        return "it writes a list of parts as if that were a text"
    for part in (PROBE.system, PROBE.user):
        if (count := text.count(part)) != 1:
            return f"it writes the text {count} times" if count else "it leaves the text out"
    if text == blind:
        return "it leaves the image out"
    if isinstance(image_token, str) and image_token and text.count(image_token) > 1:
        return f"it writes {text.count(image_token)} placeholders for one image"
    return ""


def _image_text(text: str, blind: str, image_token: object) -> str:
    """What a template writes for an image: what a prompt without one lacks; "" where that cannot be told."""
    start = _alike(text, blind)
    end = len(text) - _alike(text[start:][::-1], blind[start:][::-1])
    found = text[start:end].strip()
    if blind and found and not any(part in found for part in (PROBE.system, PROBE.user)):
        return found
    return image_token if isinstance(image_token, str) and image_token in text else ""


def _alike(text: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False)))


def _without_thought(template: ChatTemplate, source: str, known: Sequence[str], model: str) -> ChatTemplate:
    """The template with its variables set, and what is still to be written, so that an answer comes next."""
    flags, strings = _variants(template, source)
    variants = [*flags, template, *strings]
    thoughts = [find_thought(_tail(variant)) for variant in variants]
    order = sorted(
        range(len(variants)), key=lambda at: (thoughts[at].opened is not None, not thoughts[at].closed, at)
    )
    for at in order:
        if (finished := _finished(variants[at], known)) is not None:
            return finished
    opened = _opened(template, known)
    raise UserError(
        f"The prompt of {model} ends within a thought ({opened!r}), which no variable of its chat template "
        "and no empty thought closes, so that no level comes next; choose a model that answers at once, or "
        "correct its template."
    )


def _variants(template: ChatTemplate, source: str) -> tuple[list[ChatTemplate], list[ChatTemplate]]:
    """The template with thinking off by a variable that is yes or no, and by one that has names for it."""
    names = sorted(name for name in variables(source) if _ABOUT_THOUGHT.search(name))
    off = {name: bool(_NEGATIVE.match(name)) for name in names}
    flags: list[dict[str, Any]] = [{name: value} for name, value in off.items()]
    if len(flags) > 1:
        flags.append(off)
    strings: list[dict[str, Any]] = [{name: value} for name in names for value in _LEAST_THOUGHT]
    usual = template.text(PROBE)
    found = []
    for choices in (flags, strings):
        changed = []
        for choice in choices:
            variant = replace(template, render=partial(template.render, **choice))
            try:
                text = variant.text(PROBE)
            except UnboundedTemplateError:
                raise
            except Exception:  # a value that it does not know
                continue
            is_written = (
                choices is flags and re.search("True|False", text) and not re.search("True|False", usual)
            )
            if text != usual and text.count(PROBE.system) == text.count(PROBE.user) == 1 and not is_written:
                changed.append(variant)
        found.append(changed)
    return found[0], found[1]


def _finished(template: ChatTemplate, known: Iterable[str]) -> ChatTemplate | None:
    """The template with what is missing before an answer; None where a thought stays open."""
    opened = _opened(template, known)
    for opening in _openings(template, opened, known):
        finished = replace(template, opening=opening)
        if _opened(finished, known) is None:
            return finished
    return None


def _openings(template: ChatTemplate, opened: str | None, known: Iterable[str]) -> Iterator[str]:
    """What may be missing before an answer, likeliest first."""
    for between in template.between(PROBE):
        yield between.rstrip(" ") if between.strip() else ""
    if opened is None:
        yield ""
        return
    yield from template.after_thought(PROBE)
    for closing in closings(opened, known):
        yield f"\n{closing}\n\n" if _tail(template).endswith("\n") else closing


def _opened(template: ChatTemplate, known: Iterable[str]) -> str | None:
    """The beginning of the thought that the prompt ends within; None for none.

    It may have any name: a tag that does not stand before an answer, and that the model knows how to close.
    """
    tail, answered = _tail(template), template.before_answer(PROBE)
    found = find_thought(tail).opened
    if found is not None or answered is None:
        return found
    for tag in sorted(unpaired_tags(tail) - unpaired_tags(answered)):
        if not _OF_TURNS.search(tag) and any("/" in closing for closing in closings(tag, known)):
            return tag
    return None


def _tail(template: ChatTemplate) -> str:
    """What comes between the question and the answer."""
    return template.text(PROBE).rpartition(PROBE.user)[2]


def _is_spaced(tokenizer: Any, text: str) -> bool:
    """Whether the spaces at a prompt's end melt into the token of a digit behind them."""

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    bare, whole = text.rstrip(" "), ids(f"{text}7")
    return bare != text and not _begins(whole, ids(text)) and _begins(whole, ids(bare))


def _begins(whole: Sequence[int], part: Sequence[int]) -> bool:
    return whole[: len(part)] == part


def _special_tokens(tokenizer: Any) -> tuple[str, ...]:
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return tuple(
        sorted(token for token in {*map(str, tokenizer.all_special_tokens), *added} if token.strip())
    )
