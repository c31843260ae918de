"""From messages and pictures to the inputs of mPLUG-Owl3: its chat template, its markup of cut pictures.

What stands for a picture, `<|image|>`, is no special token but five ordinary ones. A text is therefore split
there and its pieces are tokenised apart: the tokens of the whole would melt into their neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature, Qwen2Tokenizer

from zeroiqa.chat.mplug_owl3.configuration import MplugOwl3Config, with_tensors_of
from zeroiqa.chat.mplug_owl3.image_processing import (
    CutPicture,
    MplugOwl3ImageProcessor,
    Picture,
    TileGrid,
)
from zeroiqa.errors import UserError

Pictures: TypeAlias = Sequence[Picture | CutPicture] | Sequence[Sequence[Picture | CutPicture]]

IMAGE, VIDEO = "<|image|>", "<|video|>"
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\n<|im_end|>{% endif %}"
    "{% for message in messages %}{% if not (loop.first and message.role == 'system') %}{{ '\n' }}{% endif %}"
    "<|im_start|>{{ message.role }}{{ '\n' }}"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|image|>{% elif part.type == 'video' %}<|video|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n' }}<|im_start|>assistant{{ '\n' }}{% endif %}"
)
"""ChatML with an empty system turn where there is none; the one in the tokenizer's own files is not used."""


class Encoded(NamedTuple):
    """A text with its pictures."""

    ids: list[int]
    starts: list[int]
    """Indices of the first token of each `<|image|>`."""


@dataclass(frozen=True)
class MplugOwl3Processor:
    """Makes the inputs of a batch; pads on the left."""

    tokenizer: Any
    """Qwen2's."""
    image_processor: MplugOwl3ImageProcessor
    version: str
    """Decides how a cut picture is written."""
    chat_template: str = CHAT_TEMPLATE
    control_texts: tuple[str, ...] = (IMAGE, VIDEO)
    """What stands for pictures though it is no special token: text of a user's own must not hold it."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, config: MplugOwl3Config | None = None) -> Self:
        """Build the processor from what every checkpoint has: tokenizer, config.json and the tensors' names.

        Args:
            folder: Of the checkpoint.
            config: One that names its version, in place of config.json; the weights are not looked at.

        Raises:
            UserError: the tokenizer is not Qwen2's, or there are no weights, or those of neither version.
        """
        if config is None:
            config = with_tensors_of(MplugOwl3Config.from_pretrained(folder), Path(folder))
        tokenizer = Qwen2Tokenizer.from_pretrained(folder)
        check_tokenizer(tokenizer, str(folder))
        return cls.of(tokenizer, config)

    @classmethod
    def of(cls, tokenizer: Any, config: MplugOwl3Config) -> Self:
        """The processor of a configuration that names its version."""
        tokenizer.padding_side = "left"
        vision: Any = config.vision_config
        return cls(tokenizer, MplugOwl3ImageProcessor(vision.image_size), str(config.version))

    def apply_chat_template(self, conversation: Sequence[Any], **choices: Any) -> str:
        """The text of messages, one placeholder for each picture.

        Args:
            conversation: Messages with a role and a content: a text, or parts of type image, video, text.
            choices: `add_generation_prompt` ends the text where the answer begins; `continue_final_message`
                ends it with the last message's content, an answer that is begun.
        """
        choices["tokenize"] = False
        text: str = self.tokenizer.apply_chat_template(
            conversation, chat_template=self.chat_template, **choices
        )
        return text

    def __call__(
        self,
        text: str | Sequence[str],
        images: Pictures | None = None,
        videos: Sequence[Sequence[Picture]] | Sequence[Sequence[Sequence[Picture]]] | None = None,
        cut: bool | None = None,
        **_: Any,
    ) -> BatchFeature:
        """Make the inputs of one text or of several.

        Args:
            text: As `apply_chat_template` gives it.
            images: For every text a list of as many as it has placeholders; for one text, the list itself.
            videos: Likewise; a video is a list of frames.
            cut: Whether images are cut, in place of the image processor's own setting; frames never are.
            _: What other processors want to be told (`padding`, `return_tensors`); inputs are padded tensors.

        Returns:
            `input_ids`, `attention_mask`, `image_starts` (batch, tokens), the last 1 at the first token of
            each placeholder; `pixel_values` (views, 3, side, side), where there are pictures.

        Raises:
            ValueError: pictures and placeholders are not equally many, or this version has no videos.
        """
        texts = [text] if isinstance(text, str) else list(text)
        rows, views = [], []
        for own, pictures, clips in zip(
            texts, _nested(images, len(texts), 1), _nested(videos, len(texts), 2), strict=True
        ):
            expanded, seen = self._expand(own, pictures, clips, cut)
            rows.append(self.encode(expanded))
            views += seen
        inputs = _padded(rows, int(self.tokenizer.pad_token_id or 0))
        if views:
            inputs["pixel_values"] = torch.from_numpy(np.concatenate(views))
        return BatchFeature(inputs)

    @property
    def mistakes_second(self) -> bool:
        """Whether the release's own processor takes the second image of a text for a view of the first."""
        return self.version == "240728" and self.image_processor.cut

    def cut_picture(self, picture: Picture, *, first_tiles: bool = False) -> CutPicture:
        """Cut a picture once, to be given under several texts.

        Args:
            picture: Of any mode and size.
            first_tiles: As 240728's own processor has a second image: written as one of a single tile and a
                global view, in whose place the network then finds the first two tiles.

        Raises:
            ValueError: this release, or a picture that is not cut, has no such mistake.
        """
        views, grid = self.image_processor(picture)
        if not first_tiles:
            return CutPicture(views, grid)
        if not self.mistakes_second:
            raise ValueError("Only mPLUG-Owl3-7B-240728, cutting its pictures, mistakes a second one.")
        return CutPicture(views[:2], TileGrid(1, 1))

    def encode(self, text: str) -> Encoded:
        """Token ids of an expanded text, tokenised piece by piece."""
        ids: list[int] = []
        starts: list[int] = []
        for piece in re.split(f"({re.escape(IMAGE)})", text):
            if piece == IMAGE:
                starts.append(len(ids))
            if piece:
                ids += self.tokenizer(piece, add_special_tokens=False)["input_ids"]
        return Encoded(ids, starts)

    def _expand(
        self,
        text: str,
        images: Sequence[Picture | CutPicture],
        videos: Sequence[Sequence[Picture]],
        cut: bool | None,
    ) -> tuple[str, list[np.ndarray[Any, Any]]]:
        """The text with the markup of its pictures, and their views in its order."""
        found = [text.count(mark) for mark in (IMAGE, VIDEO)]
        if found != [len(images), len(videos)]:
            raise ValueError(
                f"A text holds {found[0]} times {IMAGE} and {found[1]} times {VIDEO}, but comes with "
                f"{len(images)} images and {len(videos)} videos."
            )
        waiting_images, waiting_videos, views = iter(images), iter(videos), []
        pieces = re.split(f"({re.escape(IMAGE)}|{re.escape(VIDEO)})", text)
        for place, piece in enumerate(pieces):
            if piece == IMAGE:
                image = next(waiting_images)
                made, grid = image if isinstance(image, CutPicture) else self.image_processor(image, cut)
                views.append(made)
                pieces[place] = cut_markup(self.version, grid) if grid else IMAGE
            elif piece == VIDEO:
                frames = [self.image_processor(frame, cut=False)[0] for frame in next(waiting_videos)]
                views += frames
                pieces[place] = video_markup(self.version, len(frames))
        return "".join(pieces), views


def cut_markup(version: str, grid: TileGrid) -> str:
    """What stands for a picture that was cut: a placeholder for each tile, then one for the whole."""
    rows, columns = grid
    if version == "240728":
        lines = [" ".join(f"subimg({i},{j}){IMAGE}" for j in range(columns)) for i in range(rows)]
        tiles = "\n".join(lines)
        return f"Cut to {rows} rows {columns} columns with a global view\n{tiles}\nglobal_view{IMAGE}"
    tiles = "\n".join(" ".join([IMAGE] * columns) for _ in range(rows))
    return f"<|start_cut|>{rows}*{columns}\n{tiles}\n{IMAGE}<|end_cut|>"


def video_markup(version: str, frames: int) -> str:
    """What stands for a video.

    Raises:
        ValueError: the version has no markup for one.
    """
    if version != "241101":
        raise ValueError(f"mPLUG-Owl3-7B-{version} has no markup for videos; give their frames as images.")
    return f"<|start_video_frame|>{IMAGE * frames}<|end_video_frame|>"


def check_tokenizer(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer with which the prompt would not be what the model has learned.

    Raises:
        UserError: a control token of Qwen2 is missing, or `<|image|>` is one token instead of text.
    """
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    missing = [token for token in CONTROL_TOKENS if token not in special]
    if missing:
        raise UserError(
            f"The tokenizer of {name} is not Qwen2's (no special token {' or '.join(missing)}); put the "
            "tokenizer files of the model's repository there."
        )
    if len(tokenizer(IMAGE, add_special_tokens=False)["input_ids"]) < 2:
        raise UserError(
            f"The tokenizer of {name} reads {IMAGE} as one token, but mPLUG-Owl3 has learned it as several; "
            "put the tokenizer files of the model's repository there, unchanged."
        )


def _nested(given: Any, texts: int, depth: int) -> list[Any]:
    """For every text its own list."""
    if given is None:
        return [[]] * texts
    inner = given
    for _ in range(depth):
        inner = inner[0] if isinstance(inner, Sequence) and len(inner) else None
    alone = texts == 1 and not isinstance(inner, Sequence)
    return [given] if alone else list(given)


def _padded(rows: Sequence[Encoded], pad: int) -> dict[str, Tensor]:
    longest = max(len(row.ids) for row in rows)
    shape = len(rows), longest
    ids = torch.full(shape, pad)
    mask, starts = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    for place, row in enumerate(rows):
        before = longest - len(row.ids)
        ids[place, before:] = torch.tensor(row.ids)
        mask[place, before:] = 1
        starts[place, [before + start for start in row.starts]] = 1
    return {"input_ids": ids, "attention_mask": mask, "image_starts": starts}
