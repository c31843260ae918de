"""From a filled prompt to the text that a model's chat template makes of it. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from zeroiqa.chat.rendering import UnboundedTemplateError
from zeroiqa.errors import ImageError
from zeroiqa.standards import FilledPrompt

Message: TypeAlias = dict[str, Any]
PROBE = FilledPrompt("Zeroiqa asks system.", "Zeroiqa asks user.", answer="Zeroiqa answers.")
"""A prompt whose parts are found again in whatever a template makes of them."""
_ANSWER = "7"
_THOUGHT = "Zeroiqa thinks."
_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Of a message; where templates look for a thought."""


@dataclass(frozen=True)
class ChatTemplate:
    """A processor's chat template, and how it wants its messages.

    The layout is the system turn, then the user turn: what the prompt has before the image, the image, a line
    break unless the prompt says otherwise, the text (LLM-IQA's question in mPLUG-Owl3's documented order).
    Without a system turn, its text is put at the start of the user turn.
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
    image: str = ""
    """What it writes for an image, without white space around it; empty where that is not known."""
    opening: str = ""
    """What is still to be written before an answer: the end of a thought, the name of the turn."""
    spaced: bool = False
    """Whether spaces at the prompt's end belong to the answer's first token, and so are left to it."""

    def text(self, prompt: FilledPrompt) -> str:
        """The prompt as sent, up to where the answer begins, with one placeholder for the image.

        Raises:
            ImageError: the prompt holds a special token, which could pose as an image or as another turn, or
                the template does not write it down as it is.
        """
        for token in self.special:
            if any(token in part for part in (prompt.system, prompt.before_image, prompt.user)):
                raise ImageError(
                    f"The prompt holds {token!r}, which this model reads as a control token; remove it."
                )
        text = self.render(self._messages(prompt), add_generation_prompt=True, tokenize=False)
        for part in (prompt.system, prompt.before_image, prompt.user):
            if _words(part) not in _words(text):
                raise ImageError(
                    f"The chat template changes a part of the prompt ({part.strip()[:40]!r}...), or leaves "
                    "it out; choose another model, or correct its template."
                )
        text += self.opening
        return text.rstrip(" ") if self.spaced else text

    def misplaced(self, prompt: FilledPrompt, text: str) -> bool:
        """Whether a text from `text` has the image elsewhere than between the prompt's two parts.

        Only of a prompt with a part before the image; a template may put images first, or join the texts.
        """
        if not prompt.before_image:
            return False
        ahead, found, _ = _words(text).rpartition(_words(prompt.user))
        _, before, between = ahead.rpartition(_words(prompt.before_image))
        image = _words(self.image)
        return not (found and before and (image in between if image else between.strip()))

    def keeps_space(self, prompt: FilledPrompt, text: str) -> bool:
        """Whether the white space around the image is in a text from `text` as the prompt has it.

        Only of a prompt with a part before the image: white space alone moves what stands next to it.
        """
        ahead, behind = prompt.before_image + self.image, prompt.after_image + prompt.user
        return not prompt.before_image or (ahead in text and behind in text)

    def beginning(self, prompt: FilledPrompt) -> str:
        """What is put into the model's mouth: the prompt's `answer`, after what the template puts before."""
        return self.lead(prompt) + prompt.answer if prompt.answer else ""

    def lead(self, prompt: FilledPrompt) -> str:
        """White space that the template writes between the prompt and an assistant's answer; "" for none.

        Found by letting the template continue an answer.
        """
        between = (found for found in self.between(prompt) if not found.strip())
        return next(between, " " if self.spaced else "")

    def between(self, prompt: FilledPrompt) -> Iterator[str]:
        """What is between the prompt as sent and an answer, in the ways of writing one that go on from it."""
        text = self.text(prompt)
        for whole in self._answered(prompt, _ANSWER, goes_on=True):
            if whole.startswith(text) and whole.endswith(_ANSWER):
                yield whole[len(text) :].removesuffix(_ANSWER)

    def after_thought(self, prompt: FilledPrompt) -> Iterator[str]:
        """What the template writes between a thought and an answer, in the ways that it takes them."""
        for whole in self._answered(prompt, PROBE.answer, thought=_THOUGHT):
            thought, _, rest = whole.rpartition(_THOUGHT)
            if thought and PROBE.answer in rest:
                yield rest.partition(PROBE.answer)[0]

    def end(self, prompt: FilledPrompt) -> str:
        """What the template writes behind an assistant's answer, but for line breaks; "" if it takes none."""
        for whole in self._answered(prompt, PROBE.answer):
            if PROBE.answer in whole:
                return whole.partition(PROBE.answer)[2].rstrip()
        return ""

    def before_answer(self, prompt: FilledPrompt) -> str | None:
        """What the template writes between the question and an assistant's answer; None if it takes none."""
        for whole in self._answered(prompt, PROBE.answer):
            if PROBE.answer in whole:
                return whole.partition(PROBE.answer)[0].rpartition(prompt.user)[2]
        return None

    def _answered(
        self, prompt: FilledPrompt, answer: str, thought: str = "", goes_on: bool = False
    ) -> Iterator[str]:
        """The prompt with an answer, in the ways of writing one that the template takes."""
        fields = dict.fromkeys(_FIELDS, thought) if thought else {}
        for content in (answer, [{"type": "text", "text": answer}]):
            messages = [*self._messages(prompt), {"role": "assistant", "content": content, **fields}]
            try:
                yield self.render(messages, tokenize=False, continue_final_message=goes_on)
            except UnboundedTemplateError:
                raise
            except Exception:
                continue

    def _messages(self, prompt: FilledPrompt) -> list[Message]:
        between = prompt.after_image
        if self.breaks_line and (prompt.before_image or between == "\n"):
            between = between.removeprefix("\n")
        return layout(prompt, self.system_turn, self.plain_system, between)


def layout(
    prompt: FilledPrompt, system_turn: bool, plain: bool, line_break: str, image: bool = True
) -> list[Message]:
    """The messages of a prompt.

    Args:
        prompt: What is asked.
        system_turn: Whether there is one; else its text is put before the image.
        plain: Whether its content is a text rather than a list of parts.
        line_break: Between the image and the user's text.
        image: Whether its images are there.
    """
    before = prompt.before_image
    if prompt.system and not system_turn:
        before = f"{prompt.system}\n\n{before}"
    user: list[Message] = [{"type": "text", "text": before}] if before else []
    user += [{"type": "image"} for _ in range(prompt.images if image else 0)]
    user.append({"type": "text", "text": line_break + prompt.user})
    if not (prompt.system and system_turn):
        return [{"role": "user", "content": user}]
    system = prompt.system if plain else [{"type": "text", "text": prompt.system}]
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _words(text: str) -> str:
    """A text but for its white space, of which templates cut some off."""
    return " ".join(text.split())
