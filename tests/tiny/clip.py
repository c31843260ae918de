"""A tiny CLIP of random weights: configuration, processor and safetensors as on the hub."""

from __future__ import annotations

from pathlib import Path

WORDS = (
    "a",
    "photo",
    "depicts",
    "good",
    "bad",
    "cat",
    "dog",
    "and",
    "red",
    "house",
    "with",
    "many",
    "people",
)
SIDE, PATCH, TOKENS = 32, 8, 24
"""Pixels of the square that is seen, pixels of a patch, tokens of a text at most."""


def build(folder: Path, *, seed: int = 2, scale: float = 100.0) -> Path:
    """Write the checkpoint, 0.2 MB.

    Args:
        folder: Where to, returned.
        seed: Of the weights; the usual one gives cosines of either sign.
        scale: What cosines are multiplied with; the file holds its logarithm.
    """
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = _tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": TOKENS, **sizes, **ids}
    vision = {"image_size": SIDE, "patch_size": PATCH, **sizes}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = CLIPModel(config)
        for parameter in model.parameters():
            if parameter.ndim > 1:  # the usual start hides the picture behind the biases
                parameter.normal_(0, parameter[0].numel() ** -0.5)
        model.logit_scale.fill_(torch.tensor(scale).log())
    model.save_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def with_buffers(folder: Path) -> Path:
    """Add what checkpoints of old versions of transformers hold besides the weights, as OpenAI's do."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["text_model.embeddings.position_ids"] = torch.arange(TOKENS)[None]
    tensors["vision_model.embeddings.position_ids"] = torch.arange((SIDE // PATCH) ** 2 + 1)[None]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def without_processor(folder: Path) -> Path:
    """Leave configuration and weights only, as in a repository that uses another one's processor."""
    for path in folder.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    return folder


def _tokenizer() -> object:
    """Bytes and whole words, in the form of CLIP's own tokenizer."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    special = ["<|startoftext|>", "<|endoftext|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab: list[str] = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            parts[:2] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                vocab.append(parts[0])
    ids = {token: number for number, token in enumerate([*dict.fromkeys(vocab), *special])}
    return CLIPTokenizer(vocab=ids, merges=merges, model_max_length=TOKENS)
