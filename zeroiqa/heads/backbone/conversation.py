"""Conversations for a head on any chat model: questions and answers in the model's own chat template."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.chat.tokens import AnswerTokens, check_spelling, first_tokens, single_tokens
from zeroiqa.errors import ImageError, UserError
from zeroiqa.heads.levels import LEVEL_WORDS
from zeroiqa.heads.questions import NO, PERCEPTION, QUALITY_IS, YES, Question, before_level
from zeroiqa.standards import FilledPrompt

if TYPE_CHECKING:
    from zeroiqa.chat.engine import ChatEngine


class ConversationText(NamedTuple):
    """A question with its answer, as text; places count tokens from its end."""

    text: str
    answer: int
    """Tokens of the answer and of what ends it."""
    read: int
    """Which token is read, 1 being the last: that before the level word, or before the answer."""


class ChatConversation:
    """Writes conversations for one chat model.

    Args:
        engine: The model's.
    """

    def __init__(self, engine: ChatEngine) -> None:
        self._engine = engine
        tokenizer = engine.loaded.processor.tokenizer
        self._end = engine.template.end(FilledPrompt("", PERCEPTION)) or str(tokenizer.eos_token)
        self._lead = engine.template.lead(FilledPrompt("", PERCEPTION))

    def prompt(self, question: Question) -> str:
        """The text up to where the model is read, the beginning of the answer included.

        Raises:
            ImageError: the question holds a control token.
        """
        lead = self._lead + question.answer_start if question.answer_start else self._answers.lead
        return self._before_answer(question.text) + lead

    def with_answer(self, question: str, answer: str) -> ConversationText:
        """Question and answer, as in training; called by several threads.

        Raises:
            ImageError: question or answer hold a control token, or the answer melts into the question.
        """
        held = next((token for token in self._engine.template.special if token in answer), None)
        if held is not None:
            raise ImageError(f"The answer holds {held!r}, which is a control token; remove it.")
        begin = self._before_answer(question)
        text = f"{begin}{self._lead}{answer}{self._end}"
        encode = self._engine.here().encode
        prompt = self.prompt(Question(question, before_level(answer)))
        ids, before, read = map(encode, (text, begin, prompt))
        if ids[: len(before)] != before or ids[: len(read)] != read:
            raise ImageError(
                f"The answer {answer[:40]!r} melts into the question's tokens; begin it with a word."
            )
        return ConversationText(text, len(ids) - len(before), len(ids) - len(read) + 1)

    def level_ids(self, answer_start: str = QUALITY_IS) -> list[int]:
        """The tokens of the five level words behind the beginning of an answer, from bad to excellent.

        Raises:
            UserError: a word is not one token there, or one that says something else.
        """
        words = [f" {word}" for word in LEVEL_WORDS]
        found = single_tokens(
            self._engine.here().encode, self.prompt(Question(PERCEPTION, answer_start)), words
        )
        if found is None:
            raise UserError(
                f"The level words {', '.join(LEVEL_WORDS)} are not single tokens to the tokenizer of "
                f"{self._engine.loaded.name}, so the position before them cannot be read; choose another "
                "backbone."
            )
        loaded = self._engine.loaded
        check_spelling(loaded.processor.tokenizer.decode, found.ids, words, loaded.name)
        return [*found.ids]

    def answer_ids(self) -> tuple[list[int], list[int]]:
        """The tokens that an answer of yes begins with, in either case, and those of no.

        Raises:
            UserError: they cannot be told apart.
        """
        ids = self._answers.ids
        half = len(ids) // 2
        return [*ids[:half]], [*ids[half:]]

    @cached_property
    def _answers(self) -> AnswerTokens:
        """Yes in its cases, then no: in both where each begins with a token of its own, else in one."""
        name, text, encode = (
            self._engine.loaded.name,
            self._before_answer(PERCEPTION),
            self._engine.here().encode,
        )
        decode = self._engine.loaded.processor.tokenizer.decode
        for words in ((*YES, *NO), *zip(YES, NO, strict=True)):
            with suppress(UserError):
                found = first_tokens(encode, text, words, (self._lead,), name)
                check_spelling(decode, found.ids, words, name, whole=False)
                return found
        raise UserError(
            f"The tokenizer of {name} does not tell the answers yes and no apart by their first token; "
            "choose another backbone."
        )

    def _before_answer(self, question: str) -> str:
        return self._engine.template.text(FilledPrompt("", question))
