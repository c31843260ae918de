"""Masks of known shapes beside those that the sam2 package's own generator found; see fixtures/official."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

from tests import known_shapes, official  # noqa: E402
from tests.tiny.sam2 import build_official  # noqa: E402
from zeroiqa.segmenters.granularity import MaskParameters  # noqa: E402
from zeroiqa.segmenters.sam2.generation import generate_masks  # noqa: E402
from zeroiqa.segmenters.sam2.official_network import Sam2Network  # noqa: E402
from zeroiqa.segmenters.sam2.official_weights import find_checkpoint, load_model  # noqa: E402

CASES = official.record("sam2_masks.json")["cases"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Sam2Network:
    """The package's model, narrow, at the full 1024 pixels: the decoder's masks have 256."""
    folder = build_official(tmp_path_factory.mktemp("sam2") / "model", size=1024)
    return Sam2Network(load_model(find_checkpoint("sam2", str(folder)), torch.device("cpu")))


@pytest.fixture(scope="module")
def encoded(network: Sam2Network) -> Any:
    return network.encode([known_shapes.photo(700, 500)])


@pytest.mark.parametrize("name", CASES)
def test_masks_are_those_of_the_stock_generator(
    network: Sam2Network, encoded: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes, areas and order without any difference; the package keeps empty masks, which count nothing."""
    known_shapes.install(monkeypatch)
    monkeypatch.setattr(network, "encode", lambda images: encoded)  # once for all cases
    parameters = MaskParameters(**CASES[name]["params"])
    (found,) = generate_masks(network, [known_shapes.photo(*CASES[name]["size"])], parameters, 64)
    masks = [mask for mask in CASES[name]["masks"] if mask[4]]
    kept = [place for place, pixels in enumerate(found.pixels.tolist()) if pixels]
    assert len(kept) == len(masks) == len(masks)
    ours = [[*found.boxes[place].tolist(), int(found.pixels[place])] for place in kept]
    assert ours == [mask[:5] for mask in masks]
    estimates = [float(found.predicted_iou[place]) for place in kept]
    assert estimates == pytest.approx([mask[5] for mask in masks], abs=1e-6)


def test_the_cases_hold_as_many_masks_as_their_readme_says() -> None:
    assert sum(mask[4] > 0 for case in CASES.values() for mask in case["masks"]) == 338
