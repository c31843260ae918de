"""mPLUG-Owl3, both releases, in the hub's layout: config.json, one file of tensors, Qwen2's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.tiny.checkpoint import randomise, text_sizes
from zeroiqa.standards import load_standard

STOCK_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Comes with the tokenizer, and is not how this model is asked."""
WORDS = (
    *("system", "user", "assistant", "image", "video", "sub", " sub", "img", "ality", "Describe"),
    *("start_cut", "end_cut", "start_video_frame", "end_video_frame", "global_view"),
    "Cut to rows columns with a global view and this image. The quality is very good",
    "1 2 3 4 5 6 7 8 9 10, 1: 2: 3:",
)
"""Beside the standards' words, single tokens here as to the real tokenizer ("rationality" is two)."""
PUNCTUATION = (("Ġ", "<"), ("Ġ<", "|"), (">", "Ċ"), (">", "<"))
"""What the real tokenizer merges of the brackets around a placeholder and their neighbours; `<|` and `|>` are
two tokens each."""
HYPER_LAYERS = {"240728": (1, 3), "241101": (2, 4)}
SIDES = {"240728": 60, "241101": 56}
"""Of a view; of 60 pixels, four do not fill a patch."""
PATCH = 14


def make_tokenizer(more: Sequence[str] = ()) -> Any:
    """Qwen2's class and rules with a small vocabulary.

    Args:
        more: Texts whose words are single tokens, too.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    learner = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    learner.pre_tokenizer = pre_tokenizers.Sequence([pieces, bytes_])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=4000, initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    texts = [*WORDS, *more]
    for name in ("quality-word-7", "correspondence-word-7", "sep-iqa"):
        filled = load_standard(name).fill("a red fox in deep snow")
        texts += [filled.system, filled.user, filled.answer]
    learner.train_from_iterator([text.replace("rationality", "ration") for text in 2 * texts], trainer)
    learned = json.loads(learner.to_str())["model"]
    vocabulary, merges = learned["vocab"], [tuple(merge) for merge in learned["merges"]]
    for merge in PUNCTUATION:
        vocabulary.setdefault("".join(merge), len(vocabulary))
        merges.append(merge)
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=131072,
    )
    tokenizer.chat_template = STOCK_TEMPLATE
    return tokenizer


def hub_config(version: str, tokenizer: Any, **changes: Any) -> dict[str, Any]:
    """The entries of the hub's config.json, with small sizes."""
    text: dict[str, Any] = text_sizes(tokenizer, num_hidden_layers=4)
    del text["pad_token_id"]
    return {
        "architectures": ["mPLUGOwl3Model"],
        "auto_map": {
            "AutoConfig": "configuration_mplugowl3.mPLUGOwl3Config",
            "AutoModel": "modeling_mplugowl3.mPLUGOwl3Model",
            "AutoModelForCausalLM": "modeling_mplugowl3.mPLUGOwl3Model",
        },
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_position_embeddings": 32768,
        "max_window_layers": 4,
        "model_type": "mplugowl3",
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "hyper_layers": list(HYPER_LAYERS[version]),
        "vision_config": {
            "hidden_size": 32,
            "image_size": SIDES[version],
            "intermediate_size": 64,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "patch_size": PATCH,
        },
        **text,
        "bos_token_id": tokenizer.pad_token_id,
        **changes,
    }


def random_tensors(version: str, config: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """Tensors of the hub's names; biases and norms are random, too."""
    import torch

    from zeroiqa.chat.mplug_owl3 import MplugOwl3Config, MplugOwl3ForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = MplugOwl3Config(**{**config, "torch_dtype": "float32"}, version=version)
        model = MplugOwl3ForConditionalGeneration(sizes)
        randomise(model)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
                if name.endswith("v_kv_proj.weight"):
                    parameter.mul_(2)  # so that attention picks out single patches
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def write(version: str, folder: Path, more: Sequence[str] = (), **changes: Any) -> Path:
    """Write the checkpoint of a release.

    Args:
        version: 240728 or 241101.
        folder: Where to, returned.
        more: For `make_tokenizer`.
        changes: Of entries of config.json.
    """
    from safetensors.torch import save_file

    tokenizer = make_tokenizer(more)
    config = hub_config(version, tokenizer, **changes)
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    tensors = random_tensors(version, config)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
