"""Full-size models with random weights: speed depends on a model's sizes, not on what it has learned.

That is how a GPU is measured where nothing can be downloaded. Ratings of such a model mean nothing.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.chat.loading import Loaded
from zeroiqa.chat.native import Native, check_attention, find_native, is_native
from zeroiqa.errors import UserError
from zeroiqa.standards import load_standard
from zeroiqa.weights.cards import resolve_model
from zeroiqa.weights.checkpoint import find_checkpoint
from zeroiqa.weights.devices import check_memory, find_device, find_dtype

if TYPE_CHECKING:
    import torch

    from zeroiqa.weights.options import ModelOptions


def _read() -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    text = (resources.files("zeroiqa.speed") / "geometries.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    return found, {name: float(geometry.pop("weights")) for name, geometry in found.items()}


GEOMETRIES, WEIGHTS = _read()
"""Models that can be built from nothing: name -> config; and name -> billions of weights."""

PIXELS = (56 * 56, 16384 * 28 * 28)
"""Least and most pixels of a picture as Qwen's processor gives it to the model."""
_SPECIAL = {
    "pad_token_id": "<|endoftext|>",
    "bos_token_id": "<|im_start|>",
    "eos_token_id": "<|im_end|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
}
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def read_parts(name: str) -> tuple[Any, Any]:
    """Config and processor of a model whose weights need not be there.

    Args:
        name: hf:FOLDER with config, tokenizer and processor files, a name of `GEOMETRIES`, or any other model
            whose small files are in the local cache.

    Raises:
        UserError: the files are not there.
    """
    if name in GEOMETRIES:
        geometry = dict(GEOMETRIES[name])
        if is_native(family := str(geometry.get("model_type", ""))):
            return mplug_owl3(geometry)
        geometry.pop("model_type", None)
        return idefics3(geometry) if family == "idefics3" else qwen2_5_vl(geometry)
    from transformers import AutoConfig, AutoProcessor

    repo, revision = resolve_model(name)
    if name.startswith("hf:"):
        if not (Path(repo) / "config.json").is_file():
            raise UserError(
                f"There is no config.json in {repo}; put config, tokenizer and processor files there."
            )
        if native := find_native(find_checkpoint(repo).family):
            return _native_parts(native, repo)
    where: dict[str, Any] = {"local_files_only": True, **({"revision": revision} if revision else {})}
    try:
        config = AutoConfig.from_pretrained(repo, **where)
        return config, AutoProcessor.from_pretrained(repo, **where)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UserError(
            f"The config and processor of {name} are not on this machine; give a folder that has them as "
            f"hf:FOLDER, or take {' or '.join(GEOMETRIES)}, which needs no files."
        ) from error


def _native_parts(native: Native, folder: str) -> tuple[Any, Any]:
    config = native.config.from_pretrained(folder)
    processor = native.processor.from_pretrained(folder, config if config.version else None)
    config.version = processor.version
    return config, processor


def load_random(name: str, options: ModelOptions) -> Loaded:
    """A model as `zeroiqa.chat.loading.load` gives it, but with random weights.

    Args:
        name: As in `read_parts`.
        options: Device, type of the weights and implementation of attention; the others have no effect.

    Raises:
        UserError: as by `read_parts`; there is no such device, or not enough memory.
    """
    import torch

    device = find_device(options.device)
    dtype = find_dtype(options.dtype, device)
    config, processor = read_parts(name)
    if is_native(str(config.model_type)):
        check_attention(name, options.attn)
    attention = None if options.attn == "auto" else options.attn
    sizes = _build(config, torch.device("meta"), dtype, attention).parameters()
    check_memory(name, sum(weight.nbytes for weight in sizes), device)
    return Loaded(
        name=name,
        family=str(config.model_type),
        model=random_model(config, device, dtype, attention),
        processor=processor,
        device=device,
        dtype=dtype,
        fingerprint="random",
    )


def random_model(
    config: Any, device: torch.device, dtype: torch.dtype, attention: str | None = None
) -> torch.nn.Module:
    """The model of a config, its weights made on the device and in the type they will have.

    Every matrix is random: families that start with a projection of zeros would ignore the image.
    """
    import torch

    model = _build(config, device, dtype, attention)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.02)
    return model.eval().requires_grad_(False)


def _build(config: Any, device: torch.device, dtype: torch.dtype, attention: str | None) -> torch.nn.Module:
    import torch
    from transformers import AutoModelForImageTextToText

    native = find_native(str(config.model_type))
    build: Any = native.model._from_config if native else AutoModelForImageTextToText.from_config
    chosen = {} if attention is None else {"attn_implementation": attention}
    with torch.device(device):
        model: torch.nn.Module = build(config, dtype=dtype, **chosen)
    return model


def qwen2_5_vl(geometry: dict[str, Any]) -> tuple[Any, Any]:
    """Config and processor of a Qwen2.5-VL of any size, with a tokenizer made here.

    The tokenizer has learned some standards and nothing else, so that their words are single tokens,
    as they are to a real one: the lengths of the prompts come close to the real ones.
    """
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = _tokenizer(tuple(_SPECIAL.values()))
    ids = {field: tokenizer.convert_tokens_to_ids(token) for field, token in _SPECIAL.items()}
    text = {**geometry["text_config"], **{field: ids.pop(field) for field in list(ids)[:3]}}
    vision = geometry["vision_config"]
    sizes = {
        "size": {"shortest_edge": PIXELS[0], "longest_edge": PIXELS[1]},
        "patch_size": vision["patch_size"],
        "merge_size": vision["spatial_merge_size"],
        "temporal_patch_size": vision["temporal_patch_size"],
    }
    processor = Qwen2_5_VLProcessor(  # type: ignore[no-untyped-call]
        image_processor=Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**sizes),
        chat_template=_TEMPLATE,
    )
    return Qwen2_5_VLConfig(**{**geometry, "text_config": text}, **ids), processor


_TILES = 4
"""A picture is scaled so that its longer side has so many tiles, as the processors of SmolVLM do."""
_IDEFICS = (
    *("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<fake_token_around_image>", "<image>"),
    *("<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)
_TURNS = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}"
    "{% if message.content[0].type == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'image' %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def idefics3(geometry: dict[str, Any]) -> tuple[Any, Any]:
    """Config and processor of an Idefics 3 of any size, such as SmolVLM, with a tokenizer as `qwen2_5_vl`."""
    from transformers import Idefics3Config, Idefics3ImageProcessor, Idefics3Processor

    tokenizer, vision = _tokenizer(_IDEFICS), geometry["vision_config"]
    side = vision["image_size"]
    pad = tokenizer.pad_token_id
    sizes: dict[str, Any] = {
        **geometry,
        "text_config": {**geometry["text_config"], "pad_token_id": pad},
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "pad_token_id": pad,
    }
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(
            size={"longest_edge": _TILES * side}, max_image_size={"longest_edge": side}
        ),
        tokenizer=tokenizer,
        image_seq_len=(side // vision["patch_size"] // geometry["scale_factor"]) ** 2,
        chat_template=_TURNS,
    )
    return Idefics3Config(**sizes), processor


def mplug_owl3(geometry: dict[str, Any]) -> tuple[Any, Any]:
    """Config and processor of an mPLUG-Owl3 of any size, with a tokenizer as in `qwen2_5_vl`."""
    from zeroiqa.chat.mplug_owl3 import MplugOwl3Config, MplugOwl3Processor
    from zeroiqa.chat.mplug_owl3.processing import CONTROL_TOKENS

    tokenizer, config = _tokenizer(CONTROL_TOKENS), MplugOwl3Config(**geometry)
    config.bos_token_id, config.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    return config, MplugOwl3Processor.of(tokenizer, config)


_LEARNED = (
    *("authenticity-word-7", "correspondence-word-7", "q-align", "q-bench", "quality-float"),
    *("quality-number-7", "quality-sentence-7", "quality-word-3", "quality-word-5", "quality-word-7"),
    *("quality-word-9", "sep-iaa", "sep-iqa"),
)
"""Standards whose texts the tokenizer learns. A further one would move the lengths of all prompts."""


def _tokenizer(special: tuple[str, ...]) -> Any:
    """Byte-level BPE; every digit is a token of its own."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Split(Regex(r"\p{N}"), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = ["system user assistant"]
    for name in _LEARNED:
        texts += [part for part in load_standard(name).fill("a photo") if isinstance(part, str)]
    tokenizer.train_from_iterator(2 * texts, trainer)
    tokenizer.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        padding_side="left",
        pad_token=_SPECIAL["pad_token_id"],
        eos_token=_SPECIAL["eos_token_id"],
        model_max_length=32768,
    )
