"""The sizes of an LMM4LMM checkpoint, from its config.json in the published layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zeroiqa.errors import UserError

_ADDED_TOKENS = 9
"""<img> </img> <IMG_CONTEXT> <quad> </quad> <ref> </ref> <box> </box>, in this order at the end."""
_IMAGE_TOKEN = 2
"""Place of <IMG_CONTEXT> among them."""


@dataclass(frozen=True)
class VisionSizes:
    """InternViT-300M by default."""

    hidden: int
    layers: int
    heads: int
    mlp: int
    patch: int
    """Side of a patch in pixels."""
    side: int
    """Side of a tile in pixels."""
    qkv_bias: bool
    eps: float
    """Of the LayerNorms."""


@dataclass(frozen=True)
class LanguageSizes:
    """InternLM2.5-7B by default."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    """Tokens, those included that were added for images."""
    positions: int
    """Tokens up to which positions are not scaled."""
    theta: float
    """Base of the rotary positions."""
    factor: float
    """Of their dynamic scaling beyond `positions`; 1: none."""
    eps: float
    """Of the RMSNorms."""


@dataclass(frozen=True)
class Lmm4LmmConfig:
    """InternVL2.5 with a regression head (spec: the published config.json)."""

    vision: VisionSizes
    language: LanguageSizes
    downsample: float
    """Factor, in each direction, between patches and image tokens."""
    lora_vision: int
    """Rank of the LoRA matrices of the vision tower; 0: none."""
    lora_language: int
    """The same for the language model."""

    @property
    def image_token(self) -> int:
        """Id of <IMG_CONTEXT>, whose embeddings the picture takes."""
        return self.language.vocabulary - _ADDED_TOKENS + _IMAGE_TOKEN

    @property
    def tokens_per_tile(self) -> int:
        """Image tokens of one tile: 256 for 448 pixels."""
        return int(self.vision.side // self.vision.patch * self.downsample) ** 2


def read_config(record: Mapping[str, Any], shown: str) -> Lmm4LmmConfig:
    """The sizes that a config.json names; those left out are the published ones.

    Args:
        record: Content of config.json.
        shown: Its path, for messages.

    Raises:
        UserError: it is that of another architecture, or names sizes that do not fit together.
    """
    vision, language = record.get("vision_config"), record.get("llm_config")
    if not isinstance(vision, Mapping) or not isinstance(language, Mapping):
        raise UserError(
            f"{shown} has no vision_config and llm_config, so it is no LMM4LMM checkpoint (model_type "
            f"{record.get('model_type')!r}); give the folder of one."
        )
    if record.get("ps_version", "v2") != "v2" or record.get("select_layer", -1) != -1:
        raise UserError(
            f"{shown} has ps_version {record.get('ps_version')!r} and select_layer "
            f"{record.get('select_layer')!r}; v2 and -1 are the ones that LMM4LMM uses."
        )
    acts = {"gelu": vision.get("hidden_act", "gelu"), "silu": language.get("hidden_act", "silu")}
    odd = next((found for wanted, found in acts.items() if found != wanted), None)
    if odd is not None:
        raise UserError(
            f"{shown} has hidden_act {odd!r}; gelu in the vision tower and silu in the language model are "
            "what LMM4LMM uses."
        )
    scaling = language.get("rope_scaling") or {}
    try:
        config = Lmm4LmmConfig(
            _vision(vision),
            _language(language, scaling),
            float(record.get("downsample_ratio", 0.5)),
            int(record.get("use_backbone_lora", 0)),
            int(record.get("use_llm_lora", 0)),
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"{shown} is damaged ({error}); download it again.") from error
    _check(config, scaling, shown)
    return config


def _vision(record: Mapping[str, Any]) -> VisionSizes:
    return VisionSizes(
        hidden=int(record.get("hidden_size", 1024)),
        layers=int(record.get("num_hidden_layers", 24)),
        heads=int(record.get("num_attention_heads", 16)),
        mlp=int(record.get("intermediate_size", 4096)),
        patch=int(record.get("patch_size", 14)),
        side=int(record.get("image_size", 448)),
        qkv_bias=bool(record.get("qkv_bias", True)),
        eps=float(record.get("layer_norm_eps", 1e-6)),
    )


def _language(record: Mapping[str, Any], scaling: Mapping[str, Any]) -> LanguageSizes:
    heads = int(record.get("num_attention_heads", 32))
    return LanguageSizes(
        hidden=int(record.get("hidden_size", 4096)),
        layers=int(record.get("num_hidden_layers", 32)),
        heads=heads,
        kv_heads=int(record.get("num_key_value_heads", 8)),
        mlp=int(record.get("intermediate_size", 14336)),
        vocabulary=int(record.get("vocab_size", 92553)),
        positions=int(record.get("max_position_embeddings", 32768)),
        theta=float(record.get("rope_theta", 1e6)),
        factor=float(scaling.get("factor", 1.0)),
        eps=float(record.get("rms_norm_eps", 1e-5)),
    )


def _check(config: Lmm4LmmConfig, scaling: Mapping[str, Any], shown: str) -> None:
    vision, language = config.vision, config.language
    patches = vision.side // vision.patch
    wrong = {
        "the heads of the vision tower": vision.hidden % vision.heads,
        "the heads of the language model": language.hidden % language.heads,
        "the heads of keys and values": language.heads % language.kv_heads,
        "the patches of a tile": vision.side % vision.patch or config.downsample != 0.5 or patches % 2,
        "the scaling of positions": scaling.get("type", scaling.get("rope_type", "dynamic")) != "dynamic",
    }
    unfit = [what for what, is_wrong in wrong.items() if is_wrong]
    if unfit:
        raise UserError(
            f"{shown} has sizes in which {unfit[0]} do not fit; take it from the published model."
        )
