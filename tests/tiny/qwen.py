"""The families of Qwen: positions of three axes, images of any size, a system turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.tiny.checkpoint import Parts, text_sizes
from tests.tiny.tokenizer import make_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

CONTENT = (
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' or 'image' in part %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
)
TURNS = (
    "{% for message in messages %}"
    "DEFAULT_SYSTEM<|im_start|>{{ message.role }}\n" + CONTENT + "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEFAULT_SYSTEM = (
    "{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
)
"""Qwen 2 and 2.5 put a system turn of their own where there is none."""

THOUGHT = (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}"
)
"""What Qwen 3.5 puts after its generation prompt."""


def qwen2_vl() -> Parts:
    from transformers import Qwen2VLConfig, Qwen2VLProcessor

    tokenizer = _tokenizer()
    config = Qwen2VLConfig(
        text_config=text_sizes(tokenizer, rope_parameters=_rope(mrope_section=[2, 3, 3])),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        **_ids(tokenizer),
    )
    return Parts(config, _processor(Qwen2VLProcessor, tokenizer, 14, DEFAULT_SYSTEM))


def qwen2_5_vl() -> Parts:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLProcessor

    tokenizer = _tokenizer()
    config = Qwen2_5_VLConfig(
        text_config=text_sizes(tokenizer, rope_parameters=_rope(mrope_section=[2, 3, 3])),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        **_ids(tokenizer),
    )
    return Parts(config, _processor(Qwen2_5_VLProcessor, tokenizer, 14, DEFAULT_SYSTEM))


def qwen3_vl() -> Parts:
    from transformers import Qwen3VLConfig, Qwen3VLProcessor

    tokenizer = _tokenizer()
    config = Qwen3VLConfig(
        text_config=text_sizes(
            tokenizer, head_dim=16, rope_parameters=_rope(mrope_section=[4, 2, 2], mrope_interleaved=True)
        ),
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        **_ids(tokenizer),
    )
    return Parts(config, _processor(Qwen3VLProcessor, tokenizer, 16, ""))


def qwen3_5() -> Parts:
    """Linear attention and positions of three axes; thinks before it answers unless it is told not to."""
    from transformers import Qwen3_5Config, Qwen3VLProcessor

    tokenizer = make_tokenizer((*SPECIAL, "<think>", "</think>"), pad="<|endoftext|>", eos="<|im_end|>")
    rope = _rope(mrope_section=[4, 2, 2], mrope_interleaved=True, partial_rotary_factor=1.0)
    text = text_sizes(
        tokenizer,
        head_dim=16,
        rope_parameters=rope,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "patch_size": 16,
        "num_position_embeddings": 64,
    }
    config = Qwen3_5Config(text_config=text, vision_config=vision, **_ids(tokenizer))
    processor = _processor(Qwen3VLProcessor, tokenizer, 16, "")
    processor.chat_template = processor.chat_template.removesuffix("{% endif %}") + THOUGHT + "{% endif %}"
    return Parts(config, processor)


def _tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(SPECIAL, pad="<|endoftext|>", eos="<|im_end|>")


def _rope(**mrope: object) -> dict[str, object]:
    return {"rope_type": "default", "rope_theta": 10000.0, **mrope}


def _ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def _processor(kind: Any, tokenizer: PreTrainedTokenizerFast, patch: int, default_system: str) -> Any:
    """Images become 4 to 36 tokens."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

    side = 2 * patch
    sizes: dict[str, Any] = {
        "size": {"shortest_edge": 4 * side**2, "longest_edge": 36 * side**2},
        "patch_size": patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    video = Qwen3VLVideoProcessor if patch == 16 else Qwen2VLVideoProcessor
    return kind(
        image_processor=Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=video(**sizes),
        chat_template=TURNS.replace("DEFAULT_SYSTEM", default_system),
    )
