"""What mPLUG-Owl3 is given: grids, views, texts and the places of pictures in them.

The tokenizer here has a small vocabulary, but Qwen2's rules, and the words of these prompts are single tokens
to it as they are to the real one; lengths and places are therefore the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from tests.test_tiny import picture  # noqa: E402
from tests.tiny import mplug_owl3  # noqa: E402
from zeroiqa.chat.mplug_owl3 import MplugOwl3ImageProcessor, MplugOwl3Processor  # noqa: E402
from zeroiqa.chat.mplug_owl3.configuration import VERSIONS  # noqa: E402
from zeroiqa.chat.mplug_owl3.image_processing import TileGrid  # noqa: E402
from zeroiqa.chat.mplug_owl3.processing import IMAGE, check_tokenizer, cut_markup  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402

SIDES = {"240728": 384, "241101": 378}
ASK = [{"role": "user", "content": f"{IMAGE}\nDescribe this image."}]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return mplug_owl3.make_tokenizer()


@pytest.fixture(scope="module")
def processors(tokenizer: Any) -> dict[str, MplugOwl3Processor]:
    """With views of a single patch, as their pixels are looked at elsewhere; grids hardly depend on it."""
    return {
        version: MplugOwl3Processor(tokenizer, MplugOwl3ImageProcessor(14), version) for version in VERSIONS
    }


def blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height))


def starts(inputs: Any) -> list[int]:
    assert len(inputs["image_starts"]) == 1
    return inputs["image_starts"][0].nonzero()[:, 0].tolist()


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("side", SIDES.values())
@pytest.mark.parametrize(
    ("sizes", "grid"),
    [
        ([(500, 500), (1024, 1024), (32, 32), (1, 1)], (2, 2)),
        ([(640, 480), (512, 384), (1024, 768), (1920, 1080)], (2, 3)),
        ([(480, 640), (768, 1024)], (3, 2)),
        ([(1200, 300), (500, 1)], (1, 4)),
        ([(300, 1200), (1, 500)], (4, 1)),
        ([(100, 300), (600, 2000)], (3, 1)),
        ([(300, 100), (2000, 600)], (1, 3)),
    ],
    ids=str,
)
def test_the_grid_is_the_one_of_the_picture_s_shape(
    sizes: Sequence[tuple[int, int]], grid: tuple[int, int], side: int
) -> None:
    processor = MplugOwl3ImageProcessor(side)
    assert {processor.choose_grid(*size) for size in sizes} == {grid}


def test_grids_change_where_the_shapes_are_alike() -> None:
    """At a width of 1000, in float32 and with whole pixels, as by the authors."""
    processor = MplugOwl3ImageProcessor(378)
    grids = [processor.choose_grid(1000, height) for height in range(2, 5000)]
    changes = [height for height in range(3, 5000) if grids[height - 2] != grids[height - 3]]

    assert changes == [290, 473, 818, 1224, 2126, 3466]
    assert [grids[0]] + [grids[change - 2] for change in changes] == [
        (1, 4), (1, 3), (2, 3), (2, 2), (3, 2), (3, 1), (4, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [(1970, 928), (400, 847)])
def test_the_two_sides_disagree_on_the_border_only(size: tuple[int, int]) -> None:
    small, large = (MplugOwl3ImageProcessor(side).choose_grid(*size) for side in (378, 384))
    assert small != large


# ---------------------------------------------------------------- views


@pytest.mark.parametrize("side", SIDES.values())
def test_views_are_the_tiles_row_by_row_and_then_the_whole(side: int) -> None:
    image = Image.fromarray(picture(3, 768, 1024))
    views, grid = MplugOwl3ImageProcessor(side)(image)

    assert grid == (2, 3) and views.shape == (7, 3, side, side) and views.dtype == np.float32
    large = np.asarray(image.resize((3 * side, 2 * side), Image.Resampling.BICUBIC), dtype=np.float64)
    for place in range(6):
        row, column = divmod(place, 3)
        tile = large[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert np.abs(views[place].transpose(1, 2, 0) - (tile / 127.5 - 1)).max() < 1e-6
    whole = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
    assert np.abs(views[6].transpose(1, 2, 0) - (whole / 127.5 - 1)).max() < 1e-6
    assert -1 <= views.min() < -0.9 and 0.9 < views.max() <= 1


def test_without_cutting_the_whole_alone_is_left() -> None:
    image = Image.fromarray(picture(3, 300, 500))
    cut, _ = MplugOwl3ImageProcessor(378)(image)
    plain, grid = MplugOwl3ImageProcessor(378, cut=False)(image)
    asked, _ = MplugOwl3ImageProcessor(378)(image, cut=False)

    assert grid is None and plain.shape == (1, 3, 378, 378)
    assert (plain[0] == cut[-1]).all() and (asked == plain).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_pictures_of_any_mode_and_arrays_are_read(mode: str) -> None:
    processor, image = MplugOwl3ImageProcessor(56), Image.fromarray(picture(1)).convert(mode)
    views, _ = processor(image)

    assert (views == processor(np.asarray(image.convert("RGB")))[0]).all()


# ---------------------------------------------------------------- texts


def test_markup_of_a_cut_picture() -> None:
    assert cut_markup("240728", TileGrid(2, 2)) == (
        "Cut to 2 rows 2 columns with a global view\n"
        "subimg(0,0)<|image|> subimg(0,1)<|image|>\n"
        "subimg(1,0)<|image|> subimg(1,1)<|image|>\n"
        "global_view<|image|>"
    )
    assert cut_markup("241101", TileGrid(2, 3)) == (
        "<|start_cut|>2*3\n<|image|> <|image|> <|image|>\n<|image|> <|image|> <|image|>\n<|image|><|end_cut|>"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_one_placeholder_for_each_view(
    version: str, processors: dict[str, MplugOwl3Processor]
) -> None:
    for size, views in (((1024, 768), 7), ((500, 500), 5), ((1200, 300), 5), ((100, 300), 4)):
        inputs = processors[version](IMAGE, images=[blank(*size)])
        assert len(starts(inputs)) == len(inputs["pixel_values"]) == views


def test_the_chat_frame_is_chatml_with_an_empty_system_turn(
    processors: dict[str, MplugOwl3Processor],
) -> None:
    render = processors["241101"].apply_chat_template
    frame = "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|image|>\nDescribe this image.<|im_end|>"
    parts = [{"type": "image"}, {"type": "text", "text": "\nDescribe this image."}]
    answer = {"role": "assistant", "content": "The quality of the image is very"}

    assert render(ASK) == frame
    assert render(ASK, add_generation_prompt=True) == f"{frame}\n<|im_start|>assistant\n"
    assert render([{"role": "user", "content": parts}]) == frame
    begun = render([*ASK, answer], continue_final_message=True)
    assert begun == f"{frame}\n<|im_start|>assistant\nThe quality of the image is very"
    assert render([*ASK, answer]) == f"{begun}<|im_end|>"
    system = {"role": "system", "content": [{"type": "text", "text": "Be exact."}]}
    assert render([system, *ASK]) == frame.replace("system\n", "system\nBe exact.")


def test_a_placeholder_is_five_tokens_and_texts_are_tokenised_piece_by_piece(
    processors: dict[str, MplugOwl3Processor],
) -> None:
    processor = processors["241101"]
    encode = processor.tokenizer.tokenize
    assert encode(IMAGE) == ["<", "|", "image", "|", ">"]
    assert encode("|> <|") == ["|", ">", "Ġ<|"] and encode("|>\n") == ["|", ">Ċ"]

    text = processor.apply_chat_template(ASK, add_generation_prompt=True)
    text = text.replace(IMAGE, cut_markup("241101", TileGrid(2, 2)))
    ids, places = processor.encode(text)
    whole = processor.tokenizer(text)["input_ids"]
    assert len(ids) == 62 and len(whole) == 55
    for place in places:
        assert processor.tokenizer.decode(ids[place : place + 5]) == IMAGE
    assert processor.tokenizer.decode(ids) == processor.tokenizer.decode(whole) == text


@pytest.mark.parametrize(
    ("version", "length", "places"),
    [("240728", 88, [28, 40, 53, 65, 73]), ("241101", 62, [18, 24, 30, 36, 42])],
)
def test_length_and_places_of_a_short_prompt(
    version: str, length: int, places: list[int], processors: dict[str, MplugOwl3Processor]
) -> None:
    text = processors[version].apply_chat_template(ASK, add_generation_prompt=True)
    inputs = processors[version](text, images=[blank(500, 500)])

    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (1, length)
    assert starts(inputs) == places


def test_places_without_cutting_in_several_images_and_in_a_video(
    processors: dict[str, MplugOwl3Processor],
) -> None:
    processor = processors["241101"]

    def ask(content: str) -> str:
        return processor.apply_chat_template([{"role": "user", "content": content}])

    two = processor(ask(f"{IMAGE} and this image {IMAGE}"), images=[[blank(500, 500), blank(640, 480)]])
    assert starts(two) == [18, 24, 30, 36, 42, 65, 71, 77, 83, 89, 95, 101]
    assert len(two["pixel_values"]) == 12
    assert starts(processor(ask(IMAGE), images=[blank(500, 500)], cut=False)) == [8]
    frames = [blank(500, 500)] * 3
    for videos in ([frames], [[frames]]):
        video = processor(ask("<|video|>"), videos=videos)
        assert starts(video) == [15, 20, 25] and len(video["pixel_values"]) == 3
        assert "<|start_video_frame|>" + 3 * IMAGE + "<|end_video_frame|>" in processor.tokenizer.decode(
            video["input_ids"][0]
        )


def test_images_and_videos_of_one_text_keep_its_order(processors: dict[str, MplugOwl3Processor]) -> None:
    white, grey = Image.new("L", (500, 500), 255), Image.new("L", (500, 500), 127)
    views = processors["241101"](
        f"<|video|>{IMAGE}<|video|>", images=[white], videos=[[blank(9, 9)], [grey]]
    )["pixel_values"]
    assert views.mean((1, 2, 3)).round().tolist() == [-1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(("size", "views"), [((300, 100), 4), ((500, 500), 5), ((640, 480), 7)])
def test_lengths_of_the_prompts_of_sep_iqa_and_llm_iqa(
    size: tuple[int, int], views: int, processors: dict[str, MplugOwl3Processor]
) -> None:
    processor, sep, word = (
        processors["241101"],
        load_standard("sep-iqa").fill(),
        load_standard("quality-word-7").fill(),
    )
    answer = {"role": "assistant", "content": sep.answer}
    begun = processor.apply_chat_template(
        [{"role": "user", "content": IMAGE + sep.after_image + sep.user}, answer], continue_final_message=True
    )
    turns = [{"role": "system", "content": word.system}, {"role": "user", "content": f"{IMAGE}\n{word.user}"}]
    asked = processor.apply_chat_template(turns, add_generation_prompt=True)
    image = blank(*size)

    preface = processor(begun, images=[image])
    assert preface["input_ids"].shape[1] == 58 + 6 * views and starts(preface)[0] == 18
    assert processor.tokenizer.decode(preface["input_ids"][0, -1]) == " very"
    assert processor(begun, images=[image], cut=False)["input_ids"].shape[1] == 48
    levels = processor(asked, images=[image])
    assert levels["input_ids"].shape[1] == 137 + 6 * views and starts(levels)[0] == 96
    plain = processor(asked, images=[image], cut=False)
    assert plain["input_ids"].shape[1] == 128 and starts(plain) == [86]


def test_the_prompt_of_sep_iqa_in_full(processors: dict[str, MplugOwl3Processor]) -> None:
    processor, standard = processors["241101"], load_standard("sep-iqa").fill()
    answer = {"role": "assistant", "content": standard.answer}
    text = processor.apply_chat_template(
        [{"role": "user", "content": IMAGE + standard.user}, answer], continue_final_message=True
    )
    inputs = processor(text, images=[blank(500, 500)])

    assert processor.tokenizer.decode(inputs["input_ids"][0]) == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|start_cut|>2*2\n<|image|> <|image|>\n<|image|> "
        f"<|image|>\n<|image|><|end_cut|>{standard.user}<|im_end|>\n<|im_start|>assistant\n"
        "The quality of the image is very"
    )
    assert standard.user.startswith("Taking into account") and standard.user.endswith(
        "quality of this image?"
    )


# ---------------------------------------------------------------- batches and refusals


@pytest.mark.parametrize("version", VERSIONS)
def test_a_batch_is_padded_on_the_left_and_holds_its_rows(
    version: str, processors: dict[str, MplugOwl3Processor]
) -> None:
    processor = processors[version]
    texts = [f"{IMAGE} good", "system", f"user {IMAGE} {IMAGE}"]
    images = [[blank(500, 500)], [], [blank(300, 100), blank(10, 900)]]
    batch = processor(texts, images=images, padding=True, return_tensors="pt")
    used = 0
    for row, (text, own) in enumerate(zip(texts, images, strict=True)):
        alone = processor([text], images=[own])
        length = alone["input_ids"].shape[1]
        for name in ("input_ids", "attention_mask", "image_starts"):
            assert torch.equal(batch[name][row, -length:], alone[name][0])
        assert (
            not batch["attention_mask"][row, :-length].any()
            and not batch["image_starts"][row, :-length].any()
        )
        assert (batch["input_ids"][row, :-length] == processor.tokenizer.pad_token_id).all()
        used += len(alone.get("pixel_values", []))
    assert len(batch["pixel_values"]) == used == 5 + 4 + 5


def test_a_text_without_pictures_has_no_pixels(processors: dict[str, MplugOwl3Processor]) -> None:
    inputs = processors["241101"]("Describe this image.")
    assert "pixel_values" not in inputs and not inputs["image_starts"].any()


def test_pictures_must_be_as_many_as_placeholders(processors: dict[str, MplugOwl3Processor]) -> None:
    for images in (None, [], [blank(9, 9)] * 2):
        with pytest.raises(ValueError, match=r"holds 1 times <\|image\|> and 0 times .* but comes with"):
            processors["240728"](f"{IMAGE} good", images=images)


def test_the_older_version_has_no_videos(processors: dict[str, MplugOwl3Processor]) -> None:
    with pytest.raises(ValueError, match="no markup for videos"):
        processors["240728"]("<|video|>", videos=[[blank(9, 9)]])


def test_a_processor_is_built_of_what_every_checkpoint_has(tiny: Callable[[str], Path]) -> None:
    for version in VERSIONS:
        folder = tiny(f"mplug_owl3_{version}")
        assert sorted(path.name for path in folder.iterdir() if "processor" in path.name) == []
        processor = MplugOwl3Processor.from_pretrained(folder)
        assert (processor.version, processor.image_processor.side) == (version, mplug_owl3.SIDES[version])
        assert processor.tokenizer.padding_side == "left"
        assert "helpful assistant" in processor.tokenizer.chat_template
        assert "helpful assistant" not in processor.apply_chat_template(ASK)


def test_tokenizers_of_other_models_are_refused(tokenizer: Any) -> None:
    check_tokenizer(tokenizer, "x")
    with pytest.raises(
        UserError, match=r"is not Qwen2's \(no special token <\|im_start\|> or <\|im_end\|>\)"
    ):
        from tests.tiny.tokenizer import make_tokenizer

        check_tokenizer(make_tokenizer(["<|endoftext|>"], pad="<|endoftext|>", eos="<|endoftext|>"), "x")

    changed = mplug_owl3.make_tokenizer()
    changed.add_tokens([IMAGE], special_tokens=True)
    with pytest.raises(UserError, match=r"reads <\|image\|> as one token"):
        check_tokenizer(changed, "x")
