"""Writes an official checkpoint of SAM 2 in the layout of transformers, for the segmenter hf-sam2.

    python -m zeroiqa.segmenters.sam2.convert sam2.1-tiny DIR
    python -m zeroiqa.segmenters.sam2.convert sam2:FOLDER_OR_FILE.pt DIR

The image part only: what a video needs besides is left out. The result is held against the original first.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zeroiqa.errors import UserError, one_line
from zeroiqa.segmenters.sam2.hf import HfSam2Network
from zeroiqa.segmenters.sam2.official_network import Sam2Network
from zeroiqa.segmenters.sam2.official_weights import find_checkpoint, load_model
from zeroiqa.weights.checks import quiet_transformers, transformers

if TYPE_CHECKING:
    from zeroiqa.segmenters.sam2.generation import MaskNetwork

_POINT = re.compile(r"sam_prompt_encoder\.point_embeddings\.\d")
_THREE_LAYERS = r"(output_hypernetworks_mlps\.\d|iou_prediction_head|pred_obj_score_head)\.layers\."
_RENAMED = (
    (r"^image_encoder\.trunk\.patch_embed\.proj\.", "vision_encoder.backbone.patch_embed.projection."),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.(neck\.convs\.\d)\.conv\.", r"vision_encoder.\1."),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (_THREE_LAYERS + r"0\.", r"\1.proj_in."),
    (_THREE_LAYERS + r"2\.", r"\1.proj_out."),
    (_THREE_LAYERS + r"1\.", r"\1.layers.0."),
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
)
_IMAGE_PART = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")
_TOLERANCE = 1e-3
"""Of the logits, which are around 10; float32 gives 1e-5."""


def convert(name: str, folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json.

    Args:
        name: Of a segmenter on the official package, with its argument after a colon.
        folder: Where to; it is made.

    Raises:
        UserError: the checkpoint cannot be had, or is one that transformers has no place for.
    """
    kind, colon, argument = name.partition(":")
    official = load_model(find_checkpoint(kind, argument if colon else None), torch.device("cpu"))
    size = official.image_size
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        model = transformers().Sam2Model(_config(official)).eval()
        processor = transformers().Sam2ImageProcessor(
            size={"height": size, "width": size}, mask_size={"height": size // 4, "width": size // 4}
        )
        try:
            model.load_state_dict(_renamed(official.state_dict()))
        except RuntimeError as error:  # names the tensors
            raise UserError(
                f"{name} has another architecture than transformers' Sam2Model ({one_line(error)}); run it "
                f"as it is with --segmenter {name}."
            ) from error
        torch.manual_seed(0)
        _check(name, (Sam2Network(official), HfSam2Network(model, processor)), size)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)


def main(arguments: list[str]) -> int:
    """The command; 0, or 2 with a sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog="convert_sam2", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("name", help="sam2.1-tiny[:FILE.pt], sam2:FILE_OR_FOLDER, ...")
    parser.add_argument("folder", type=Path, help="where to write")
    given = parser.parse_args(arguments)
    try:
        convert(given.name, given.folder)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Use it with --segmenter hf-sam2:{given.folder}")
    return 0


def _config(official: Any) -> Any:
    """The architecture, read off the official model."""
    trunk, neck = official.image_encoder.trunk, official.image_encoder.neck
    decoder, size = official.sam_mask_decoder, official.image_size
    ends = [-1, *trunk.stage_ends]
    last_of_stage = [trunk.blocks[end] for end in trunk.stage_ends]
    prompts = official.sam_prompt_encoder
    attention = decoder.transformer.layers[0]
    return transformers().Sam2Config(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [size, size],
                "hidden_size": trunk.patch_embed.proj.out_channels,
                "num_attention_heads": trunk.blocks[0].attn.num_heads,
                "query_stride": list(trunk.q_stride),
                "num_query_pool_stages": len(trunk.q_pool_blocks),
                "window_positional_embedding_background_size": list(trunk.pos_embed.shape[2:]),
                "blocks_per_stage": [end - before for before, end in pairwise(ends)],
                "embed_dim_per_stage": [block.dim_out for block in last_of_stage],
                "num_attention_heads_per_stage": [block.attn.num_heads for block in last_of_stage],
                "window_size_per_stage": list(trunk.window_spec),
                "global_attention_blocks": list(trunk.global_att_blocks),
            },
            "backbone_channel_list": list(neck.backbone_channel_list),
            "backbone_feature_sizes": [[size // stride] * 2 for stride in (4, 8, 16)],
            "fpn_hidden_size": neck.d_model,
            "fpn_top_down_levels": list(neck.fpn_top_down_levels),
        },
        prompt_encoder_config={"hidden_size": prompts.embed_dim, "image_size": size},
        mask_decoder_config={
            "hidden_size": decoder.transformer_dim,
            "mlp_dim": attention.mlp.layers[0].out_features,
            "num_hidden_layers": decoder.transformer.depth,
            "num_attention_heads": decoder.transformer.num_heads,
            "num_multimask_outputs": decoder.num_multimask_outputs,
            "iou_head_depth": decoder.iou_prediction_head.num_layers,
            "iou_head_hidden_dim": decoder.iou_prediction_head.layers[0].out_features,
            "dynamic_multimask_via_stability": decoder.dynamic_multimask_via_stability,
            "dynamic_multimask_stability_delta": decoder.dynamic_multimask_stability_delta,
            "dynamic_multimask_stability_thresh": decoder.dynamic_multimask_stability_thresh,
        },
    )


def _renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of the image part by their names in transformers."""
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(_IMAGE_PART) and not _POINT.match(name):
            for pattern, replacement in _RENAMED:
                name = re.sub(pattern, replacement, name)
            renamed[name] = tensor
    renamed["prompt_encoder.point_embed.weight"] = torch.cat(
        [tensor for name, tensor in tensors.items() if _POINT.match(name)]
    )
    positions = renamed["prompt_encoder.shared_embedding.positional_embedding"]
    renamed["shared_image_embedding.positional_embedding"] = positions.clone()
    return renamed


def _check(name: str, networks: Sequence[MaskNetwork], size: int) -> None:
    """Hold the two against each other on noise of the size that both take unchanged."""
    noise = torch.randint(256, (size, size, 3), dtype=torch.uint8).numpy()
    points, owners = torch.rand(4, 2), torch.zeros(4, dtype=torch.int64)
    features = [network.encode([noise]) for network in networks]
    for multimask in (True, False):
        masks, others = (
            network.decode(seen, owners, points, multimask)
            for network, seen in zip(networks, features, strict=True)
        )
        for ours, theirs in zip(masks, others, strict=True):
            difference = float((ours - theirs).abs().max())
            if not difference < _TOLERANCE:
                raise UserError(
                    f"{name} computes something else in transformers (outputs differ by {difference:.2g}): "
                    f"its configuration has what Sam2Model lacks; run it as it is with --segmenter {name}."
                )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
