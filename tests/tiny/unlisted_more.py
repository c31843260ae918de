"""More architectures that nobody had in mind, each with a way of its own to go wrong."""

from __future__ import annotations

from tests.tiny import gemma
from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

TURNS = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BLOCK, BLOCKS = 16, 16
"""Tokens of a block, and how many blocks a token of `minimax_m3_vl` looks at."""


def lfm2_vl() -> Parts:
    """Convolutions between the layers of attention; the model refuses a view of one patch by very many."""
    from transformers import Lfm2VlConfig, Lfm2VlImageProcessor, Lfm2VlProcessor

    side, patch = 112, 14
    named = {
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>",
    }
    tiles = tuple(f"<|img_row_{row}_col_{column}|>" for row in range(1, 5) for column in range(1, 5))
    special = ("<|pad|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>", *named.values(), *tiles)
    tokenizer = make_tokenizer(special, pad="<|pad|>", eos="<|im_end|>", bos="<|startoftext|>", named=named)
    config = Lfm2VlConfig(
        text_config=text_sizes(
            tokenizer,
            model_type="lfm2",
            layer_types=["conv", "full_attention", "conv"],
            conv_L_cache=3,
            block_auto_adjust_ff_dim=False,
        ),
        vision_config=vision_sizes(
            model_type="siglip2_vision_model", num_patches=64, patch_size=patch, vision_use_head=False
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_size=64,
    )
    image_processor = Lfm2VlImageProcessor(
        encoder_patch_size=patch,
        tile_size=side,
        max_tiles=4,
        min_image_tokens=4,
        max_image_tokens=16,
        size={"height": side, "width": side},
        max_num_patches=64,
    )
    template = TURNS.replace("IMAGE", "<image>")
    return Parts(config, Lfm2VlProcessor(image_processor, tokenizer, chat_template=template))


def minimax_m3_vl() -> Parts:
    """Attention picks blocks of the row; a prompt about quality has no more blocks than are picked."""
    from transformers import (
        MiniMaxM3VLConfig,
        MiniMaxM3VLImageProcessor,
        MiniMaxM3VLProcessor,
        MiniMaxM3VLVideoProcessor,
    )

    image, video = MiniMaxM3VLProcessor.IMAGE_TOKEN, MiniMaxM3VLProcessor.VIDEO_TOKEN
    edges = MiniMaxM3VLProcessor.VISION_START_TOKEN, MiniMaxM3VLProcessor.VISION_END_TOKEN
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", image, video, *edges)
    tokenizer = make_tokenizer(special, pad="<|endoftext|>", eos="<|im_end|>")
    config = MiniMaxM3VLConfig(
        text_config=text_sizes(
            tokenizer,
            intermediate_size=32,
            dense_intermediate_size=128,
            shared_intermediate_size=32,
            num_local_experts=4,
            num_experts_per_tok=2,
            head_dim=16,
            rotary_dim=8,
            layer_types=["full_attention", "minimax_m3_sparse", "minimax_m3_sparse"],
            index_n_heads=2,
            index_head_dim=16,
            index_block_size=BLOCK,
            index_topk_blocks=BLOCKS,
        ),
        vision_config=vision_sizes(image_size=112, patch_size=14),
        image_token_index=tokenizer.convert_tokens_to_ids(image),
        video_token_index=tokenizer.convert_tokens_to_ids(video),
        projector_hidden_size=64,
    )
    size = {"shortest_edge": 4 * 28**2, "longest_edge": 36 * 28**2}
    processor = MiniMaxM3VLProcessor(
        image_processor=MiniMaxM3VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=MiniMaxM3VLVideoProcessor(size=size),
        chat_template=TURNS.replace("{{ bos_token }}", "").replace("IMAGE", image),
    )
    return Parts(config, processor)


def t5gemma2() -> Parts:
    """An encoder reads the prompt, a decoder begins the answer: there is no fast path."""
    from transformers import T5Gemma2Config

    processor = gemma.gemma3().processor
    tokenizer = processor.tokenizer
    index = {name: tokenizer.convert_tokens_to_ids(token) for name, token in gemma.NAMED.items()}
    text = text_sizes(
        tokenizer,
        num_hidden_layers=2,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=32,
        layer_types=["sliding_attention", "full_attention"],
    )
    encoder = {
        "text_config": text,
        "vision_config": vision_sizes(
            model_type="siglip_vision_model",
            image_size=gemma.SIDE,
            patch_size=gemma.PATCH,
            vision_use_head=False,
        ),
        "mm_tokens_per_image": gemma.TOKENS,
        "boi_token_index": index["boi_token"],
        "eoi_token_index": index["eoi_token"],
        "image_token_index": index["image_token"],
    }
    config = T5Gemma2Config(
        encoder=encoder,
        decoder=dict(text),
        image_token_index=index["image_token"],
        eoi_token_index=index["eoi_token"],
    )
    return Parts(config, processor)


def diffusion_gemma() -> Parts:
    """Writes whole blocks at once: there is no next token to read."""
    from transformers import DiffusionGemmaConfig

    processor = gemma.gemma3().processor
    tokenizer = processor.tokenizer
    index = {name: tokenizer.convert_tokens_to_ids(token) for name, token in gemma.NAMED.items()}
    config = DiffusionGemmaConfig(
        text_config=text_sizes(
            tokenizer,
            head_dim=16,
            global_head_dim=16,
            sliding_window=32,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
            num_experts=4,
            top_k_experts=2,
            moe_intermediate_size=32,
        ),
        vision_config=vision_sizes(
            model_type="gemma4_vision",
            num_key_value_heads=2,
            head_dim=16,
            patch_size=16,
            position_embedding_size=64,
        ),
        boi_token_id=index["boi_token"],
        eoi_token_id=index["eoi_token"],
        image_token_id=index["image_token"],
        canvas_length=8,
    )
    return Parts(config, processor)
