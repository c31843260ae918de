"""InternVL 3: square tiles of a fixed size and a thumbnail, in a language model of Qwen's."""

from __future__ import annotations

from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

NAMED = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<IMG_CONTEXT>\n{% elif part.type == 'video' %}<video>\n"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIDE, PATCH = 56, 14
TOKENS = (SIDE // PATCH // 2) ** 2
"""Of one tile."""


def internvl() -> Parts:
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *NAMED.values())
    tokenizer = make_tokenizer(special, pad="<|endoftext|>", eos="<|im_end|>", named=NAMED)
    config = InternVLConfig(
        text_config=text_sizes(tokenizer, model_type="qwen2"),
        vision_config=vision_sizes(image_size=[SIDE, SIDE], patch_size=[PATCH, PATCH]),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=TOKENS,
        tie_word_embeddings=False,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=TOKENS,
        chat_template=TEMPLATE,
    )
    return Parts(config, processor)
