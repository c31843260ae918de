"""Gemma 3: the system's text stands in the user's turn; sliding windows; image tokens see each other."""

from __future__ import annotations

from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

NAMED = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
TEMPLATE = (
    "{{ bos_token }}"
    "{% if messages[0].role == 'system' %}"
    "{% if messages[0].content is string %}{% set first = messages[0].content + '\n\n' %}"
    "{% else %}{% set first = messages[0].content[0].text + '\n\n' %}{% endif %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n{{ first if loop.first }}"
    "{% if message.content is string %}{{ message.content | trim }}{% else %}"
    "{% for part in message.content %}{% if part.type == 'image' %}<start_of_image>"
    "{% elif part.type == 'text' %}{{ part.text | trim }}{% endif %}{% endfor %}{% endif %}"
    "<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SIDE, PATCH, TOKENS = 112, 14, 16


def gemma3() -> Parts:
    from transformers import Gemma3Config, Gemma3ImageProcessor, Gemma3Processor

    special = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *NAMED.values())
    tokenizer = make_tokenizer(special, pad="<pad>", eos="<eos>", bos="<bos>", named=NAMED)
    text = text_sizes(
        tokenizer,
        num_hidden_layers=4,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=32,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
    )
    index = {name: tokenizer.convert_tokens_to_ids(token) for name, token in NAMED.items()}
    config = Gemma3Config(
        text_config=text,
        vision_config=vision_sizes(image_size=SIDE, patch_size=PATCH, vision_use_head=False),
        mm_tokens_per_image=TOKENS,
        boi_token_index=index["boi_token"],
        eoi_token_index=index["eoi_token"],
        image_token_index=index["image_token"],
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": SIDE, "width": SIDE}),
        tokenizer=tokenizer,
        image_seq_length=TOKENS,
        chat_template=TEMPLATE,
    )
    return Parts(config, processor)
