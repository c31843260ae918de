"""MiniCPM-V 4.6: linear attention, slices in the image's own shape, an empty thought before the answer."""

from __future__ import annotations

from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

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


def minicpmv4_6() -> Parts:
    from transformers import (
        MiniCPMV4_6Config,
        MiniCPMV4_6ImageProcessor,
        MiniCPMV4_6Processor,
        MiniCPMV4_6VideoProcessor,
    )

    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", *NAMED.values())
    tokenizer = make_tokenizer(special, pad="<|endoftext|>", eos="<|im_end|>", named=NAMED)
    text = text_sizes(
        tokenizer,
        model_type="qwen3_5_text",
        head_dim=16,
        layer_types=["linear_attention", "linear_attention", "full_attention"],
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )
    config = MiniCPMV4_6Config(
        text_config=text,
        vision_config=vision_sizes(image_size=SIDE, patch_size=PATCH, insert_layer_id=0),
        insert_layer_id=0,
        image_size=SIDE,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    sizes = {"scale_resolution": SIDE, "patch_size": PATCH, "max_slice_nums": 4}
    processor = MiniCPMV4_6Processor(
        image_processor=MiniCPMV4_6ImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=MiniCPMV4_6VideoProcessor(**sizes),
        chat_template=TEMPLATE,
    )
    return Parts(config, processor)
