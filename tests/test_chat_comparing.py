"""Two images in one prompt, and Q-Debias: each is encoded once, and the number is that of its formula."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from PIL import Image  # noqa: E402

import zeroiqa  # noqa: E402
from tests.test_comparison import FILE  # noqa: E402
from tests.test_tiny import picture  # noqa: E402
from tests.tiny import load_parts, mplug_owl3, odd  # noqa: E402
from zeroiqa.aggregate import Scale  # noqa: E402
from zeroiqa.chat.mplug_owl3.image_processing import MplugOwl3ImageProcessor  # noqa: E402
from zeroiqa.degradations import degraded_copies  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.raters import build_rater  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.standards import Standard, load_standard  # noqa: E402
from zeroiqa.types import Image as Photo  # noqa: E402
from zeroiqa.types import View  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
WORDS = ("Good", "Poor", "Yes", "No")
PROMPTS = {
    False: load_standard("q-debias").fill().user,
    True: load_standard("q-debias").fill(weight=True).user,
}
PHOTO = picture(3, 96, 128)  # cut 2 x 3
Q_DEBIAS, AS_RUN, MEAN = (load_standard(f"q-debias{name}") for name in ("", "-as-run", "-mean"))


def view(pixels: np.ndarray) -> View:
    return View(pixels, None, pixels.shape[:2])


class Owl(NamedTuple):
    """A tiny mPLUG-Owl3 that knows the words of Q-Debias."""

    folder: Path
    rater: ChatRater
    network: Any
    processor: Any


@pytest.fixture(scope="module")
def owls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Owl]:
    made: dict[str, Owl] = {}

    def owl(version: str) -> Owl:
        if version not in made:
            folder = mplug_owl3.write(
                version, tmp_path_factory.mktemp("owl") / version, [*WORDS, *PROMPTS.values()]
            )
            made[version] = Owl(folder, ChatRater(str(folder), CPU), *load_parts(folder))
        return made[version]

    return owl


@pytest.fixture(scope="module")
def qwen(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[ChatRater, Standard]:
    """A family of transformers, and a comparison by words that are single tokens to its tiny tokenizer."""
    path = tmp_path_factory.mktemp("standard") / "mine.toml"
    path.write_text(of_the_tiny_vocabulary(FILE))
    return ChatRater(str(tiny("qwen2_5_vl")), CPU), load_standard(path)


def of_the_tiny_vocabulary(text: str) -> str:
    for word, other in (("Poor", "Bad"), ("Yes", "Real"), ("No", "The")):
        text = text.replace(f'"{word}"', f'"{other}"')
    return text


# ---------------------------------------------------------------- the number


def markup(rows: int, columns: int) -> str:
    lines = [" ".join(f"subimg({i},{j})<|image|>" for j in range(columns)) for i in range(rows)]
    tiles = "\n".join(lines)
    return f"Cut to {rows} rows {columns} columns with a global view\n{tiles}\nglobal_view<|image|>"


def by_hand(owl: Owl, photo: np.ndarray, as_run: bool) -> tuple[float, float, list[float]]:
    """Q-Debias by the plain processor and network, one pass at a time: score, mean, answers."""
    cut = MplugOwl3ImageProcessor(mplug_owl3.SIDES["240728"])
    assert Q_DEBIAS.comparison is not None
    shares: dict[bool, list[float]] = {False: [], True: []}
    for copy in degraded_copies(photo, Q_DEBIAS.comparison.degradations):
        (one, grid), (two, _) = (cut(Image.fromarray(pixels)) for pixels in (copy, photo))
        assert grid is not None
        second = markup(1, 1) if as_run else markup(*grid)
        views = np.concatenate([one, two])[: 9 if as_run else 14]
        for weight, (yes, no) in {True: ("Yes", "No"), False: ("Good", "Poor")}.items():
            text = (
                "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n"
                f"{markup(*grid)}{second} {PROMPTS[weight]}<|im_end|>\n<|im_start|>assistant\n"
            )
            ids, starts = owl.processor.encode(text)
            assert len(starts) == len(views)
            seen = torch.zeros(1, len(ids), dtype=torch.long)
            seen[0, starts] = 1
            with torch.inference_mode():
                logits = owl.network(
                    input_ids=torch.tensor([ids]), pixel_values=torch.from_numpy(views), image_starts=seen
                ).logits[0, -1]
            first, other = (owl.processor.tokenizer.convert_tokens_to_ids(word) for word in (yes, no))
            shares[weight].append(float(logits[[first, other]].double().softmax(-1)[0]))
    u = np.exp(shares[True]) / np.exp(shares[True]).sum()
    return float(u @ shares[False]), float(np.mean(shares[False])), shares[False]


@pytest.mark.parametrize(("standard", "tolerance"), [(Q_DEBIAS, 1e-6), (AS_RUN, 1e-5), (MEAN, 1e-6)])
def test_the_score_is_that_of_the_plain_processor_and_network(
    standard: Standard, tolerance: float, owls: Callable[[str], Owl]
) -> None:
    owl = owls("240728")
    (rating,) = owl.rater.rate([view(PHOTO)], [standard])[0]
    weighted, mean, answers = by_hand(owl, PHOTO, standard is AS_RUN)
    assert rating is not None and rating.value is not None and rating.logprobs == ()
    assert rating.value == pytest.approx(mean if standard is MEAN else weighted, abs=tolerance)
    assert min(answers) < rating.value < max(answers) and 0 < rating.mass < 1
    assert abs(weighted - mean) > 1e-4  # the weights do something here


def test_the_preset_gives_the_number_and_its_scale(owls: Callable[[str], Owl]) -> None:
    method = zeroiqa.load_method("q-debias", raters=[f"hf:{owls('240728').folder}"], device="cpu")
    first, again, other = (
        zeroiqa.score(Photo(pixels, "photo"), method=method)
        for pixels in (PHOTO, PHOTO.copy(), PHOTO[:, ::-1])
    )
    assert first.score == pytest.approx(by_hand(owls("240728"), PHOTO, False)[0], abs=1e-6)
    assert first.score == again.score != other.score
    assert first.scale == Scale(0.0, 1.0)


def test_pictures_in_the_other_order_give_another_number(owls: Callable[[str], Owl]) -> None:
    copy = degraded_copies(PHOTO, MEAN.comparison.degradations)[0]  # type: ignore[union-attr]
    owl, text = owls("240728"), f"<|image|><|image|> {PROMPTS[False]}"
    found = []
    for images in ([copy, PHOTO], [PHOTO, copy]):
        with torch.inference_mode():
            inputs = owl.processor(text, images=[images])
            found.append(owl.network(**inputs).logits[0, -1])
    assert (found[0] - found[1]).abs().max() > 1e-4


def test_ratings_depend_on_nothing_else_of_their_call(owls: Callable[[str], Owl]) -> None:
    """A small view is enlarged for its copies, and not for the other standards."""
    rater, word = owls("240728").rater, load_standard("quality-word-7")
    views = [view(PHOTO), view(picture(1, 20, 40)), view(picture(2, 128, 60))]
    standards = [word, Q_DEBIAS, MEAN, AS_RUN]
    together = rater.rate(views, standards)
    for place, each in enumerate(views):
        for at, standard in enumerate(standards):
            (alone,) = rater.rate([each], [standard])[0]
            found = together[place][at]
            assert found is not None and alone is not None
            assert found.value == (None if alone.value is None else pytest.approx(alone.value, abs=1e-6))
            assert found.logprobs == pytest.approx(alone.logprobs, abs=1e-5)
            assert found.mass == pytest.approx(alone.mass, rel=1e-4)


# ---------------------------------------------------------------- what is computed


@contextmanager
def counted(engine: Any) -> Iterator[dict[str, list[int]]]:
    """Pictures of each call of the vision encoder, and rows of each pass."""
    calls: dict[str, list[int]] = {"encoded": [], "passes": []}
    model = engine.loaded.model
    base, features, forward = engine.forward._base, engine.forward._base.get_image_features, model.forward

    @wraps(features)
    def encode(*args: Any, **kwargs: Any) -> Any:
        calls["encoded"].append(len(kwargs["pixel_values"]))
        return features(*args, **kwargs)

    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        if "mm_encoder_outputs" in kwargs:
            calls["passes"].append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    base.get_image_features, model.forward = encode, run
    try:
        yield calls
    finally:
        base.get_image_features, model.forward = features, forward


@pytest.mark.parametrize(
    ("standard", "version", "encoded", "passes"),
    [
        (Q_DEBIAS, "240728", [7] * 5, 8),
        (Q_DEBIAS, "241101", [7] * 5, 8),
        (MEAN, "240728", [7] * 5, 4),
        (AS_RUN, "240728", [2, 7, 7, 7, 7], 8),
    ],
)
def test_each_picture_is_cut_and_encoded_once_for_all_passes(
    standard: Standard,
    version: str,
    encoded: Sequence[int],
    passes: int,
    owls: Callable[[str], Owl],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rater = owls(version).rater
    rater.describe(MEAN)  # tries the paths
    facts = rater.describe(standard)
    assert facts["paths"]["vision features"] and facts["paths"]["batch"] and facts["passes"] == passes
    cuts = []
    cut = MplugOwl3ImageProcessor.__call__
    monkeypatch.setattr(
        MplugOwl3ImageProcessor, "__call__", lambda *args, **more: cuts.append(1) or cut(*args, **more)
    )
    with counted(rater.model.engine) as calls:
        rater.rate([view(PHOTO)], [standard])
    assert sorted(calls["encoded"]) == sorted(encoded)
    assert calls["passes"] == [1] * passes
    assert len(cuts) == 5
    with counted(
        rater.model.engine
    ) as calls:  # comparisons of the same copies share them, views share passes
        rater.rate([view(PHOTO), view(PHOTO[::-1].copy())], [standard, MEAN])
    whole = 10 if standard is not AS_RUN else 12
    assert len(calls["encoded"]) == whole and calls["passes"] == [2] * (passes + 4)


def test_a_family_of_transformers_encodes_each_picture_once(qwen: tuple[ChatRater, Standard]) -> None:
    rater, standard = qwen
    facts = rater.describe(standard)
    assert facts["paths"]["vision features"] and facts["why"] == {}
    with counted(rater.model.engine) as calls:
        rater.rate([view(PHOTO)], [standard])
    assert len(calls["encoded"]) == 3 and len(set(calls["encoded"])) == 1
    assert calls["passes"] == [1] * 4


# ---------------------------------------------------------------- what is refused and said

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.content is string %}"
    "{{ message.content }}{% else %}{% for part in message.content %}{% if part.type == 'image' %}"
    "IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_SECOND = "loop.previtem is defined and loop.previtem.type == 'image'"
TEMPLATES = {
    "writes both": (_IMAGE, ""),
    "raises": (
        f"{{% if {_SECOND} %}}{{{{ raise_exception('one image, please') }}}}{{% endif %}}{_IMAGE}",
        "takes no two images in one prompt .*one image, please",
    ),
    "writes one": (f"{{% if not ({_SECOND}) %}}{_IMAGE}{{% endif %}}", "writes 1 placeholders for 2"),
    "writes three": (f"{{% if {_SECOND} %}}{_IMAGE}{{% endif %}}{_IMAGE}", "writes 3 placeholders for 2"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_takes_one_image_only_is_refused(
    name: str, qwen: tuple[ChatRater, Standard], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    image, said = TEMPLATES[name]
    folder = Path(shutil.copytree(tiny("qwen2_5_vl"), tmp_path / "model"))
    (folder / "chat_template.jinja").write_text(_TEMPLATE.replace("IMAGE", image, 1))
    rater = ChatRater(str(folder), CPU)
    if not said:
        assert rater.rate([view(PHOTO)], [qwen[1]])[0][0] is not None
        return
    assert rater.rate([view(PHOTO)], [load_standard("quality-word-7")])[0][0] is not None
    with pytest.raises(UserError, match=f"{said}.*choose another model, or a standard that shows one image"):
        rater.rate([view(PHOTO)], [qwen[1]])


def test_a_model_that_does_not_look_is_refused(qwen: tuple[ChatRater, Standard], tmp_path: Path) -> None:
    rater = ChatRater(str(odd.always_says(tmp_path / "model", "7")), CPU)
    with pytest.raises(UserError, match="takes no two images in one prompt .it does not look at the second"):
        rater.rate([view(PHOTO)], [qwen[1]])


def test_words_of_several_tokens_are_refused(qwen: tuple[ChatRater, Standard]) -> None:
    with pytest.raises(
        UserError, match=r"no single token for each of these words .*'Poor' \(2\), 'Good' \(1\)"
    ):
        qwen[0].rate([view(PHOTO)], [Q_DEBIAS])


def test_what_240728_is_sent_is_sent_to_no_other(
    owls: Callable[[str], Owl], qwen: tuple[ChatRater, Standard]
) -> None:
    for rater in (owls("241101").rater, qwen[0]):
        with pytest.raises(UserError, match="q-debias-as-run .*240728.*is another model; choose .*q-debias"):
            rater.rate([view(PHOTO)], [AS_RUN])


@pytest.mark.parametrize(
    "name",
    [
        "nss",
        "fake",
        "baseline:log-laplacian",
        "head:lmm4lmm:perception:folder",
        "openai:http://127.0.0.1:1/v1",
    ],
)
def test_whatever_looks_at_one_image_refuses_a_comparison(name: str) -> None:
    with pytest.raises(UserError, match="q-debias .*choose"):
        build_rater(name).check(Q_DEBIAS)


def test_paths_that_do_not_hold_for_two_images_are_said_once_and_left_out(
    tiny: Callable[[str], Path], qwen: tuple[ChatRater, Standard], caplog: pytest.LogCaptureFixture
) -> None:
    """LLaVA-OneVision cuts a picture only where it is alone in its prompt."""
    rater = ChatRater(str(tiny("llava_onevision")), CPU)
    with caplog.at_level(logging.WARNING, "zeroiqa.chat.pair_check"):
        facts = rater.describe(qwen[1])
        rater.describe(qwen[1])
    assert facts["paths"]["forward"] and not facts["paths"]["vision features"]
    assert "not made of those of each" in facts["why"]["vision features"]
    said = [record.getMessage() for record in caplog.records if record.name == "zeroiqa.chat.pair_check"]
    assert len(said) == 1 and "the fast path vision features" in said[0]
    (fast,) = rater.rate([view(PHOTO)], [qwen[1]])[0]
    slow = _by_generate(rater, qwen[1], PHOTO)
    assert fast is not None and fast.value == pytest.approx(slow, abs=1e-5)


def test_fast_paths_give_what_generate_gives(
    qwen: tuple[ChatRater, Standard], owls: Callable[[str], Owl]
) -> None:
    for rater, standard in (qwen, (owls("241101").rater, Q_DEBIAS)):
        (rating,) = rater.rate([view(PHOTO)], [standard])[0]
        assert rating is not None and rating.value == pytest.approx(
            _by_generate(rater, standard, PHOTO), abs=1e-5
        )


def _by_generate(rater: ChatRater, standard: Standard, photo: np.ndarray) -> float:
    """The score by the engine's reference, one pass at a time."""
    engine, comparison = rater.model.engine, standard.comparison
    assert comparison is not None
    shares: dict[bool, list[float]] = {False: [], True: []}
    for weight, words in {False: standard.levels[::-1], True: comparison.weight_words}.items():
        text = engine.template.text(standard.fill(weight=weight))
        ids = [engine.preprocessor.encode(text + word)[-1] for word in words]
        for copy in degraded_copies(photo, comparison.degradations):
            images = [Image.fromarray(copy), Image.fromarray(photo)]
            logits = engine.forward.reference(engine.preprocessor.prepare_several(images, text, photo))[0]
            shares[weight].append(float(logits[ids].softmax(-1)[0]))
    u = [math.exp(share) for share in shares[True]]
    return sum(a * b for a, b in zip(u, shares[False], strict=True)) / sum(u)
