"""A small byte-level BPE tokenizer with the special tokens of any family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEXT = (
    "You are a helpful assistant to evaluate image quality, image authenticity, and how well an image "
    "corresponds to a text prompt. Authenticity means that the image looks like a real scene or artwork "
    "and shows no artifacts of AI generation. You will be given standards for each quality level, each "
    "authenticity level. The quality standard is listed as follows: Excellent, Very Good, Good, Fair, "
    "Poor, Very Poor, Bad. The higher the image quality is, the higher the score should be. Please "
    "evaluate the quality of the image and score in a scale. Completely Real, Mostly Artificial, Partly "
    "Real. Every detail is sharp and clean and no distortion is visible. system user assistant User "
    "Assistant. output a score between and as a decimal number. "
)
"""What the merges are learned from: the vocabulary of the standards, so that prompts stay short."""

WORDS = " good poor bad fair excellent"
"""Answers that are single tokens to any real tokenizer."""


def make_tokenizer(
    special: Sequence[str],
    *,
    pad: str,
    eos: str,
    bos: str | None = None,
    named: Mapping[str, str] | None = None,
    digits: str = r"\p{N}",
) -> PreTrainedTokenizerFast:
    """A tokenizer of 256 bytes, some 300 merges and the given special tokens.

    Args:
        special: The special tokens, in the order of their ids; they follow the ordinary ones.
        pad: The token of padding, one of `special`.
        eos: The token that ends an answer, one of `special`.
        bos: The token that is put before every text, one of `special`; None for none.
        named: Special tokens that the processor asks for as attributes of the tokenizer.
        digits: Regular expression of what is cut off as a digit before the merges; where it
            matches one digit, every digit is one token and never melts into its neighbours.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(digits), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = " ".join(f"{number}" for number in range(1, 100)) + " "
    trainer = trainers.BpeTrainer(
        vocab_size=560, initial_alphabet=alphabet, special_tokens=[], show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator([TEXT] * 4 + [numbers] * 9 + [WORDS] * 9, trainer)
    tokenizer.add_special_tokens(list(special))
    if bos is not None:
        start = (bos, tokenizer.token_to_id(bos))
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[start]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        pad_token=pad,
        eos_token=eos,
        **({} if bos is None else {"bos_token": bos}),
        extra_special_tokens=dict(named or {}),
        model_max_length=32768,
    )
