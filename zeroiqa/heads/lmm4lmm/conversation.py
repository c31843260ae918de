"""Conversations as LMM4LMM was trained on them, in tokens (published template internlm2-chat)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.heads.levels import LEVEL_WORDS
from zeroiqa.heads.lmm4lmm.tokenizer import load_tokenizer
from zeroiqa.heads.questions import NO, PERCEPTION, QUALITY_IS, YES, Question, before_level

if TYPE_CHECKING:
    from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm

SYSTEM = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, "
    "是一个有用无害的人工智能助手。"
)

_START, _END, _BOS = "<|im_start|>", "<|im_end|>", "<s>"
_IMAGE = ("<img>", "<IMG_CONTEXT>", "</img>")
TILES = 5
"""Of every image: see `picture`."""


class EncodedConversation(NamedTuple):
    """A question with its answer, as tokens."""

    ids: list[int]
    answer: int
    """Where the answer begins."""
    read: int
    """Where the network is read: the token before the level word, or before the answer."""


class Conversation:
    """Writes conversations with one checkpoint's tokenizer.

    Args:
        tokenizer: Of transformers.
        tokens_per_tile: Image tokens of a tile.
        shown: The checkpoint's name, for messages.

    Raises:
        UserError: a control token is missing.
    """

    def __init__(self, tokenizer: Any, tokens_per_tile: int, shown: str) -> None:
        self._tokenizer, self._shown = tokenizer, shown
        known = tokenizer.get_vocab()
        needed = (_BOS, _START, _END, *_IMAGE)
        missing = [token for token in needed if token not in known or len(self._encode(token)) != 1]
        if missing:
            raise UserError(
                f"The tokenizer of {shown} has no token {' or '.join(missing)}, so it is not the one that "
                "LMM4LMM was trained with; put the tokenizer files of the released checkpoint there."
            )
        self.image_token: int = known["<IMG_CONTEXT>"]
        """Id of the token that the picture's features replace."""
        self._control = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._control.update(needed)
        head = self._encode(f"{_START}system\n{SYSTEM}{_END}{_START}user\n{_IMAGE[0]}")
        self._head = [known[_BOS], *head, *[self.image_token] * (TILES * tokens_per_tile)]

    def prompt(self, question: Question) -> list[int]:
        """The tokens up to where the network is read, the beginning of the answer included.

        Raises:
            ImageError: the question holds a control token.
        """
        return self._head + self._encode(f"{self._before(question.text)}{question.answer_start}")

    def with_answer(self, question: str, answer: str) -> EncodedConversation:
        """The tokens of question and answer, as in training.

        The read position of an answer that names a level ("... is good.") is the token before that word; of
        any other it is the last one before the answer.

        Raises:
            ImageError: question or answer hold a control token.
        """
        self._check(answer)
        ids = self._head + self._encode(f"{self._before(question)}{answer}{_END}")
        begin = len(self.prompt(Question(question, "")))
        read = len(self.prompt(Question(question, before_level(answer)))) - 1
        return EncodedConversation(ids, begin, read)

    def level_ids(self, answer_start: str = QUALITY_IS) -> list[int]:
        """The tokens of the five level words behind the beginning of an answer, from bad to excellent.

        Raises:
            UserError: a word is not one token there, or the full stop is not one behind it.
        """
        begin = self.prompt(Question(PERCEPTION, answer_start))
        found = []
        for word in LEVEL_WORDS:
            ids = self.with_answer(PERCEPTION, f"{answer_start} {word}.").ids
            if ids[: len(begin)] != begin or len(ids) != len(begin) + 3:
                raise UserError(
                    f"The level word {word!r} is not a single token to the tokenizer of {self._shown}, so "
                    "the position before it cannot be read; put the tokenizer files of the released "
                    "checkpoint there."
                )
            found.append(ids[len(begin)])
        return found

    def answer_ids(self) -> tuple[list[int], list[int]]:
        """The tokens that an answer of yes begins with, in either case, and those of no.

        Raises:
            UserError: they cannot be told apart.
        """
        yes, no = self._first(YES), self._first(NO)
        if not yes or not no or set(yes) & set(no):
            raise UserError(
                f"The tokenizer of {self._shown} does not tell the answers yes and no apart by their first "
                "token; put the tokenizer files of the released checkpoint there."
            )
        return yes, no

    def _first(self, words: Sequence[str]) -> list[int]:
        begin = self.prompt(Question(PERCEPTION, ""))
        rows = [self.prompt(Question(PERCEPTION, word)) for word in words]
        return [row[len(begin)] for row in rows if row[: len(begin)] == begin]

    def _before(self, question: str) -> str:
        self._check(question)
        return f"{_IMAGE[2]}\n{question}{_END}{_START}assistant\n"

    def _check(self, text: str) -> None:
        held = next((token for token in sorted(self._control) if token in text), None)
        if held is not None:
            raise ImageError(f"The text holds {held!r}, which LMM4LMM reads as a control token; remove it.")

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def load_conversation(folder: Path, model: Lmm4Lmm) -> Conversation:
    """Conversations with the tokenizer of a checkpoint's folder; the model learns which token is the image's.

    Raises:
        UserError: the tokenizer is missing, damaged or another one.
    """
    shown, known = printable(str(folder)), model.config.language.vocabulary
    conversation = Conversation(load_tokenizer(folder), model.config.tokens_per_tile, shown)
    if conversation.image_token >= known:
        raise UserError(
            f"The tokenizer of {shown} has more tokens than its config.json ({known:,}); they belong to "
            "different models."
        )
    model.image_token = conversation.image_token
    return conversation
