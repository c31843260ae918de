"""Load LMM4LMM from the layout in which its checkpoints are released, one tensor after the other.

Released is the whole peft-wrapped model: `base_model.model.` in the names of both towers, `base_layer` beside
LoRA's A and B, queries, keys and values in one matrix. LoRA is merged, W + 2 B A, before that is split.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import reading, reason, stumbles
from zeroiqa.heads.backbone.lora import SCALE
from zeroiqa.heads.lmm4lmm.config import Lmm4LmmConfig, read_config
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.weights.checkpoint import indexed_files
from zeroiqa.weights.model_files import MOST_INDEX, check_descriptions, read_json

OVERLAY = "lora_weights.pth"
"""Repeats the LoRA matrices of the shards; where it differs, it counts."""
_LORA = re.compile(r"(.+)\.lora_([AB])\.default\.weight")
_UNUSED = re.compile(r"mlpscore\.ln1\.(weight|bias)")
_RENAMED = (
    (r"vision_model\.embeddings\.class_embedding", "vision_model.embeddings.cls_token"),
    (r"vision_model\.embeddings\.patch_embedding\.", "vision_model.embeddings.patch_embeddings.projection."),
    (r"vision_model\.embeddings\.position_embedding$", "vision_model.embeddings.position_embeddings"),
    (r"vision_model\.encoder\.layers\.", "vision_model.encoder.layer."),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.ls1$", ".lambda_1"),
    (r"\.ls2$", ".lambda_2"),
    (r"\.tok_embeddings\.", ".embed_tokens."),
    (r"\.attention\.wo\.", ".self_attn.o_proj."),
    (r"\.feed_forward\.w1\.", ".mlp.gate_proj."),
    (r"\.feed_forward\.w3\.", ".mlp.up_proj."),
    (r"\.feed_forward\.w2\.", ".mlp.down_proj."),
    (r"\.attention_norm\.", ".input_layernorm."),
    (r"\.ffn_norm\.", ".post_attention_layernorm."),
    (r"^language_model\.output\.", "language_model.lm_head."),
    (r"^mlpscore\.", "regression."),
)
"""Published name -> name here, for what is neither split nor unused."""


class StoredTensor(NamedTuple):
    """A tensor in a file."""

    shape: tuple[int, ...]
    read: Callable[[], torch.Tensor]


def load_model(
    folder: Path,
    *,
    regression: bool = True,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    allow_pickle: bool = False,
) -> Lmm4Lmm:
    """Load a released checkpoint; the memory is that of the model, of one file of it and of a few tensors.

    Args:
        folder: Holds config.json and *.safetensors (or pytorch_model*.bin), perhaps lora_weights.pth.
        regression: Whether scores are wanted, which the checkpoints that answer questions do not give.
        device: Where to; the CPU if left out.
        dtype: Of all weights but the regression's, which are float32.
        allow_pickle: Read weights that are not safetensors.

    Raises:
        UserError: a file or tensor is missing, unknown, of another shape or damaged, or the checkpoint is one
            of the other kind.
    """
    config = _config(folder)
    model = _empty(config, regression, device, dtype)
    wanted = dict(model.named_parameters())
    for name, tensor in merged_tensors(folder, allow_pickle):
        if _UNUSED.fullmatch(name):
            continue
        if name.startswith("mlpscore.") and not regression:
            raise UserError(
                f"{_shown(folder)} holds a regression (mlpscore), so it gives scores and answers no "
                "questions; take the weights for questions."
            )
        for own, part in _parts(name, tensor.read(), config):
            _put(own, part, wanted, folder)
    _check_complete(wanted, folder)
    return model.eval()


def merged_tensors(folder: Path, allow_pickle: bool = False) -> Iterator[tuple[str, StoredTensor]]:
    """Every tensor of a checkpoint, with its LoRA merged, by its published name without what peft puts in.

    Args:
        folder: As of `load_model`.
        allow_pickle: Read weights that are not safetensors.

    Yields:
        The name, and the tensor, which can be read until the next one is asked for; float32 where LoRA was
        merged.

    Raises:
        UserError: the files are incomplete or damaged, or LoRA matrices do not fit.
    """
    lora = _lora(folder, allow_pickle)
    used: set[str] = set()
    for name, tensor in _tensors(folder, allow_pickle):
        plain = _plain(name)
        if _LORA.fullmatch(plain):
            continue
        layer = plain.removesuffix(".weight")
        if plain.endswith(".weight") and (layer in lora or ".base_layer." in name):
            used.add(layer)
            read = partial(_merged, tensor.read, lora.get(layer, {}), layer, folder)
            tensor = tensor._replace(read=read)
        yield plain, tensor
    loose = lora.keys() - used
    if loose:
        raise UserError(
            f"{_shown(folder)} holds LoRA matrices of {min(loose)}, which it has not; download it again."
        )


def _empty(
    config: Lmm4LmmConfig, regression: bool, device: torch.device | None, dtype: torch.dtype
) -> Lmm4Lmm:
    """The model with room for its weights, taken at once: between them no memory of what is read stays."""
    with torch.device("meta"):
        model = Lmm4Lmm(config, regression=regression).to(dtype).requires_grad_(False)
    if model.regression is not None:
        model.regression.float()
    model.to_empty(device=device or "cpu")
    with torch.device(device or "cpu"):
        model.language_model.model.rotary_emb = LlamaRotaryEmbedding(model.language_model.config)
    return model


def _shown(folder: Path) -> str:
    return printable(str(folder))


def _config(folder: Path) -> Lmm4LmmConfig:
    path = folder / "config.json"
    with reading(path, "give a complete checkpoint"):
        record = read_json(path)
        if not isinstance(record, dict):
            raise UserError(f"{_shown(path)} is no configuration; give a complete checkpoint.")
        return read_config(record, _shown(path))


def _files(folder: Path, allow_pickle: bool) -> list[Path]:
    """The shards; the index says which there must be."""
    indexed_files(folder)  # refuses those outside of it
    check_descriptions(folder)
    kinds = (("model.safetensors", "*.safetensors"), ("pytorch_model.bin", "pytorch_model*.bin"))
    for whole, pattern in kinds[: 2 if allow_pickle else 1]:
        index = folder / f"{whole}.index.json"
        if index.is_file():
            try:
                names = sorted(set(read_json(index, MOST_INDEX)["weight_map"].values()))
            except stumbles() as error:
                raise UserError(
                    f"{_shown(index)} is damaged ({reason(error)}); download it again."
                ) from error
            lacking = [name for name in names if not (folder / name).is_file()]
            if lacking:
                raise UserError(
                    f"{_shown(folder)} lacks {len(lacking)} of {len(names)} files of weights (first: "
                    f"{lacking[0]}); finish the download."
                )
            return [folder / name for name in names]
        found = sorted(folder.glob(pattern))
        if found:
            return found
    pickled = next(folder.glob("*.bin"), None)
    how = "allow pickled weights (--allow-pickle)" if pickled else "finish the download"
    raise UserError(f"{_shown(folder)} holds no weights as safetensors; {how}.")


def _tensors(folder: Path, allow_pickle: bool) -> Iterator[tuple[str, StoredTensor]]:
    """Every tensor with its name."""
    for path in _files(folder, allow_pickle):
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118 -- it is no mapping
                        shape = tuple(file.get_slice(name).get_shape())
                        yield name, StoredTensor(shape, partial(file.get_tensor, name))
            else:
                weights = _unpickled(path)
                for name, tensor in weights.items():
                    yield name, StoredTensor(tuple(tensor.shape), partial(weights.__getitem__, name))
        except stumbles() as error:
            raise UserError(f"{_shown(path)} is damaged ({reason(error)}); download it again.") from error


def _unpickled(path: Path) -> dict[str, torch.Tensor]:
    try:
        found: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except stumbles(RuntimeError) as error:
        raise UserError(f"{_shown(path)} is damaged ({reason(error)}); download it again.") from error
    return found


def _lora(folder: Path, allow_pickle: bool) -> dict[str, dict[str, torch.Tensor]]:
    """Layer -> its A and B. They are small: all are in memory while the layers pass."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, stored in _tensors(folder, allow_pickle):
        match = _LORA.fullmatch(_plain(name))
        if match:
            found.setdefault(match[1], {})[match[2]] = stored.read()
    overlay = folder / OVERLAY
    # Every released checkpoint has it, and weights_only runs no code: it needs no permission.
    for name, tensor in (_unpickled(overlay) if overlay.is_file() else {}).items():
        match = _LORA.fullmatch(_plain(name))
        there = found.get(match[1], {}).get(match[2], tensor) if match else None
        if match is None or there is None or there.shape != tensor.shape:
            raise UserError(
                f"{_shown(overlay)} holds {name} of shape {tuple(tensor.shape)}, which the checkpoint "
                "has not; it belongs to another one: remove it, or download both again."
            )
        found.setdefault(match[1], {})[match[2]] = tensor
    return found


def _plain(name: str) -> str:
    """The name without what peft puts in."""
    return name.replace(".base_model.model.", ".", 1).replace(".base_layer.", ".")


def _merged(
    read: Callable[[], torch.Tensor], lora: dict[str, torch.Tensor], layer: str, folder: Path
) -> torch.Tensor:
    weight = read()
    shapes = [(*matrix.shape,) for _, matrix in sorted(lora.items())]
    rank = shapes[0][0] if shapes else 0
    if shapes != [(rank, weight.shape[-1]), (weight.shape[0], rank)]:
        raise UserError(
            f"The LoRA matrices of {layer} in {_shown(folder)} are missing or do not fit its weights of "
            f"shape {tuple(weight.shape)}; download it again."
        )
    merged = weight.to(torch.float32, copy=True)
    return merged.addmm_(lora["B"].float(), lora["A"].float(), alpha=SCALE)


def _parts(name: str, tensor: torch.Tensor, config: Lmm4LmmConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """Names here and what belongs to them."""
    fused = re.fullmatch(r"vision_model\.encoder\.layers\.(\d+)\.attn\.qkv\.(weight|bias)", name)
    if fused and tensor.shape[0] % 3 == 0:
        block = f"vision_model.encoder.layer.{fused[1]}.attention"
        for own, part in zip("qkv", tensor.chunk(3), strict=True):
            yield f"{block}.{own}_proj.{fused[2]}", part
        return
    fused = re.fullmatch(r"language_model\.model\.layers\.(\d+)\.attention\.wqkv\.weight", name)
    if fused:
        for own, part in zip("qkv", split_wqkv(tensor, config), strict=True):
            yield f"language_model.model.layers.{fused[1]}.self_attn.{own}_proj.weight", part
        return
    for published, own in _RENAMED:
        name = re.sub(published, own, name)
    yield name, tensor


def split_wqkv(
    weight: torch.Tensor, config: Lmm4LmmConfig
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of InternLM2's joint matrix.

    For each head of keys and values its rows are those of its query heads, of its key and of its value.

    Args:
        weight: Shape ((heads + 2 kv_heads) x width of a head, hidden).
        config: Says how many heads there are.
    """
    sizes = config.language
    width = sizes.hidden // sizes.heads
    each = sizes.heads // sizes.kv_heads
    if weight.shape[0] != sizes.kv_heads * (each + 2) * width:
        return weight, weight, weight  # of another shape: said where they are put
    rows = weight.view(sizes.kv_heads, each + 2, width, -1)
    query, key, value = rows[:, :each], rows[:, each], rows[:, each + 1]
    return query.flatten(0, 2), key.flatten(0, 1), value.flatten(0, 1)


def _put(name: str, tensor: torch.Tensor, wanted: dict[str, torch.nn.Parameter], folder: Path) -> None:
    """Copy a tensor to its place and strike that off the list."""
    parameter = wanted.pop(name, None)
    if parameter is None:
        raise UserError(
            f"{_shown(folder)} holds {name}, which LMM4LMM has not or has already; is it another model?"
        )
    if parameter.shape != tensor.shape:
        raise UserError(
            f"{name} in {_shown(folder)} has the shape {tuple(tensor.shape)}, where config.json asks for "
            f"{tuple(parameter.shape)}; the files belong to different models."
        )
    parameter.copy_(tensor)


def _check_complete(left: dict[str, torch.nn.Parameter], folder: Path) -> None:
    if any(name.startswith("regression.") for name in left):
        raise UserError(
            f"{_shown(folder)} has no regression (mlpscore), so it gives no scores; are these the "
            "weights that answer questions (lmm4lmm:qa)?"
        )
    if left:
        raise UserError(
            f"{_shown(folder)} lacks {len(left)} tensors (first: {min(left)}); finish the download."
        )
