"""CLIP-IQA, CLIPScore and PickScore on tiny checkpoints of the real architecture."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from PIL import Image  # noqa: E402

from tests.hub import serve  # noqa: E402
from tests.tiny import clip, odd  # noqa: E402
from zeroiqa.baselines.clip.model import middle_of  # noqa: E402
from zeroiqa.baselines.clip.scores import (  # noqa: E402
    clip_iqa_value,
    clipscore_value,
    pickscore_value,
)
from zeroiqa.errors import ImageError, UserError  # noqa: E402
from zeroiqa.raters import build_rater  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402
from zeroiqa.types import View  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
SCALE = 50.0
PROMPTS = ("a red cat", "many people and a house with good dogs", "bad")
SIZES = ((40, 60), (90, 33), (32, 32), (20, 160), (64, 48), (7, 5))
ASPECT = {"clip-iqa": "quality", "clipscore": "correspondence", "pickscore": "correspondence"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip.build(tmp_path_factory.mktemp("clip") / "model", scale=SCALE)


@pytest.fixture(scope="module")
def views() -> list[View]:
    random = np.random.default_rng(0)
    return [
        View(random.integers(0, 256, (*size, 3)).astype(np.uint8), None, size, PROMPTS[place % len(PROMPTS)])
        for place, size in enumerate(SIZES)
    ]


def values(name: str, folder: Path | str, views: Sequence[View], options: ModelOptions = CPU) -> list[float]:
    standard = load_standard(f"{ASPECT[name]}-word-7")
    rows = build_rater(f"baseline:{name}:{folder}", options).rate(views, [standard])
    return [row[0].value for row in rows]


def logits(folder: Path, view: View, texts: Sequence[str]) -> list[float]:
    """What transformers' own model says of an image and some texts: the cosines times the scale."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    processor = transformers.CLIPProcessor.from_pretrained(folder)
    inputs = processor(
        text=list(texts), images=Image.fromarray(view.pixels), padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        return model(**inputs).logits_per_image[0].double().tolist()


def test_clip_iqa_is_the_softmax_of_the_models_own_logits_for_the_pair(folder, views):
    expected = [
        torch.tensor(logits(folder, view, ["Good photo.", "Bad photo."])).softmax(0)[0] for view in views
    ]
    found = values("clip-iqa", folder, views)
    assert found == pytest.approx([float(share) for share in expected], abs=1e-5)
    assert max(found) - min(found) > 0.05  # else the images were not looked at


def test_clipscore_is_two_and_a_half_times_the_cosine_with_the_prefixed_prompt(folder, views):
    cosines = [logits(folder, view, [f"A photo depicts {view.prompt}"])[0] / SCALE for view in views]
    found = values("clipscore", folder, views)
    assert found == pytest.approx([2.5 * max(cosine, 0) for cosine in cosines], abs=1e-6)
    assert any(value > 0 for value in found) and any(value == 0 for value in found)


def test_pickscore_is_the_models_own_logit_for_the_prompt(folder, views):
    expected = [logits(folder, view, [view.prompt])[0] for view in views]
    assert values("pickscore", folder, views) == pytest.approx(expected, abs=1e-4)


def test_features_are_those_of_the_models_parts(folder, views):
    """A second way to the cosine: towers and projections one by one, pixels prepared by hand."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPProcessor.from_pretrained(folder).tokenizer
    view = replace(views[2], prompt="a cat")  # of the size that the model sees, so nothing is resized
    assert view.pixels.shape[:2] == (clip.SIDE, clip.SIDE)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    pixels = ((torch.from_numpy(view.pixels) / 255 - mean) / deviation).permute(2, 0, 1)[None]
    with torch.no_grad():
        image = model.visual_projection(model.vision_model(pixels).pooler_output)[0]
        tokens = torch.tensor([tokenizer("a cat")["input_ids"]])
        hidden = model.text_model(tokens).last_hidden_state[0, -1]  # at the end token
        text = model.text_projection(hidden)
    cosine = torch.nn.functional.cosine_similarity(image, text, dim=0)
    assert values("pickscore", folder, [view]) == pytest.approx([SCALE * float(cosine)], abs=1e-4)


@pytest.mark.parametrize("name", ASPECT)
def test_a_batch_gives_what_its_views_give_alone_in_any_order(name, folder, views):
    together = values(name, folder, views)
    assert together == [values(name, folder, [view])[0] for view in views]
    assert together[::-1] == values(name, folder, views[::-1])


def test_formulas_keep_to_their_ranges():
    assert clip_iqa_value((0.2, 0.2), 100) == 0.5
    assert clip_iqa_value((1, -1), 100) == pytest.approx(1)
    assert 0 <= clip_iqa_value((-1, 1), 1e4) < 1e-300
    assert clip_iqa_value((0.21, 0.2), 100) == pytest.approx(1 / (1 + np.exp(-1)))
    assert (clipscore_value(-1), clipscore_value(1)) == (0, 2.5)
    assert pickscore_value(-0.5, 100) == -50


@pytest.mark.parametrize("name", ["clipscore", "pickscore"])
@pytest.mark.parametrize("prompt", [None, " \n"])
def test_an_image_without_a_prompt_is_an_error_of_that_image(name, prompt, folder, views):
    with pytest.raises(ImageError, match=r"Score compares the image with its text prompt, but .* none; give"):
        values(name, folder, [replace(views[0], prompt=prompt)])


def test_a_prompt_that_is_too_long_is_cut_and_that_is_said(folder, views, caplog):
    words = ["cat"] * (clip.TOKENS - 2)  # beside the tokens of start and end
    fitting, longer = (replace(views[0], prompt=" ".join(prompt)) for prompt in (words, [*words, "house"]))
    with caplog.at_level(logging.WARNING):
        exact = values("pickscore", folder, [fitting])
        assert not caplog.records
        assert values("pickscore", folder, [longer]) == exact
    assert f"reads the first {clip.TOKENS} tokens of a prompt" in caplog.text


def test_other_types_of_weights_are_not_for_clip_and_that_is_said(folder, views, caplog):
    with caplog.at_level(logging.WARNING):
        found = values("clip-iqa", folder, views[:1], replace(CPU, dtype="bfloat16"))
    assert found == values("clip-iqa", folder, views[:1])
    assert "computes in float32" in caplog.text


def test_a_very_long_view_is_cut_to_its_middle_before_it_is_enlarged(folder):
    line = np.arange(3 * 20_001, dtype=np.uint32).reshape(1, 20_001, 3).astype(np.uint8)
    assert middle_of(line).shape == (1, 9, 3)
    assert middle_of(line.swapaxes(0, 1)).shape == (9, 1, 3)
    assert (middle_of(line)[0, 4] == line[0, 10_000]).all()
    assert len(values("clip-iqa", folder, [View(line, None, line.shape[:2])])) == 1


def test_an_id_names_baseline_version_weights_and_type(folder, tmp_path):
    other = clip.build(tmp_path / "other", seed=1, scale=SCALE)
    ids = [build_rater(f"baseline:clip-iqa:{place}").id for place in (folder, other)]
    assert ids[0] != ids[1]
    assert ids[0].split()[:3] == ["baseline", "clip-iqa", "1"]
    assert ids[0].endswith(" float32")


def test_checkpoints_of_old_versions_of_transformers_are_read(folder, views, tmp_path):
    old = clip.with_buffers(clip.build(tmp_path / "old", scale=SCALE))
    assert values("pickscore", old, views) == pytest.approx(values("pickscore", folder, views), abs=1e-4)


def test_a_checkpoint_that_lacks_a_tensor_is_refused(views, tmp_path):
    broken = clip.build(tmp_path / "broken")
    odd._edit_weights(broken, lambda tensors: tensors.pop("visual_projection.weight"))
    with pytest.raises(UserError, match=r"tensors missing: visual_projection.weight"):
        values("clip-iqa", broken, views)


def test_pickled_weights_are_not_read(views, tmp_path):
    pickled = clip.build(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(UserError, match="holds no model.safetensors; pickled weights are not read"):
        values("clip-iqa", pickled, views, replace(CPU, allow_pickle=True))


def test_another_architecture_is_refused_by_its_configuration(tiny):
    with pytest.raises(UserError, match="needs a CLIP of transformers, but .* is a qwen2_5_vl model"):
        assert build_rater(f"baseline:clipscore:{tiny('qwen2_5_vl')}").id


def test_a_folder_without_a_processor_is_refused(views, tmp_path):
    bare = clip.without_processor(clip.build(tmp_path / "bare"))
    with pytest.raises(UserError, match=r"preprocessor_config.json and tokenizer.json are missing; copy"):
        values("clip-iqa", bare, views)


def test_a_name_that_is_nothing_is_refused():
    with pytest.raises(UserError, match="There is no folder ./nowhere"):
        assert build_rater("baseline:clip-iqa:./nowhere").id


SCRIPT = """
import json, sys
import numpy as np
from zeroiqa.errors import UserError
from zeroiqa.weights.options import ModelOptions
from zeroiqa.raters import build_rater
from zeroiqa.standards import load_standard
from zeroiqa.types import View

standards = [load_standard("correspondence-word-7")]
for name in sys.argv[2:]:
    rater = build_rater(name, ModelOptions(device="cpu", offline=sys.argv[1] == "offline"))
    view = View(np.load("pixels.npy"), None, (40, 60), "a red cat")
    try:
        print(json.dumps([rater.id, rater.rate([view], standards)[0][0].value]))
    except UserError as error:
        print(json.dumps(["", str(error)]))
"""


def rated_apart(folder: Path, endpoint: str, *arguments: str) -> list[tuple[str, float | str]]:
    """Id and value of each rater in a process of its own, where the address of the hub is read once."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {"PYTHONPATH": path, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_weights_and_processors_come_from_the_hub_once_and_then_from_its_cache(folder, views, tmp_path):
    hub_folder, laion = tmp_path / "hub", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
    clip.without_processor(clip.build(hub_folder / "yuvalkirstain" / "PickScore_v1", scale=SCALE))
    clip.build(hub_folder / laion, seed=1)
    clip.build(hub_folder / "some" / "clip", scale=SCALE)
    pickled = clip.build(hub_folder / "some" / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    np.save(tmp_path / "pixels.npy", views[0].pixels)
    names = ["baseline:pickscore", "baseline:clipscore:some/clip"]
    with serve(hub_folder) as hub:
        online = rated_apart(tmp_path, hub.endpoint, "online", *names, "baseline:clipscore:some/pickled")
        downloaded = list(hub.downloaded)
    offline = rated_apart(tmp_path, "http://127.0.0.1:9", "offline", *names, "baseline:clipscore:some/other")

    view = replace(views[0], prompt="a red cat")
    beside = [values(name, folder, [view])[0] for name in ("pickscore", "clipscore")]
    assert [value for _, value in online[:2]] == pytest.approx(beside, abs=1e-5)
    assert offline[:2] == online[:2]
    assert downloaded.count("model.safetensors") == 2  # none of the repository that gives a processor
    assert online[0][0].endswith(f"processor {laion} float32")
    assert online[2][1].startswith(
        "The repository some/pickled has no model.safetensors, which CLIPScore needs"
    )
    assert "some/other of CLIPScore is not on this machine: config.json is missing" in offline[2][1]
    assert "--offline forbids to download it" in offline[2][1]
    assert offline[2][1].endswith("name it: baseline:clipscore:FOLDER.")
