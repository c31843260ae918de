"""SAM 2 as a network equals the package's predictor."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny.sam2 import picture
from zeroiqa.errors import UserError
from zeroiqa.segmenters.sam2.generation import point_grid
from zeroiqa.segmenters.sam2.official_network import Sam2Network, preprocess
from zeroiqa.segmenters.sam2.official_weights import find_checkpoint, import_sam2, load_model


@pytest.fixture(scope="module")
def network(tiny_sam2: Path) -> Sam2Network:
    return Sam2Network(load_model(find_checkpoint("sam2", str(tiny_sam2)), torch.device("cpu")))


@pytest.fixture(scope="module")
def predictor(network: Sam2Network) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = import_sam2("sam2_image_predictor").SAM2ImagePredictor(network.model)
    built._bb_feat_sizes = [(64, 64), (32, 32), (16, 16)]
    return built


@pytest.fixture(scope="module")
def transforms() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_sam2("utils.transforms").SAM2Transforms(256, 0.0)


@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 300), (16, 16), (255, 257), (256, 256), (256, 700), (700, 256), (90, 2000), (1500, 1300)],
)
def test_preprocessing_is_that_of_the_package_bit_for_bit(transforms: Any, size: tuple[int, int]) -> None:
    pixels = picture(*size).pixels
    assert torch.equal(preprocess(pixels, 256), transforms.forward_batch([pixels])[0])


def test_preprocessing_takes_pixels_of_any_layout(transforms: Any) -> None:
    pixels = picture(40, 60).pixels
    wanted = preprocess(pixels, 256)
    frozen = pixels.copy()
    frozen.setflags(write=False)
    flipped = np.ascontiguousarray(pixels[::-1, ::-1])[::-1, ::-1]
    for same in (frozen, flipped, np.asfortranarray(pixels)):
        assert torch.equal(preprocess(same, 256), wanted)


def test_features_are_those_of_the_predictor(network: Sam2Network, predictor: Any) -> None:
    images = [picture(300, 200).pixels, picture(64, 512, 1).pixels, picture(256, 256, 2).pixels]
    features = network.encode(images)
    predictor.set_image_batch(images)
    for ours, theirs in zip(
        (features.image_embed, *features.high_res_feats),
        (predictor._features["image_embed"], *predictor._features["high_res_feats"]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_features_do_not_depend_on_the_batch(network: Sam2Network) -> None:
    images = [picture(300, 200).pixels, picture(64, 512, 1).pixels, picture(256, 256, 2).pixels]
    together = network.encode(images)
    for number, image in enumerate(images):
        alone = network.encode([image])
        for ours, other in zip(
            (together.image_embed, *together.high_res_feats),
            (alone.image_embed, *alone.high_res_feats),
            strict=True,
        ):
            torch.testing.assert_close(ours[number : number + 1], other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("count", [1, 9])
def test_masks_are_those_of_the_predictor(
    network: Sam2Network, predictor: Any, multimask: bool, count: int
) -> None:
    image = picture(300, 200).pixels
    points = point_grid(3).float()[:count]
    logits, estimates = network.decode(
        network.encode([image]), torch.zeros(count, dtype=torch.int64), points, multimask
    )
    predictor.set_image(image)
    _, wanted, low = predictor._predict(
        (points * 256)[:, None],
        torch.ones(count, 1, dtype=torch.int32),
        multimask_output=multimask,
        return_logits=True,
    )
    assert logits.dtype == estimates.dtype == torch.float32
    assert logits.shape == (count, 3 if multimask else 1, 64, 64)
    torch.testing.assert_close(logits.clamp(-32, 32), low, rtol=0, atol=1e-4)
    torch.testing.assert_close(estimates, wanted, rtol=0, atol=1e-5)


def test_masks_depend_on_their_own_image_and_point_alone(network: Sam2Network) -> None:
    images = [picture(300, 200).pixels, picture(64, 512, 1).pixels]
    points = point_grid(3).float()
    owners = torch.tensor([0, 1, 1, 0, 0, 1, 0, 1, 1])
    mixed, mixed_estimates = network.decode(network.encode(images), owners, points, True)
    for number, image in enumerate(images):
        own = owners == number
        logits, estimates = network.decode(network.encode([image]), owners[own] * 0, points[own], True)
        torch.testing.assert_close(mixed[own], logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(mixed_estimates[own], estimates, rtol=0, atol=1e-5)
    assert (mixed[1:] - mixed[:1]).abs().amax((1, 2, 3)).min() > 1  # the tiny model does look


def test_decoder_that_a_user_wraps_is_called(tiny_sam2: Path) -> None:
    network = Sam2Network(load_model(find_checkpoint("sam2", str(tiny_sam2)), torch.device("cpu")))
    calls: list[set[str]] = []

    class Wrapped(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, **arguments: Any) -> Any:
            calls.append(set(arguments))
            masks, *others = self.inner(**arguments)
            return torch.ones_like(masks), *others

    features = network.encode([picture(50, 50).pixels])
    network.model.sam_mask_decoder = Wrapped(network.model.sam_mask_decoder)
    logits, _ = network.decode(features, torch.zeros(2, dtype=torch.int64), torch.rand(2, 2), True)
    assert (logits == 1).all()
    assert calls == [
        {
            "image_embeddings",
            "image_pe",
            "sparse_prompt_embeddings",
            "dense_prompt_embeddings",
            "multimask_output",
            "repeat_image",
            "high_res_features",
        }
    ]


def test_encoder_takes_halves_where_memory_is_short(network: Sam2Network) -> None:
    images = [picture(40, 40, seed).pixels for seed in range(3)]
    wanted = network.encode(images)

    class Small:
        """A model with memory for two images."""

        def __getattr__(self, name: str) -> Any:
            return getattr(network.model, name)

        def forward_image(self, batch: torch.Tensor) -> Any:
            if len(batch) > most:
                raise torch.OutOfMemoryError
            return network.model.forward_image(batch)

    most = 2
    halved = Sam2Network(Small()).encode(images)
    torch.testing.assert_close(halved.image_embed, wanted.image_embed, rtol=0, atol=1e-5)
    assert [level.shape for level in halved.high_res_feats] == [x.shape for x in wanted.high_res_feats]
    most = 0
    with pytest.raises(UserError, match="not enough memory on cpu to encode one image"):
        Sam2Network(Small()).encode(images)


@pytest.mark.gpu
def test_preprocessing_on_a_gpu_is_the_same_but_for_rounding() -> None:
    pixels = picture(1500, 1300).pixels
    there = preprocess(pixels, 256, torch.device("cuda"))
    torch.testing.assert_close(there.cpu(), preprocess(pixels, 256), rtol=0, atol=1e-5)
