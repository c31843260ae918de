"""Count the operations of one view of a model, on average over the synthetic views of `zeroiqa bench`.

    python scripts/count_tflop.py qwen2.5-vl-7b [--views 7]

The real processing and engine run over the views with a model that has all of its layers but is narrow, and
`zeroiqa.speed.flops` counts what its forward passes were given with the sizes of the full model.
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

from zeroiqa.raters.chat import ChatRater
from zeroiqa.speed import random_weights
from zeroiqa.speed.benchmark import VIEWS_PER_IMAGE, make_views
from zeroiqa.speed.flops import count_flops, read_geometry
from zeroiqa.speed.meter import Meter
from zeroiqa.standards import load_standard
from zeroiqa.weights.options import ModelOptions

STANDARD = "quality-word-7"


def tflop_per_view(name: str, views: int) -> float:
    """Matrix products in 10^12 for one view."""
    full, _ = random_weights.read_parts(name)
    geometries = random_weights.GEOMETRIES
    whole = geometries[name]
    geometries[name] = narrow(whole)
    try:
        loaded = random_weights.load_random(name, ModelOptions(device="cpu", dtype="float32"))
    finally:
        geometries[name] = whole
    rater, geometry = ChatRater.of(loaded), read_geometry(full)
    with Meter(loaded.model, geometry.vision.patch) as meter:
        rater.rate(make_views(views, prompt="a photo"), [load_standard(STANDARD)])
    return sum(count_flops(geometry, batch).total for batch in meter.counts()) / 1e12 / views


def narrow(geometry: dict[str, Any]) -> dict[str, Any]:
    """The same model with few numbers in every layer; tokens and patches stay as many."""
    sizes = copy.deepcopy(geometry)
    text, vision = sizes.get("text_config", sizes), sizes["vision_config"]
    heads = text["num_key_value_heads"]
    text |= {"num_attention_heads": heads, "hidden_size": 16 * heads, "intermediate_size": 64}
    if "rope_parameters" in text:
        text["rope_parameters"]["mrope_section"] = [2, 3, 3]
    vision |= {"hidden_size": 32, "intermediate_size": 32}
    vision["num_heads" if "num_heads" in vision else "num_attention_heads"] = 2
    if "out_hidden_size" in vision:
        vision["out_hidden_size"] = text["hidden_size"]
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=sorted(random_weights.GEOMETRIES))
    parser.add_argument("--views", type=int, default=VIEWS_PER_IMAGE)
    arguments = parser.parse_args()
    print(f"{tflop_per_view(arguments.name, arguments.views):.3g} TFLOP a view")


if __name__ == "__main__":
    main()
