"""MA-CLIP on a tiny CLIP with a ResNet, beside a second computation from its description."""

from __future__ import annotations

import logging
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch.nn import functional  # noqa: E402

from tests.hub import COMMIT, Hub, in_cache, serve, use  # noqa: E402
from tests.tiny import openai_clip  # noqa: E402
from zeroiqa.baselines.clip.ma_clip import TEXTS, ma_clip_value  # noqa: E402
from zeroiqa.baselines.clip.openai_files import CONVERT, WEIGHTS  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.raters import build_rater  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402
from zeroiqa.types import View  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
REPO = "somebody/rn50"
SIZES = ((224, 224), (230, 500), (736, 610), (400, 352))  # 1, 3, 20 and 4 squares


@pytest.fixture(scope="module")
def clip() -> openai_clip.Clip:
    return openai_clip.model()


@pytest.fixture(scope="module")
def file(clip: openai_clip.Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return openai_clip.build(tmp_path_factory.mktemp("hub") / REPO / WEIGHTS, clip)


@pytest.fixture(scope="module")
def program(clip: openai_clip.Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights in a program of TorchScript, as OpenAI's file."""
    path = tmp_path_factory.mktemp("program") / "RN50.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(clip, torch.zeros(1, 3, 224, 224)).save(str(path))
    return path


def picture(height: int, width: int, seed: int = 0) -> Any:
    """Waves of some colours and noise: squares of it differ."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 100
    waves = np.stack([np.sin(2 * x + y * y), np.cos(3 * y - x), np.sin(x * y)], axis=2)
    noise = random.normal(0, 0.1 + 0.4 * (x > 2)[..., None], waves.shape)
    return np.clip(128 + 90 * waves + 60 * noise, 0, 255).astype(np.uint8)


def values(weights: Path | str, pictures: Sequence[Any], options: ModelOptions = CPU) -> list[float | None]:
    views = [View(pixels, None, pixels.shape[:2]) for pixels in pictures]
    rows = build_rater(f"baseline:ma-clip:{weights}", options).rate(views, [load_standard("quality-word-7")])
    return [row[0].value for row in rows]


def described(
    clip: openai_clip.Clip,
    pixels: Any,
    *,
    positions: bool = False,
    late: bool = False,
    antialias: bool = False,
    whole: bool = True,
    ddof: int = 1,
) -> float:
    """MA-CLIP step by step; the options are mistakes that one could make."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    x = (torch.as_tensor(pixels).permute(2, 0, 1) / 255 - mean) / deviation
    squares = x.unfold(1, 224, 128).unfold(2, 224, 128).permute(1, 2, 0, 3, 4).reshape(-1, 3, 224, 224)
    last = functional.interpolate(x[None], (224, 224), mode="bilinear", antialias=antialias)
    feature = clip.visual(torch.cat([squares, last] if whole else [squares]), positions)
    texts = torch.stack([clip.text([49406, *ids, 49407]) for pair in TEXTS for ids in pair])
    cosines = functional.cosine_similarity(feature[:, None], texts[None], dim=2)
    c = (clip.logit_scale.exp() * cosines).unflatten(1, (5, 2)).softmax(2)[..., 0].mean(1)
    a = feature.abs()
    m = (((a / (a.std(1, correction=ddof, keepdim=True) + 1e-6) + 1) ** 0.5 - 1) / 0.5).mean(1)
    if late:
        c, m = c.mean(0, keepdim=True), m.mean(0, keepdim=True)
    weights = torch.stack([1.0 + (c - m), 0.6 - (c - m)]).softmax(0)
    return float((weights * torch.stack([c, m])).sum(0).mean())


def test_values_are_those_of_the_description(clip, file):
    pictures = [picture(*size, seed) for seed, size in enumerate(SIZES)]
    found = values(file, pictures)
    assert found == pytest.approx([described(clip, pixels) for pixels in pictures], abs=2e-6)
    assert max(found) - min(found) > 1e-3  # else the pictures were not looked at


@pytest.mark.parametrize(
    "mistake", [{"positions": True}, {"late": True}, {"antialias": True}, {"whole": False}, {"ddof": 0}]
)
def test_mistakes_would_be_seen(clip, file, mistake):
    pixels = picture(230, 500)
    assert abs(described(clip, pixels, **mistake) - values(file, [pixels])[0]) > 1e-4


def test_the_authors_resizing_of_some_databases_is_not_done(clip, file):
    pixels = picture(400, 700)
    squared = np.array(Image.fromarray(pixels).resize((448, 448), Image.Resampling.BICUBIC))
    assert values(file, [pixels]) == pytest.approx([described(clip, pixels)], abs=2e-6)
    assert abs(described(clip, squared) - described(clip, pixels)) > 1e-3


def test_a_picture_that_is_smaller_than_a_square_is_enlarged_first(clip, file):
    pixels = picture(150, 100)
    larger = functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), (336, 224), mode="bilinear"
    )[0].permute(1, 2, 0)
    assert values(file, [pixels]) == pytest.approx([described(clip, larger)], abs=2e-6)
    line = np.full((1, 30_000, 3), 99, np.uint8)  # of which 224 x 6.7 million pixels would become
    assert values(file, [line])[0] is not None


def test_a_batch_gives_what_its_views_give_alone_in_any_order(file):
    pictures = [picture(*size, seed) for seed, size in enumerate(SIZES[:2])]
    together = values(file, [*pictures, np.asfortranarray(pictures[0]), pictures[0][::-1, ::-1]])
    assert together[:2] == [values(file, [pixels])[0] for pixels in pictures]
    assert together[2] == together[0] != together[3]
    assert values(file, pictures[::-1]) == together[1::-1]


def test_the_magnitude_does_not_change_with_the_length_of_a_feature():
    random = np.random.default_rng(0)
    features, texts = random.normal(size=(4, 1024)), random.normal(size=(10, 1024)) / 32
    value = ma_clip_value(features, texts, 100.0)
    assert ma_clip_value(7 * features, texts, 100.0) == pytest.approx(value, abs=3e-6)  # but for the 1e-6
    assert ma_clip_value(features, 0 * texts, 100.0) != value
    assert np.isfinite(ma_clip_value(features, 1e6 * texts, 100.0))  # a softmax of any size


def test_an_id_names_the_content_of_the_weights_and_the_type(file, tmp_path):
    copy = copyfile(file, tmp_path / "renamed.safetensors")
    other = openai_clip.build(tmp_path / "other.safetensors", openai_clip.model(seed=1))
    ids = [build_rater(f"baseline:ma-clip:{path}").id for path in (file, file.parent, copy, other)]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert ids[0].startswith("baseline ma-clip 1 ") and ids[0].endswith(" float32")


def test_other_types_of_weights_are_not_for_clip_and_that_is_said(file, caplog):
    pixels = picture(224, 224)
    with caplog.at_level(logging.WARNING):
        found = values(file, [pixels], replace(CPU, dtype="bfloat16"))
    assert found == values(file, [pixels])
    assert "computes in float32" in caplog.text


# Files


def test_openais_program_is_read_where_that_is_allowed_or_after_the_conversion_that_is_advised(
    file, program, tmp_path
):
    wanted = values(file, [picture(224, 224)])
    assert values(program, [picture(224, 224)], replace(CPU, allow_pickle=True)) == wanted
    assert values(program.parent, [picture(224, 224)], replace(CPU, allow_pickle=True)) == wanted
    with pytest.raises(UserError, match=r"RN50.pt is a program .* or allow it with --allow-pickle") as caught:
        values(program, [picture(224, 224)])
    assert f'python -c "{CONVERT}"' in str(caught.value)
    copyfile(program, tmp_path / "RN50.pt")
    command = [sys.executable, *shlex.split(f'-W ignore -c "{CONVERT}"')]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert values(tmp_path / "RN50.safetensors", [picture(224, 224)]) == wanted


def test_pickled_tensors_are_read_where_that_is_allowed(clip, file, tmp_path):
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    found = values(tmp_path / "clip.pt", [picture(224, 224)], replace(CPU, allow_pickle=True))
    assert found == values(file, [picture(224, 224)])
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(UserError, match="list.pt cannot be loaded .it holds no list of tensors"):
        values(tmp_path / "list.pt", [picture(224, 224)], replace(CPU, allow_pickle=True))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"visual.layer2.0.bn3.running_var": None}, r"tensors missing: visual.layer2.0.bn3.running_var"),
        ({"visual.layer1.0.conv1.weight": None}, r"no CLIP with a ResNet .* lacks .*layer1.0.conv1.weight"),
        ({"visual.class_embedding": 3, "visual.layer1.0.conv1.weight": None}, "it has a vision transformer"),
        ({"visual.extra": 1}, "without a place in the model: visual.extra"),
        ({"token_embedding.weight": 7}, "no CLIP with a ResNet .*its tensors have other axes"),
        ({"visual.layer1.0.conv1.weight": ()}, "no CLIP with a ResNet .*its tensors have other axes"),
        ({"ln_final.bias": 7}, "of another shape: ln_final.bias"),
        ({"positional_embedding": (5, 128)}, "49,408 tokens and texts of 5; OpenAI's models have multiples"),
        ({"token_embedding.weight": (90, 128)}, "90 tokens and texts of 9; OpenAI's models"),
    ],
)
def test_tensors_of_another_model_are_refused(file, tmp_path, change, sentence):
    tensors = load_file(file)
    for name, shape in change.items():
        tensors.pop(name, None)
        if shape is not None:
            tensors[name] = torch.zeros(shape)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=sentence):
        values(tmp_path / "other.safetensors", [picture(224, 224)])


def test_files_that_are_none_are_refused(file, tmp_path):
    damaged = tmp_path / "damaged" / "model.safetensors"
    damaged.parent.mkdir()
    damaged.write_bytes(file.read_bytes()[:10_000])
    for name, sentence in (
        (damaged, "cannot be loaded"),
        (tmp_path, "should hold one file of weights, found none"),
        (tmp_path / "nowhere", "There is no file and no folder .*nowhere; give a .safetensors file"),
    ):
        with pytest.raises(UserError, match=sentence):
            values(name, [picture(224, 224)])
    copyfile(damaged, damaged.with_name("second.safetensors"))
    with pytest.raises(UserError, match="found model.safetensors, second.safetensors; name the file itself"):
        values(damaged.parent, [picture(224, 224)])


# The hub


@pytest.fixture
def hub(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    copy = tmp_path / "hub" / REPO
    copy.mkdir(parents=True)
    copyfile(file, copy / WEIGHTS)
    (copy / "open_clip_config.json").write_text("{}")
    in_cache(tmp_path / "cache", monkeypatch)
    with serve(tmp_path / "hub") as hub:
        use(hub.endpoint, monkeypatch)
        yield hub


def test_a_repository_comes_from_the_hub_once_and_then_from_its_cache(hub, file, monkeypatch):
    rater = build_rater(f"baseline:ma-clip:{REPO}", CPU)
    assert rater.id == f"baseline ma-clip 1 {COMMIT[:16]} float32"
    assert hub.downloaded == ["open_clip_config.json"]  # the id of a run needs no weights
    wanted = values(file, [picture(224, 224)])
    assert values(REPO, [picture(224, 224)]) == wanted
    assert sorted(hub.downloaded) == ["open_clip_config.json", WEIGHTS]
    use("http://127.0.0.1:9", monkeypatch)
    assert values(REPO, [picture(224, 224)], replace(CPU, offline=True)) == wanted
    with pytest.raises(UserError, match=r"timm/resnet50_clip.openai is not in the cache.*--offline forbids"):
        _ = build_rater("baseline:ma-clip", replace(CPU, offline=True)).id


def test_a_repository_without_the_weights_is_refused(hub):
    (hub.root / REPO / WEIGHTS).unlink()
    with pytest.raises(UserError, match=f"The repository {REPO} has no {WEIGHTS}; name one"):
        values(REPO, [picture(224, 224)])
