"""LLaVA-OneVision: tiles chosen from pinpoints, every row of them ended by a newline feature."""

from __future__ import annotations

from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }} "
    "{% for part in message.content | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for part in message.content | selectattr('type', 'equalto', 'video') %}<video>{% endfor %}"
    "{% for part in message.content | selectattr('type', 'equalto', 'text') %}"
    "{{ '\n' + part.text }}{% endfor %}"
    "<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A finished answer follows "assistant" + space + newline; the generation prompt has no such space."""
SIDE, PATCH = 56, 14


def llava_onevision() -> Parts:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
    tokenizer = make_tokenizer(special, pad="<|endoftext|>", eos="<|im_end|>")
    pinpoints = [[SIDE * rows, SIDE * columns] for rows in (1, 2) for columns in (1, 2)]
    vision = vision_sizes(
        model_type="siglip_vision_model", image_size=SIDE, patch_size=PATCH, vision_use_head=False
    )
    config = LlavaOnevisionConfig(
        text_config=text_sizes(tokenizer, model_type="qwen2"),
        vision_config=vision,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
    )
    return Parts(config, processor)
