"""MiniCPM-V 4.6: linear attention, slices in the image's own shape, an empty thought before the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NAMED = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|image_pad|>{% elif part.type == 'video' %}<|video_pad|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is true %}<think>\n"
    "{% else %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
SIDE, PATCH = 112, 14
SIZES: dict[str, Any] = {"scale_resolution": SIDE, "patch_size": PATCH, "max_slice_nums": 4}


def minicpmv4_6() -> Parts:
    from transformers import (
        MiniCPMV4_6Config,
        MiniCPMV4_6ImageProcessor,
        MiniCPMV4_6Processor,
        MiniCPMV4_6VideoProcessor,
    )

    tokenizer = _tokenizer()
    config = MiniCPMV4_6Config(**_config(tokenizer), image_size=SIDE)
    processor = MiniCPMV4_6Processor(
        image_processor=MiniCPMV4_6ImageProcessor(**SIZES),
        tokenizer=tokenizer,
        video_processor=MiniCPMV4_6VideoProcessor(**SIZES),
        chat_template=TEMPLATE,
    )
    return Parts(config, processor)


def minicpmv4_7() -> Parts:
    """Its positions have three axes."""
    from transformers import (
        MiniCPMV4_6ImageProcessor,
        MiniCPMV4_6VideoProcessor,
        MiniCPMV4_7Config,
        MiniCPMV4_7Processor,
    )

    tokenizer = _tokenizer()
    markers = {
        "image_start_id": "<image>",
        "image_end_id": "</image>",
        "slice_start_id": "<slice>",
        "slice_end_id": "</slice>",
        "newline_id": "Ċ",
    }
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in markers.items()}
    config = MiniCPMV4_7Config(**_config(tokenizer), **ids)
    processor = MiniCPMV4_7Processor(
        image_processor=MiniCPMV4_6ImageProcessor(**SIZES),
        tokenizer=tokenizer,
        video_processor=MiniCPMV4_6VideoProcessor(**SIZES),
        chat_template=TEMPLATE,
    )
    return Parts(config, processor)


def _tokenizer() -> PreTrainedTokenizerFast:
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", *NAMED.values())
    return make_tokenizer(special, pad="<|endoftext|>", eos="<|im_end|>", named=NAMED)


def _config(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    text = text_sizes(
        tokenizer,
        model_type="qwen3_5_text",
        head_dim=16,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 1.0,
            "mrope_section": [4, 2, 2],
            "mrope_interleaved": True,
        },
        layer_types=["full_attention", "linear_attention", "full_attention"],
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )
    return {
        "text_config": text,
        "vision_config": vision_sizes(image_size=SIDE, patch_size=PATCH, insert_layer_id=0),
        "insert_layer_id": 0,
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    }
