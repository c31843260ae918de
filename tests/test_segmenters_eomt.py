"""EoMT: its regions are the panoptic segments that transformers makes of the same network's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.command import zeroiqa
from tests.hub import COMMIT, Hub, in_cache, serve, use
from tests.tiny.eomt import SIDE, build
from tests.tiny.sam2 import picture
from zeroiqa import rle
from zeroiqa.errors import ImageError, UserError
from zeroiqa.segmenters import build_segmenter, find_segmenter
from zeroiqa.segmenters import eomt as module
from zeroiqa.segmenters.eomt import EomtSegmenter
from zeroiqa.settings import load_settings
from zeroiqa.types import Image, Region
from zeroiqa.weights.options import ModelOptions

CPU = ModelOptions(device="cpu")
REPO = "somebody/eomt"
PERMISSIVE = {"threshold": 0.3, "overlap_mask_area_threshold": 0.1}
SIZES = [(120, 90), (50, 140), (SIDE, SIDE), (16, 300), (1, 90)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("hub") / REPO)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On DINOv3."""
    return build(tmp_path_factory.mktemp("tiny") / "dinov3", family="eomt_dinov3", seed=2)


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint's folder, to be changed."""
    return copytree(folder, tmp_path / "own")


def segmenter(folder: Path | str, *, options: ModelOptions = CPU, **rule: Any) -> EomtSegmenter:
    changes = "".join(f",{name}={value}" for name, value in PERMISSIVE.items())
    built = build_segmenter(f"eomt:{folder}{changes}", options=options, **{"min_area": 0.0, **rule})
    assert isinstance(built, EomtSegmenter)
    return built


def masks_of(regions: list[Region]) -> list[Any]:
    return [rle.decode(region.mask) for region in regions if region.mask is not None]


def by_transformers(folder: Path, pixels: Any, size: tuple[int, int]) -> list[Any]:
    """The segments of a size, for which all queries are brought to that size."""
    newer = folder.name == "dinov3"
    kind = (
        transformers.EomtDinov3ForUniversalSegmentation
        if newer
        else transformers.EomtForUniversalSegmentation
    )
    model = kind.from_pretrained(folder).eval()
    processor = transformers.EomtImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        answer = model(processor(images=PIL.Image.fromarray(pixels), return_tensors="pt").pixel_values)
        [found] = processor.post_process_panoptic_segmentation(answer, [size], **PERMISSIVE)
    labels = found["segmentation"].numpy()
    return [labels == segment["id"] for segment in found["segments_info"]]


# The regions


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", ["folder", "newer"])
def test_regions_are_the_panoptic_segments_of_transformers(which, size, request):
    folder, image = request.getfixturevalue(which), picture(*size)
    *objects, rest = segmenter(folder, masks=True).segment(image)
    wanted = by_transformers(folder, image.pixels, image.size)
    assert len(objects) == len(wanted) > 1
    for mask, other, region in zip(masks_of(objects), wanted, objects, strict=True):
        assert np.array_equal(mask, other)
        assert region.kind == "object" and region.area == other.mean()
    assert rest.kind == "complement"
    assert np.array_equal(masks_of([rest])[0], ~np.any(wanted, axis=0))
    assert np.sum(wanted, axis=0).max() == 1, "segments do not overlap"


def test_a_side_that_the_library_would_leave_too_long_is_brought_to_size(folder):
    """transformers' resizing leaves 40 x 97 alone: for 96 pixels the short side is 39.6, rounded 40."""
    image = picture(40, SIDE + 1)
    *objects, _ = segmenter(folder, masks=True).segment(image)
    smaller = PIL.Image.fromarray(image.pixels).resize((SIDE, 40), PIL.Image.Resampling.BILINEAR)
    wanted = by_transformers(folder, np.asarray(smaller), image.size)
    assert len(objects) == len(wanted) > 1
    for mask, other in zip(masks_of(objects), wanted, strict=True):
        assert (mask != other).mean() < 0.01  # Pillow rounds some values of the smaller image otherwise


def test_an_image_of_which_nothing_would_be_left_is_an_error_of_that_image(folder):
    image = Image(np.zeros((16, 4000, 3), np.uint8), "line.png")
    with pytest.raises(ImageError, match="line.png is 4000 x 16 pixels, of which nothing is left"):
        segmenter(folder).segment(image)


def test_a_batch_gives_what_single_images_give_every_time(folder):
    images = [picture(100, 140), picture(16, 300, 1), picture(90, 90, 2)]
    built = segmenter(folder, masks=True)
    together = built.segment_batch(images)
    assert together == [segmenter(folder, masks=True).segment(image) for image in images]
    assert together[0] != together[2]
    assert built.segment_batch([]) == []


def test_segments_of_a_large_image_are_made_on_a_smaller_raster(folder, monkeypatch):
    image = picture(400, 300)
    whole = segmenter(folder, masks=True).segment(image)
    monkeypatch.setattr(module, "_MOST_PIXELS", 100 * 75)
    found = segmenter(folder, masks=True).segment(image)
    assert {mask.shape for mask in masks_of(found)} == {(100, 75)}
    assert [region.area for region in found] == pytest.approx([each.area for each in whole], abs=0.02)
    assert max(region.box[2] for region in found) == 300 and max(region.box[3] for region in found) == 400


def test_the_rule_decides_which_segments_become_regions(folder):
    image = picture(120, 90)
    everything = segmenter(folder).segment(image)
    areas = sorted(region.area for region in everything if region.kind == "object")
    kept = segmenter(folder, min_area=areas[1], complement=False).segment(image)
    assert sorted(region.area for region in kept) == areas[1:]
    pixels = round(areas[3] * 120 * 90)
    kept = segmenter(folder, min_pixels=pixels, complement_rule="remainder").segment(image)
    assert sorted(region.area for region in kept[:-1]) == areas[3:]
    assert kept[-1].weight == pytest.approx(kept[-1].area), "without overlaps both rules are one"
    nothing = build_segmenter(f"eomt:{folder},threshold=1", options=CPU).segment(image)
    assert nothing == [Region((0, 0, 90, 120), 1.0, "complement")]


def test_lower_type_is_computed_by_autocast(folder):
    built = segmenter(folder, options=ModelOptions(device="cpu", dtype="bfloat16"))
    assert "dtype=bfloat16" in built.id
    assert len(built.segment(picture(60, 50))) > 1
    assert {each.dtype for each in built._model().network.parameters()} == {torch.float32}


def test_weights_are_loaded_with_the_first_image_and_let_go(folder):
    built = segmenter(folder)
    assert built.id and built.images_per_call == 1 and built._loaded is None
    first = built.segment(picture(60, 50))
    built.release()
    assert built._loaded is None
    assert built.segment(picture(60, 50)) == first


def test_id_changes_with_parameters_and_weights(folder, newer, tmp_path):
    names = [f"eomt:{folder}{change}" for change in ("", ",threshold=0.5", ",mask_threshold=0.4")]
    names += [f"eomt:{folder},overlap_mask_area_threshold=0.7", f"eomt:{newer}"]
    ids = [build_segmenter(name, options=CPU).id for name in names]
    ids += [
        build_segmenter(f"eomt:{folder}", options=CPU, **rule).id
        for rule in ({"min_area": 0.02}, {"complement": False}, {"masks": True}, {"min_pixels": 9})
    ]
    assert len(set(ids)) == len(ids)
    copy = copytree(folder, tmp_path / "renamed")
    assert build_segmenter(f"eomt:{copy},threshold=0.80,mask_threshold = 0.5", options=CPU).id == ids[0]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory on cpu for the masks of one image"),
        (RuntimeError("CUDA error: an assert"), "device cpu failed while eomt:.* was segmenting"),
    ],
)
def test_errors_of_the_device_are_sentences(folder, error, sentence):
    built = segmenter(folder)

    def fail(*_: Any) -> None:
        raise error

    built._model().network.upscale_block.register_forward_hook(fail)
    with pytest.raises(UserError, match=sentence):
        built.segment(picture(60, 50))


def test_one_odd_image_fails_its_batch_before_anything_is_loaded(folder):
    built = segmenter(folder)
    with pytest.raises(ImageError, match=r"RGB pixels, .* odd are uint8 of shape \(4, 5\)"):
        built.segment_batch([picture(60, 50), Image(np.zeros((4, 5), np.uint8), "odd")])
    assert built._loaded is None


# What is refused


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("", "write eomt:OWNER/NAME or eomt:FOLDER"),
        ("x,0.5", "'0.5' in eomt:x,0.5 is no KEY=VALUE"),
        ("x,treshold=0.5", "no parameter 'treshold' of eomt; did you mean threshold"),
        ("x,threshold=high", "threshold is a number from 0 to 1, not 'high'"),
        ("x,mask_threshold=2", "mask_threshold is a number from 0 to 1, not 2"),
        ("./nowhere", "There is no folder ./nowhere"),
    ],
)
def test_names_and_values_that_are_none_are_refused(argument, sentence):
    with pytest.raises(UserError, match=sentence):
        _ = build_segmenter(f"eomt:{argument}", options=CPU).id
    with pytest.raises(UserError, match="needs a model"):
        build_segmenter("eomt", options=CPU)


def test_a_granularity_is_not_for_it():
    assert find_segmenter("eomt:x").needs_weights and not find_segmenter("eomt:x").takes_granularity
    with pytest.raises(UserError, match="nothing for the segmenter eomt:x; leave one of the two out"):
        load_settings("embedded", {"granularity": "tiny", "segmenter": "eomt:x"})


def refusal(folder: Path | str, *, offline: bool = True) -> str:
    with pytest.raises(UserError) as caught:
        segmenter(folder, options=ModelOptions(device="cpu", offline=offline)).segment(picture(60, 50))
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def rewrite(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Replace tensors; None removes one. Dots are written as two underscores."""
    file = folder / "model.safetensors"
    content = load_file(file)
    for name, tensor in tensors.items():
        key = name.replace("__", ".")
        content.pop(key, None)
        if tensor is not None:
            content[key] = tensor
    save_file(content, file, {"format": "pt"})


@pytest.mark.parametrize("family", ["mask2former", "dinov3_vit", "sam2", "videomt"])
def test_other_models_are_refused(own, family):
    rewrite(own / "config.json", model_type=family)
    assert f"is a {family} model, not an EoMT" in refusal(own)


def test_a_model_for_semantic_segmentation_is_refused(own):
    rewrite(
        own / "preprocessor_config.json",
        do_split_image=True,
        do_pad=False,
        size={"shortest_edge": SIDE, "longest_edge": None},
    )
    assert "is an EoMT for semantic segmentation" in refusal(own)


def test_images_must_be_prepared_as_the_network_takes_them(own):
    file = own / "preprocessor_config.json"
    before = segmenter(own).segment(picture(60, 50))
    rewrite(file, do_pad=False)  # a square is what the network takes, whatever is configured
    assert segmenter(own).segment(picture(60, 50)) == before
    rewrite(file, size={"shortest_edge": 64, "longest_edge": 64})
    message = refusal(own)
    assert f"does not bring images to the {SIDE} x {SIDE} pixels" in message
    assert "(shortest and longest edge 64 and 64, do_resize True)" in message
    file.write_text("[")
    assert "image processor" in refusal(own)
    file.unlink()
    assert "holds no preprocessor_config.json" in refusal(own)


def test_a_network_in_the_middle_of_its_training_is_refused_for_it_is_random(own):
    change(own, attn_mask_probs=torch.tensor([0.0, 0.25]))
    assert "attn_mask_probs 0, 0.25), so that its segments are random" in refusal(own)
    change(own, attn_mask_probs=torch.ones(2))  # at its beginning: nothing is left to chance
    assert segmenter(own).segment(picture(60, 50)) == segmenter(own).segment(picture(60, 50))


def test_tensors_that_do_not_fit_are_listed_but_for_the_loss(own):
    change(own, criterion__empty_weight=None)
    segmenter(own).segment(picture(60, 50))
    change(own, attn_mask_probs=None, query__weight=torch.zeros(3, 32), extra=torch.zeros(1))
    message = refusal(own)
    assert "missing: attn_mask_probs" in message
    assert "of another shape: query.weight" in message
    assert "without a place in the model: extra" in message


def test_weights_that_are_no_safetensors_are_not_read(own):
    torch.save(load_file(own / "model.safetensors"), own / "pytorch_model.bin")
    (own / "model.safetensors").unlink()
    assert "holds no weights (*.safetensors)" in refusal(own)


def test_damaged_weights_and_configurations(own):
    file = own / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(own)
    rewrite(own / "config.json", hidden_size="wide")
    assert "cannot be loaded" in refusal(own)


def test_too_large_for_the_memory(folder, monkeypatch):
    import psutil

    class Full:
        total = available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Full)
    assert "GiB of memory on cpu" in refusal(folder)


# The hub and the command line


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    copytree(folder.parents[1], tmp_path / "hub")
    in_cache(tmp_path / "cache", monkeypatch)
    with serve(tmp_path / "hub") as hub:
        use(hub.endpoint, monkeypatch)
        yield hub


def test_a_repository_comes_from_the_hub_once(hub, folder, monkeypatch):
    image = picture(60, 50)
    built = segmenter(REPO)
    assert f"weights={COMMIT[:16]}" in built.id
    assert hub.downloaded == ["config.json"]  # the id of a run needs no weights
    wanted = segmenter(folder).segment(image)
    assert built.segment(image) == wanted
    assert sorted(hub.downloaded) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    use("http://127.0.0.1:9", monkeypatch)  # from here on nothing answers
    assert segmenter(REPO, options=ModelOptions(device="cpu", offline=True)).segment(image) == wanted


def test_what_the_hub_lacks_and_what_is_not_here_is_said(hub, tmp_path, monkeypatch):
    (hub.root / REPO / "model.safetensors").unlink()
    assert f"The repository {REPO} holds no model.safetensors" in refusal(REPO, offline=False)
    message = refusal("somebody/other")
    assert "config.json of somebody/other is not in the cache" in message and "--offline forbids" in message
    assert "hf download somebody/other" in message and "`--segmenter eomt:DIR`" in message


def test_the_command_segment_shows_its_regions(folder, tmp_path):
    PIL.Image.fromarray(picture(120, 90).pixels).save(tmp_path / "photo.png")
    name = f"eomt:{folder},threshold=0.3,overlap_mask_area_threshold=0.1"
    done = zeroiqa(tmp_path, "segment", "photo.png", "-o", "out", "--segmenter", name, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out" / "coco.json").read_text())
    regions = segmenter(folder, min_area=0.01).segment(picture(120, 90))
    assert len(written["annotations"]) == len(regions) > 2
    assert (tmp_path / "out" / "overlays" / "00000-photo.jpg").is_file()
