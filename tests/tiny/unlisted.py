"""Architectures that nobody had in mind; a rater of chat models works on them or refuses in one sentence."""

from __future__ import annotations

from tests.tiny.checkpoint import Parts, text_sizes, vision_sizes
from tests.tiny.tokenizer import make_tokenizer

LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'system' %}<<SYS>>\n{{ message.content[0].text }}\n"
    "<</SYS>>\n\n{% elif message.role == 'user' %}[INST] "
    "{% for part in message.content | selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}"
    "{% for part in message.content | selectattr('type', 'equalto', 'text') %}{{ part.text }}{% endfor %}"
    " [/INST]{% else %} {{ message.content[0].text }}</s> {% endif %}{% endfor %}"
)
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}[SYSTEM_PROMPT]"
    "{{ message.content if message.content is string else message.content[0].text }}[/SYSTEM_PROMPT]"
    "{% elif message.role == 'user' %}[INST]{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type in ['image', 'image_url'] %}[IMG]{% else %}"
    "{{ raise_exception('Only text and image blocks are supported in message content!') }}"
    "{% endif %}{% endfor %}{% endif %}[/INST]"
    "{% elif message.role == 'assistant' %}"
    "{{ message.content if message.content is string else message.content[0].text }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user, system and assistant roles are supported!') }}{% endif %}"
    "{% endfor %}"
)
"""The generation prompt is empty: the answer follows the user's turn at once."""


def llava_next() -> Parts:
    from transformers import LlavaNextConfig, LlavaNextImageProcessor, LlavaNextProcessor

    side, patch = 56, 14
    tokenizer = make_tokenizer(
        ("<unk>", "<s>", "</s>", "<image>", "<pad>"), pad="<pad>", eos="</s>", bos="<s>"
    )
    pinpoints = [[side, 2 * side], [2 * side, side], [2 * side, 2 * side]]
    config = LlavaNextConfig(
        text_config=text_sizes(tokenizer, model_type="mistral", sliding_window=None),
        vision_config=vision_sizes(model_type="clip_vision_model", image_size=side, patch_size=patch),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=pinpoints,
        image_seq_length=(side // patch) ** 2,
    )
    size = {"shortest_edge": side}
    crop = {"height": side, "width": side}
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessor(size=size, crop_size=crop, image_grid_pinpoints=pinpoints),
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return Parts(config, processor)


def mistral3() -> Parts:
    from transformers import Mistral3Config, PixtralImageProcessor, PixtralProcessor

    patch, longest = 14, 112
    special = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]")
    special += ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
    tokenizer = make_tokenizer(special, pad="<pad>", eos="</s>", bos="<s>")
    config = Mistral3Config(
        text_config=text_sizes(tokenizer, model_type="mistral", head_dim=16, sliding_window=None),
        vision_config=vision_sizes(model_type="pixtral", image_size=longest, patch_size=patch, head_dim=16),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    processor = PixtralProcessor(
        image_processor=PixtralImageProcessor(size={"longest_edge": longest}, patch_size=patch),
        tokenizer=tokenizer,
        patch_size=patch,
        spatial_merge_size=2,
        chat_template=MISTRAL_TEMPLATE,
    )
    return Parts(config, processor)


def aya_vision() -> Parts:
    """Sliding windows, as in Gemma 3, in a family of its own."""
    from transformers import AyaVisionConfig, AyaVisionProcessor, GotOcr2ImageProcessor

    side, patch = 56, 14
    turn = "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"
    roles = "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|START_RESPONSE|>"
    image = ("<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE")
    tiles = ("TILE_GLOBAL", *(f"TILE_{tile}" for tile in range(1, 5)))
    special = ("<PAD>", "<BOS_TOKEN>", *turn, *roles, *image, *tiles)
    tokenizer = make_tokenizer(special, pad="<PAD>", eos=turn[1], bos="<BOS_TOKEN>")
    config = AyaVisionConfig(
        text_config=text_sizes(
            tokenizer,
            model_type="cohere2",
            num_hidden_layers=4,
            sliding_window=32,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
        ),
        vision_config=vision_sizes(
            model_type="siglip_vision_model", image_size=side, patch_size=patch, vision_use_head=False
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
    )
    size = {"height": side, "width": side}
    processor = AyaVisionProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4),
        tokenizer=tokenizer,
        patch_size=patch,
        img_size=side,
        downsample_factor=2,
        chat_template=_aya_template(),
    )
    return Parts(config, processor)


def _aya_template() -> str:
    role = (
        "<|START_OF_TURN_TOKEN|>{% if message.role == 'system' %}<|SYSTEM_TOKEN|>"
        "{% elif message.role == 'user' %}<|USER_TOKEN|>{% else %}<|CHATBOT_TOKEN|>{% endif %}"
    )
    content = (
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        "{% if part.type == 'image' %}<image>{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endif %}<|END_OF_TURN_TOKEN|>"
    )
    prompt = (
        "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>{% endif %}"
    )
    return "{{ bos_token }}{% for message in messages %}" + role + content + "{% endfor %}" + prompt


def mllama() -> Parts:
    """The image is no part of the prompt: layers of cross-attention look at it."""
    from transformers import MllamaConfig, MllamaImageProcessor, MllamaProcessor

    side, patch = 56, 14
    header = "<|start_header_id|>", "<|end_header_id|>"
    special = ("<|begin_of_text|>", "<|eot_id|>", *header, "<|python_tag|>", "<|pad|>", "<|image|>")
    tokenizer = make_tokenizer(special, pad="<|pad|>", eos="<|eot_id|>", bos="<|begin_of_text|>")
    words = len(tokenizer) - 1  # the token of the image can be read, but not be an answer
    config = MllamaConfig(
        text_config=text_sizes(
            tokenizer,
            vocab_size=words,
            num_hidden_layers=4,
            cross_attention_layers=[1, 3],
            tie_word_embeddings=False,
        ),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "image_size": side,
            "patch_size": patch,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 96,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    size = {"height": side, "width": side}
    content = (
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        "{% if part.type == 'image' %}<|image|>{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endif %}<|eot_id|>"
    )
    template = (
        "{{ bos_token }}{% for message in messages %}"
        "<|start_header_id|>{{ message.role }}<|end_header_id|>{{ '\n\n' }}" + content + "{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{{ '\n\n' }}{% endif %}"
    )
    processor = MllamaProcessor(
        MllamaImageProcessor(size=size, max_image_tiles=4),
        tokenizer,
        chat_template=template,
    )
    return Parts(config, processor)


def paligemma() -> Parts:
    """No chat model at all: it has no chat template."""
    from transformers import PaliGemmaConfig, PaliGemmaProcessor, SiglipImageProcessor

    side, patch = 56, 14
    named = {"image_token": "<image>"}
    tokenizer = make_tokenizer(
        ("<pad>", "<eos>", "<bos>", "<image>"), pad="<pad>", eos="<eos>", bos="<bos>", named=named
    )
    image_processor = SiglipImageProcessor(size={"height": side, "width": side})
    image_processor.image_seq_length = (side // patch) ** 2
    processor = PaliGemmaProcessor(image_processor=image_processor, tokenizer=tokenizer)
    config = PaliGemmaConfig(
        text_config=text_sizes(tokenizer, model_type="gemma", head_dim=16),
        vision_config=vision_sizes(
            model_type="siglip_vision_model", image_size=side, patch_size=patch, vision_use_head=False
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=64,
        hidden_size=64,
        vocab_size=len(tokenizer),
    )
    return Parts(config, processor)
