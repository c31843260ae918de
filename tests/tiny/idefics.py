"""Idefics 3 and SmolVLM: the answer follows "Assistant:" and begins with a space."""

from __future__ import annotations

from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

ROWS_AND_COLUMNS = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
COMMON = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *ROWS_AND_COLUMNS)
TURNS = (
    "{% for message in messages %}{{ message.role | capitalize }}"
    "{% if message.content[0].type == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'image' %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
SIDE, PATCH, SCALE = 64, 16, 2
TOKENS = (SIDE // PATCH // SCALE) ** 2
"""Of one tile."""


def idefics3() -> Parts:
    """A digit and the space before it are one token here, as in many tokenizers."""
    from transformers import Idefics3Config, Idefics3ImageProcessor, Idefics3Processor

    special = ("<|begin_of_text|>", "<|end_of_text|>", "<pad>", *COMMON)
    tokenizer = make_tokenizer(
        special, pad="<pad>", eos="<|end_of_text|>", bos="<|begin_of_text|>", digits=r" ?\p{N}"
    )
    config = Idefics3Config(
        text_config=text_sizes(tokenizer, model_type="llama"),
        vision_config=vision_sizes(image_size=SIDE, patch_size=PATCH),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=SCALE,
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(size=_tiles(2), max_image_size=_tiles(1)),
        tokenizer=tokenizer,
        image_seq_len=TOKENS,
        chat_template="<|begin_of_text|>" + TURNS,
    )
    return Parts(config, processor)


def smolvlm() -> Parts:
    """The space before a digit is a token of its own."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<video>", *COMMON)
    tokenizer = make_tokenizer(special, pad="<|im_end|>", eos="<end_of_utterance>")
    config = SmolVLMConfig(
        text_config=text_sizes(tokenizer, model_type="llama"),
        vision_config=vision_sizes(image_size=SIDE, patch_size=PATCH),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=SCALE,
    )
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=_tiles(2), max_image_size=_tiles(1)),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(
            size=_tiles(1), max_image_size=_tiles(1), video_sampling={"fps": 1, "max_frames": 4}
        ),
        image_seq_len=TOKENS,
        chat_template="<|im_start|>" + TURNS,
    )
    return Parts(config, processor)


def _tiles(count: int) -> dict[str, int]:
    return {"longest_edge": count * SIDE}
