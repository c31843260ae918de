"""From a filled prompt to the text that a family's chat template makes of it. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from zeroiqa.errors import ImageError, UserError
from zeroiqa.standards import FilledPrompt

Message: TypeAlias = dict[str, Any]
_PROBE = FilledPrompt("Zeroiqa asks system.", "Zeroiqa asks user.", answer="Zeroiqa answers.")
_ANSWER = "7"


@dataclass(frozen=True)
class ChatTemplate:
    """A processor's chat template, and how it wants its messages.

    The layout is the system turn, then the user turn: the image, a line break unless the prompt says
    otherwise, the text (LLM-IQA's question in mPLUG-Owl3's documented order). Without a system turn, its text
    is put at the start of the user turn.
    """

    render: Callable[..., str]
    """Messages -> text; the processor's `apply_chat_template`."""
    system_turn: bool
    """Whether the template knows a system turn."""
    plain_system: bool
    """Whether the system turn's content is a text rather than a list of parts."""
    breaks_line: bool
    """Whether the template itself puts a line break after the image."""
    special: tuple[str, ...]
    """Tokens with a meaning of their own; an image's prompt that holds one is refused."""

    def text(self, prompt: FilledPrompt) -> str:
        """The prompt as sent, up to where the answer begins, with one placeholder for the image.

        Raises:
            ImageError: the prompt holds a special token, which could pose as an image or as another turn.
        """
        for token in self.special:
            if token in prompt.user or token in prompt.system:
                raise ImageError(
                    f"The prompt holds {token!r}, which this model reads as a control token; remove it."
                )
        return self.render(self._messages(prompt), add_generation_prompt=True, tokenize=False)

    def beginning(self, prompt: FilledPrompt) -> str:
        """What is put into the model's mouth: the prompt's `answer`, after what the template puts before."""
        return self.lead(prompt) + prompt.answer if prompt.answer else ""

    def lead(self, prompt: FilledPrompt) -> str:
        """What the template writes between the prompt and an assistant's answer: "" or a space.

        Found by letting the template continue an answer. Anything but a space (a thinking block, say) is left
        out: the answer is asked for right after the prompt.
        """
        text = self.text(prompt)
        for whole in self._answered(prompt, _ANSWER, continue_final_message=True):
            between = whole[len(text) :].removesuffix(_ANSWER)
            if whole.startswith(text) and whole.endswith(_ANSWER) and not between.strip():
                return between
        return ""

    def end(self, prompt: FilledPrompt) -> str:
        """What the template writes behind an assistant's answer, but for line breaks; "" if it takes none."""
        for whole in self._answered(prompt, _PROBE.answer):
            if _PROBE.answer in whole:
                return whole.partition(_PROBE.answer)[2].rstrip()
        return ""

    def _answered(self, prompt: FilledPrompt, answer: str, **choices: bool) -> Iterator[str]:
        """The prompt with an answer, in the ways of writing one that the template takes."""
        for content in (answer, [{"type": "text", "text": answer}]):
            messages = [*self._messages(prompt), {"role": "assistant", "content": content}]
            try:
                yield self.render(messages, tokenize=False, **choices)
            except Exception:
                continue

    def _messages(self, prompt: FilledPrompt) -> list[Message]:
        between = "" if self.breaks_line and prompt.after_image == "\n" else prompt.after_image
        return _layout(prompt, self.system_turn, self.plain_system, between)


def read_template(processor: Any, model: str) -> ChatTemplate:
    """Find out what a chat template can do by trying it.

    Raises:
        UserError: there is no template, or it takes no image or no text.
    """
    if not getattr(processor, "chat_template", None):
        raise UserError(
            f"{model} has no chat template, so there is no telling how to ask it; choose an instruct or chat "
            "model."
        )
    render = processor.apply_chat_template
    if "enable_thinking" in str(processor.chat_template):
        render = partial(
            render, enable_thinking=False
        )  # else the answer would be the first word of a thought
    for system_turn, plain in ((True, False), (True, True), (False, False)):
        text = _try(render, _layout(_PROBE, system_turn, plain, "\n"))
        if text is None or _PROBE.system not in text or _PROBE.user not in text:
            continue
        without = _try(render, _layout(_PROBE, system_turn, plain, "\n", image=False))
        if text == without or "'type'" in text:
            break
        breaks = _try(render, _layout(_PROBE, system_turn, plain, ""))
        return ChatTemplate(
            render=render,
            system_turn=system_turn,
            plain_system=plain,
            breaks_line=breaks is not None and f"\n{_PROBE.user}" in breaks,
            special=(*_special_tokens(processor.tokenizer), *getattr(processor, "control_texts", ())),
        )
    raise UserError(
        f"The chat template of {model} takes no image in a user turn; choose a vision-language model whose "
        "processor brings its own template."
    )


def _layout(
    prompt: FilledPrompt, system_turn: bool, plain: bool, line_break: str, image: bool = True
) -> list[Message]:
    user: list[Message] = [{"type": "image"}] if image else []
    user.append({"type": "text", "text": line_break + prompt.user})
    if not prompt.system:
        return [{"role": "user", "content": user}]
    if not system_turn:
        user.insert(0, {"type": "text", "text": f"{prompt.system}\n\n"})
        return [{"role": "user", "content": user}]
    system = prompt.system if plain else [{"type": "text", "text": prompt.system}]
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _try(render: Callable[..., str], messages: Sequence[Message]) -> str | None:
    """The rendered text; None where the template refuses (each raises errors of its own)."""
    try:
        return render(list(messages), add_generation_prompt=True, tokenize=False)
    except Exception:
        return None


def _special_tokens(tokenizer: Any) -> tuple[str, ...]:
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return tuple(
        sorted(token for token in {*map(str, tokenizer.all_special_tokens), *added} if token.strip())
    )
