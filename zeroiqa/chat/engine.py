"""A loaded chat model at work: prompts, batches and the fast paths that were found right."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from threading import local
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch

from zeroiqa.chat.batching import TokenBudget, run_in_batches
from zeroiqa.chat.forward import Forward
from zeroiqa.chat.inputs import (
    Collation,
    Preprocessor,
    PromptInputs,
    check_reads_images,
    enlarged,
    learn_collation,
    less_narrow,
)
from zeroiqa.chat.loading import Loaded
from zeroiqa.chat.memory import device_errors, token_budget
from zeroiqa.chat.path_check import PathCheck, Probes
from zeroiqa.chat.paths import Paths
from zeroiqa.chat.prompt import ChatTemplate, read_template
from zeroiqa.chat.showing import Encoder, PreparedPictures, Showing, prepare_pictures
from zeroiqa.chat.tokens import AnswerTokens, level_tokens
from zeroiqa.errors import ImageError, UserError, one_line
from zeroiqa.guards.limits import cores
from zeroiqa.standards import FilledPrompt, load_standard
from zeroiqa.weights.devices import is_device_gone, is_out_of_memory

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

AnswerT = TypeVar("AnswerT")
Read: TypeAlias = Callable[[torch.Tensor, int], Sequence[AnswerT]]
"""Float32 logits (views, vocabulary) under the prompt of that number -> one answer for each view."""

_LOG = logging.getLogger(__name__)
_WINDOW = 16  # views that are prepared together; their pixels stay in memory
_THREADS = 4  # that prepare views while a GPU computes
_SIDES = (1, 28, 56, 112)  # pixels; a model needs one of them at least
_PROBE_SIZES = ((224, 320), (448, 336), (224, 320))  # height, width


class PreparedView(NamedTuple):
    """One view under each of its prompts."""

    items: list[PromptInputs]
    pixels: Pixels
    texts: Sequence[str]
    showing: Showing | None = None
    """What prompts of several pictures show of it."""
    several: PreparedPictures | None = None
    """The inputs of these."""

    @property
    def length(self) -> int:
        """Tokens of the longest prompt."""
        return max(item.length for item in self.items)


class ChatEngine:
    """One model, ready to answer.

    Raises:
        UserError: the model cannot be asked about images, has no tokens for levels, or gives no numbers.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.template: ChatTemplate = read_template(loaded.processor, loaded.name)
        self.preprocessor = Preprocessor(loaded.processor, loaded.name)
        self.budget = TokenBudget(token_budget(loaded))
        self._levels: dict[tuple[FilledPrompt, int], AnswerTokens] = {}
        prompt = load_standard("quality-word-7").fill()
        levels = self.level_tokens(prompt, 7)
        try:
            probes, collation, no_batch = self._probe(prompt)
        except ImageError as error:
            raise UserError(
                f"{loaded.name} cannot be asked about images (its processor fails with "
                f"{one_line(error.__cause__ or error, kind=True)}); fetch the model again or choose another "
                "one."
            ) from error
        self.forward = Forward(loaded.model, collation, loaded.device, self._pad)
        self.check = check = PathCheck(
            self.forward,
            levels.ids,
            exact=loaded.dtype == torch.float32 and not _quantised(loaded),
            model=loaded.name,
            no_batch=no_batch,
        )
        with device_errors(loaded):
            self.paths: Paths = check.run(probes)
            self.why: Mapping[str, str] = check.why
            """Name of a path -> why it is not, or not fully, in use."""
            self.preprocessor = replace(self.preprocessor, least_side=self._least_side(check, prompt))
        self._own = local()
        threads = min(_THREADS, cores())
        self._pool = None if loaded.device.type == "cpu" else ThreadPoolExecutor(threads, "prepare")

    def level_tokens(self, prompt: FilledPrompt, k: int) -> AnswerTokens:
        """The tokens of the levels 1..k after a prompt.

        Raises:
            UserError: the tokenizer has no single token for a level.
        """
        if (prompt, k) not in self._levels:
            text, leads = self.template.text(prompt), (self.template.lead(prompt), "")
            encode = self.preprocessor.encode
            self._levels[prompt, k] = level_tokens(encode, text, k, leads, self.loaded.name)
        return self._levels[prompt, k]

    def run(
        self,
        pixels: Sequence[Pixels],
        texts: Sequence[Sequence[str]],
        read: Read[AnswerT],
        showing: Showing | None = None,
    ) -> list[list[AnswerT]]:
        """Read the next token of every view under each of its prompts; the vision encoder sees a view once.

        Args:
            pixels: The views.
            texts: [view][prompt], as sent, up to where the answer begins; equally many for each view.
            read: Makes answers of logits; the answers must not hold on to the logits.
            showing: Which prompts show several pictures, and which; None where each shows its view.

        Returns:
            Answers indexed [view][prompt].

        Raises:
            ImageError: a view cannot be prepared.
            UserError: there is no memory for one view, or the device is gone.
        """
        order = sorted(range(len(pixels)), key=lambda view: -pixels[view].size)
        windows = [order[start : start + _WINDOW] for start in range(0, len(order), _WINDOW)]
        answers: dict[int, list[AnswerT]] = {}
        for window, rows in zip(windows, self._prepared(windows, pixels, texts, showing), strict=True):
            answers.update(zip(window, self._run_window(rows, read), strict=True))
        return [answers[view] for view in range(len(pixels))]

    def here(self) -> Preprocessor:
        """The preprocessor of this thread: tokenizers are not safe to share."""
        if not hasattr(self._own, "preprocessor"):
            processor = deepcopy(self.preprocessor.processor)
            self._own.preprocessor = replace(self.preprocessor, processor=processor)
        found: Preprocessor = self._own.preprocessor
        return found

    @property
    def _pad(self) -> int:
        return int(self.loaded.processor.tokenizer.pad_token_id or 0)

    def _run_window(self, rows: Sequence[PreparedView], read: Read[AnswerT]) -> list[list[AnswerT]]:
        def run(batch: list[int]) -> list[list[AnswerT]]:
            return self._run_batch([rows[place] for place in batch], read)

        lengths = [row.length for row in rows]
        with device_errors(self.loaded):
            return run_in_batches(lengths, self.budget, run, is_out_of_memory, self._kinds(rows))

    def _kinds(self, rows: Sequence[PreparedView]) -> list[object] | None:
        """What keeps rows apart: all where batches are off, the lengths where they have to be equal."""
        if not self.paths.batch:
            return list(range(len(rows)))
        if not self.forward.pads_freely or (self.paths.prefix == "equal" and self._have_prefix(rows)):
            return [tuple(item.length for item in row.items) for row in rows]
        return None

    def _have_prefix(self, rows: Sequence[PreparedView]) -> bool:
        """Whether anything would be computed once for these views, were they of one length."""
        paths = replace(self.paths, prefix="any")
        return any(
            self.forward.uses_prefix(items, paths) for items in zip(*(row.items for row in rows), strict=True)
        )

    def _run_batch(self, rows: Sequence[PreparedView], read: Read[AnswerT]) -> list[list[AnswerT]]:
        """One batch; where it cannot be run, its views one by one, so that only the view at fault fails.

        A narrow view that the model refuses is made less narrow until it is rated.
        """
        found = self._try_batch(rows, read)
        if not isinstance(found, Exception):
            return found
        if len(rows) > 1:
            return [answers for row in rows for answers in self._run_batch([row], read)]
        (row,) = rows
        for pixels in less_narrow(row.pixels):
            again = self._try_batch([self._prepare(pixels, row.texts, row.showing)], read)
            if not isinstance(again, Exception):
                size = row.pixels.shape[1::-1]
                _LOG.info("A view of %d x %d pixels is enlarged for %s.", *size, self.loaded.name)
                return again
        raise self.preprocessor.refusal(row.pixels, found) from found

    def _try_batch(
        self, rows: Sequence[PreparedView], read: Read[AnswerT]
    ) -> list[list[AnswerT]] | Exception:
        """The answers, or what the model has against the views."""
        try:
            by_prompt = self._answers(rows, read)
        except (UserError, MemoryError):
            raise
        except Exception as error:
            if is_out_of_memory(error) or is_device_gone(error):
                raise
            return error
        return [list(answers) for answers in zip(*by_prompt, strict=True)]

    def _answers(self, rows: Sequence[PreparedView], read: Read[AnswerT]) -> list[Sequence[AnswerT]]:
        """For each prompt the answers of the batch."""
        showing = rows[0].showing
        plain = _plain_prompts(len(rows[0].texts), showing)
        of_view = self._logits_of_view([[row.items[prompt] for prompt in plain] for row in rows])
        found = {plain[at]: read(logits, plain[at]) for at, logits in of_view}
        if showing is not None:
            encoder = Encoder(self.forward, [row.several for row in rows if row.several is not None])
            for prompt, way in enumerate(showing.ways):
                if way is not None:
                    found[prompt] = read(encoder.logits(prompt, showing.shown[prompt], way), prompt)
        return [found[prompt] for prompt in sorted(found)]

    def _logits_of_view(self, rows: Sequence[Sequence[PromptInputs]]) -> Iterator[tuple[int, torch.Tensor]]:
        """The logits under each prompt that shows the view itself, with the prompt's place in `rows`."""
        prompts = range(len(rows[0]))
        if not prompts:
            return
        features = self.forward.features([row[0] for row in rows]) if self.paths.features else None
        done: set[int] = set()
        for fork in self.forward.forks(rows) if self.paths.trunk != "off" else []:
            yield from zip(
                fork.prompts, self.forward.logits_of_fork(rows, fork, self.paths, features), strict=True
            )
            done.update(fork.prompts)
        for prompt in prompts:
            if prompt not in done:
                yield prompt, self._logits([row[prompt] for row in rows], features)

    def _logits(self, items: Sequence[PromptInputs], features: Any) -> torch.Tensor:
        if self.paths.forward:
            return self.forward.logits(items, self.paths, features)
        return torch.cat([self.forward.reference(item) for item in items])

    def _prepared(
        self,
        windows: Sequence[Sequence[int]],
        pixels: Sequence[Pixels],
        texts: Sequence[Sequence[str]],
        showing: Showing | None,
    ) -> Iterator[list[PreparedView]]:
        """The inputs of each window; on a GPU the next window is prepared while it computes."""
        if self._pool is None:
            for window in windows:
                yield [self._prepare(pixels[view], texts[view], showing) for view in window]
            return
        waiting = []
        for window in windows:
            waiting.append(
                [self._pool.submit(self._prepare_apart, pixels[v], texts[v], showing) for v in window]
            )
            if len(waiting) > 1:
                yield [future.result() for future in waiting.pop(0)]
        for futures in waiting:
            yield [future.result() for future in futures]

    def _prepare_apart(self, pixels: Pixels, texts: Sequence[str], showing: Showing | None) -> PreparedView:
        return self._prepare(pixels, texts, showing, self.here())

    def _prepare(
        self,
        pixels: Pixels,
        texts: Sequence[str],
        showing: Showing | None = None,
        preprocessor: Preprocessor | None = None,
    ) -> PreparedView:
        preprocessor = preprocessor or self.preprocessor
        plain = _plain_prompts(len(texts), showing)
        items = {prompt: preprocessor.prepare(pixels, texts[prompt]) for prompt in plain}
        collation = self.forward.collation
        if collation is not None and items:  # the picture is kept once
            first = items[plain[0]]
            items = {at: _with_picture_of(first, item, collation) for at, item in items.items()}
        several = None if showing is None else self._prepare_several(pixels, texts, showing, preprocessor)
        if several is not None:
            items |= several.items
        return PreparedView([items[at] for at in range(len(texts))], pixels, texts, showing, several)

    def _prepare_several(
        self, pixels: Pixels, texts: Sequence[str], showing: Showing, preprocessor: Preprocessor
    ) -> PreparedPictures:
        """Where the processor refuses the shape of a view, its pictures are made of it enlarged."""
        try:
            return prepare_pictures(preprocessor, pixels, texts, showing)
        except ImageError:
            larger = enlarged(pixels, preprocessor.least_side)
            if larger is pixels:
                raise
            return prepare_pictures(preprocessor, larger, texts, showing)

    def _least_side(self, check: PathCheck, prompt: FilledPrompt) -> int:
        """From which side on, in pixels, the model can rate views: some fail where a view is one token."""
        text = self.template.text(prompt)
        for side in _SIDES:
            pixels = np.full((side, side, 3), 128, dtype=np.uint8)
            try:
                item = self.preprocessor.prepare(pixels, text)
            except ImageError:
                continue
            if check.holds_for(item, self.paths):
                break
        if side > 1:
            _LOG.info("%s: views of less than %d pixels are enlarged.", self.loaded.name, side)
        return side

    def _probe(self, prompt: FilledPrompt) -> tuple[Probes, Collation | None, str]:
        """Views for the check of the paths, and how the family joins views to batches, or why not."""
        random = np.random.default_rng(0)
        views = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in _PROBE_SIZES]
        text = self.template.text(prompt)
        longer = self.template.text(FilledPrompt(f"{prompt.system} Be exact.", f"{prompt.user} Be brief."))
        item = self.preprocessor.prepare(views[0], text)
        check_reads_images(self.preprocessor, item)
        self.preprocessor = replace(
            self.preprocessor, image_tokens=self.preprocessor.find_image_tokens(item, text)
        )
        first, like_first = (self.preprocessor.prepare(view, text) for view in views[::2])
        # some families have as many tokens for every picture: then the words behind it make the difference
        behind = self.template.text(FilledPrompt(prompt.system, f"{prompt.user} Be brief."))
        first_again, second = (self.preprocessor.prepare(view, behind) for view in views[:2])
        second_again = self.preprocessor.prepare(views[1], text)
        collation, no_batch = None, "the processor's batches are not made of its single views"
        try:
            batch = self.preprocessor.batch(views[:2], [text, longer])
            collation = learn_collation(
                [first, self.preprocessor.prepare(views[1], longer)], batch, self._pad
            )
        except Exception as error:  # a processor without batches: views run one at a time
            no_batch = f"the processor makes no batch: {one_line(error, kind=True)}"
        if collation is not None:  # the pictures are kept once, as they are of a view under its prompts
            first_again = _with_picture_of(first, first_again, collation)
            second_again = _with_picture_of(second, second_again, collation)
        return Probes(first, second, like_first, first_again, second_again), collation, no_batch


def _with_picture_of(first: PromptInputs, item: PromptInputs, collation: Collation) -> PromptInputs:
    """A view's inputs that hold the very picture of another of its prompts."""
    picture = {name: value for name, value in first.tensors.items() if name not in collation.rows}
    return item._replace(tensors={**item.tensors, **picture})


def _plain_prompts(count: int, showing: Showing | None) -> list[int]:
    """The prompts that show the view itself."""
    return [at for at in range(count) if showing is None or showing.ways[at] is None]


def _quantised(loaded: Loaded) -> bool:
    return getattr(loaded.model, "quantization_method", None) is not None
