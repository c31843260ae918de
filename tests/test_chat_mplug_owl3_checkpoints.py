"""Checkpoints of mPLUG-Owl3 as they are released: sizes and names of their tensors, and which are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from tests import official  # noqa: E402
from tests.owl3_network import TWO, Network, load  # noqa: E402
from zeroiqa.chat.mplug_owl3 import MplugOwl3Config, MplugOwl3ForConditionalGeneration  # noqa: E402
from zeroiqa.chat.mplug_owl3.configuration import VERSIONS  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402


@pytest.fixture(params=VERSIONS)
def network(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Network:
    return Network(tiny(f"mplug_owl3_{request.param}"), request.param)


RELEASED = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "rope_theta": 1e6,
    "tie_word_embeddings": False,
}
VISION = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "model_type": "siglip_vision_model",
    "num_attention_heads": 16,
    "num_hidden_layers": 27,
    "patch_size": 14,
}
SIZES = {
    "240728": {"vocab_size": 151851, "hyper_layers": [1, 9, 17, 25], "side": 384},
    "241101": {"vocab_size": 151651, "hyper_layers": [7, 15, 23, 26], "side": 378},
}
COUNTS = {"240728": (8_061_197_888, 805), "241101": (8_072_546_880, 799)}
HYPER = {"240728": {0, 8, 16, 24}, "241101": {6, 14, 22, 25}}
ADDED = {"240728": 3_687_552, "241101": 3_671_040}
NAMES = (
    r"vision_model\.embeddings\.(patch_embedding\.(weight|bias)|position_embedding\.weight)",
    r"vision_model\.encoder\.layers\.\d+\.(self_attn\.(k|v|q|out)_proj|layer_norm1|layer_norm2|mlp\.fc1|mlp\.fc2)"
    r"\.(weight|bias)",
    r"vision_model\.post_layernorm\.(weight|bias)",
    r"vision_model\.head\.(probe|attention\.(in_proj_weight|in_proj_bias|out_proj\.(weight|bias))"
    r"|layernorm\.(weight|bias)|mlp\.fc(1|2)\.(weight|bias))",
    r"vision2text_model\.((0|2)\.)?(weight|bias)",
    r"language_model\.model\.(embed_tokens|norm)\.weight",
    r"language_model\.model\.layers\.\d+\.(input_layernorm|post_attention_layernorm)\.weight",
    r"language_model\.model\.layers\.\d+\.self_attn\.((q|k|v)_proj\.(weight|bias)|o_proj\.weight)",
    r"language_model\.model\.layers\.\d+\.mlp\.(gate|up|down)_proj\.weight",
    r"language_model\.model\.layers\.\d+\.self_attn\.(v_kv_proj|gate_proj\.0)\.(weight|bias)",
    r"language_model\.lm_head\.weight",
)


@pytest.fixture(scope="module")
def released() -> dict[str, Any]:
    """The networks in full size, without memory."""
    models = {}
    for version, sizes in SIZES.items():
        texts = {name: value for name, value in sizes.items() if name != "side"}
        vision = {**VISION, "image_size": sizes["side"]}
        config = MplugOwl3Config(**RELEASED, **texts, vision_config=vision, version=version)
        with torch.device("meta"):
            models[version] = MplugOwl3ForConditionalGeneration(config)
    return models


@pytest.mark.parametrize("version", VERSIONS)
def test_the_released_networks_have_their_tensors_and_parameters(
    version: str, released: dict[str, Any]
) -> None:
    model = released[version]
    tensors = model.state_dict()
    parameters, count = COUNTS[version]

    assert (sum(tensor.numel() for tensor in tensors.values()), len(tensors)) == (parameters, count)
    assert all(any(re.fullmatch(name, tensor) for name in NAMES) for tensor in tensors)
    assert model.config.hyper_indices == HYPER[version]
    owners = {int(name.split(".")[3]) for name in tensors if "v_kv_proj" in name}
    assert owners == HYPER[version]
    kv = {name: tuple(tensors[name].shape) for name in tensors if "v_kv_proj.weight" in name}
    assert set(kv.values()) == {(1024, 3584)}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tensors_are_those_of_the_official_class(version: str, released: dict[str, Any]) -> None:
    """Names and shapes; source: fixtures/official."""
    found = {name: tuple(tensor.shape) for name, tensor in released[version].state_dict().items()}
    assert found == official.tensors_of_released_size(version)


@pytest.mark.parametrize("version", VERSIONS)
def test_parameters_by_part_are_those_of_the_formulas(version: str, released: dict[str, Any]) -> None:
    def count(*parts: str) -> int:
        tensors = released[version].state_dict().items()
        return sum(tensor.numel() for name, tensor in tensors if name.startswith(parts))

    vocabulary = SIZES[version]["vocab_size"]
    layers = 28 * 233_057_792 + 4 * ADDED[version]
    assert count("language_model.") == layers + 3584 + 2 * vocabulary * 3584
    assert count("language_model.") == {"240728": 7_628_839_936, "241101": 7_627_340_288}[version]
    assert count("vision_model.") == 428_225_600
    assert count("vision_model.head.") == 15_238_352
    assert count("vision_model.encoder.layers.26.") == 15_239_504
    assert count("vision_model.post_layernorm.") == 2_304
    assert count("vision2text_model.") == {"240728": 4_132_352, "241101": 16_980_992}[version]
    unused = ("vision_model.head.", "vision_model.encoder.layers.26.", "vision_model.post_layernorm.")
    assert count(*unused) == 30_480_160
    hyper = sorted(HYPER[version])[0]
    assert count(f"language_model.model.layers.{hyper}.") - 233_057_792 == ADDED[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_view_has_729_rows_in_both(version: str, released: dict[str, Any]) -> None:
    vision = released[version].vision_model
    side = SIZES[version]["side"]
    embedded = vision.embeddings(torch.zeros(2, 3, side, side, device="meta"))

    assert embedded.shape == (2, 729, 1152)
    assert vision.embeddings.position_embedding.weight.shape == (729, 1152)


def rewritten(network: Network, folder: Path, edit: Callable[[dict[str, Tensor]], Any]) -> Path:
    tensors = dict(network.tensors)
    edit(tensors)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(network.config))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_tensors_tell_the_version(network: Network, tmp_path: Path) -> None:
    assert network.model.config.version == network.version

    config = MplugOwl3Config.from_pretrained(network.folder)
    assert config.version is None
    config.version = next(version for version in VERSIONS if version != network.version)
    assert load(network.folder, config=config).config.version == network.version


def test_a_checkpoint_without_the_unused_head_loads_as_well(network: Network, tmp_path: Path) -> None:
    def behead(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("vision_model.head.")]:
            del tensors[name]

    folder = rewritten(network, tmp_path / "model", behead)
    model, report = MplugOwl3ForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(report.values())
    pixels = network.pixels(2)
    assert not model.config.vision_config.vision_use_head
    assert torch.equal(network.loaded(folder).logits(TWO, pixels), network.logits(TWO, pixels))


def test_a_saved_model_is_the_hub_s_layout_and_loads_again(network: Network, tmp_path: Path) -> None:
    network.model.save_pretrained(tmp_path)

    assert load_file(tmp_path / "model.safetensors").keys() == network.tensors.keys()
    pixels = network.pixels(2)
    assert torch.equal(network.loaded(tmp_path).logits(TWO, pixels), network.logits(TWO, pixels))


def test_tensors_of_neither_version_are_refused(network: Network, tmp_path: Path) -> None:
    def unmark(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if "gate_proj.0" in name or "vision2text_model.2" in name]:
            del tensors[name]

    folder = rewritten(network, tmp_path / "model", unmark)
    with pytest.raises(UserError, match=r"are not those of mPLUG-Owl3-7B-240728 or -241101 .*found neither"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        load(folder)


def test_tensors_of_both_versions_are_refused(network: Network, tmp_path: Path) -> None:
    def mark(tensors: dict[str, Tensor]) -> None:
        tensors["language_model.model.layers.0.self_attn.gate_proj.0.weight"] = torch.zeros(1)
        tensors["vision2text_model.2.weight"] = torch.zeros(1)

    with pytest.raises(UserError, match="found both"):
        load(rewritten(network, tmp_path / "model", mark))


def test_a_config_without_a_version_builds_no_model(network: Network) -> None:
    with pytest.raises(UserError, match="names no version of mPLUG-Owl3 .*set `version` to 240728 or 241101"):
        MplugOwl3ForConditionalGeneration(MplugOwl3Config(**network.config))
