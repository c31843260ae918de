"""Any OpenAI-compatible server as a rater: vLLM, SGLang, LMDeploy, llama.cpp, or a hosted model.

One chat completion of one token for each view and standard; the levels are read from the log-probabilities of
that token. The prompt is the one that models on this machine get, as far as a server's chat template allows.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.model_options import ModelOptions
from zeroiqa.opencv import cv2
from zeroiqa.raters.endpoint_address import find_key, find_limits, parse_address
from zeroiqa.raters.endpoint_answers import (
    Answer,
    first_token,
    has_distribution,
    listed_levels,
    read_digit,
    read_levels,
)
from zeroiqa.raters.endpoint_client import (
    NO_THOUGHT,
    Dialect,
    Question,
    RefusalError,
    Server,
    open_server,
    run_aside,
)
from zeroiqa.raters.endpoint_thoughts import answer_at_once, ask_first
from zeroiqa.raters.likeliest import FirstToken, off_the_scale
from zeroiqa.standards import FilledPrompt
from zeroiqa.types import Rating

if TYPE_CHECKING:
    from zeroiqa.standards import Standard
    from zeroiqa.types import Pixels, View

    Row: TypeAlias = list[Rating | None]

_LOG = logging.getLogger(__name__)

VERSION = 1
"""Goes up with every change of what is sent or read that moves a rating."""

_KINDS = ("word", "number", "sentence", "float")
_EXAMPLE = "a photo of a cat"  # in place of an image's own prompt
_FLOAT_TOKENS = 8  # of an answer under a standard of kind "float", as for models on this machine
_OF_ONE_VIEW = (400, 413, 422, 500)
"""Statuses that may be the fault of one view (too large for the model's context, say) or of everything."""
_PROBE = FilledPrompt(
    "You judge the quality of images.", "Rate the quality of the image from 1 to 7. Answer with one digit."
)


@dataclass(frozen=True)
class _Known:
    """What asking the server once has shown."""

    model: str
    dialect: Dialect


class EndpointRater:
    """Rates views by a server; building it asks nobody.

    Args:
        argument: Address and, after a #, model: "http://localhost:8000/v1#Qwen/Qwen2.5-VL-7B-Instruct".
        options: Whether only servers on this machine may be asked; the rest is the server's own business.
        digits_suffice: Whether a server that gives no log-probabilities may rate by the digit it answers.

    Raises:
        UserError: the address, the key or a limit is unusable, or the server is elsewhere despite --offline.
    """

    def __init__(self, argument: str, options: ModelOptions, *, digits_suffice: bool = False) -> None:
        self._address = parse_address(argument)
        if options.offline and not self._address.is_local:
            raise UserError(
                f"The server {self._address.url} is not on this machine, and --offline forbids to ask it; "
                "leave out --offline."
            )
        self._limits, self._key = find_limits(), find_key()
        self._digits_suffice = digits_suffice
        self._met: _Known | None = None
        self._kept: dict[bytes, Rating | None] = {}
        """What the other views got in a call that failed for one of them."""

    @property
    def images_per_call(self) -> int:
        """Enough that no slot stays empty for long, even where the whole image is the only view."""
        return 2 * self._limits.concurrency

    @property
    def id(self) -> str:
        """Address, model, and what is read from its answers. What weights a server runs, it does not say.

        Raises:
            UserError: the server cannot be used.
        """
        known = self._known()
        return f"endpoint {VERSION} {self._address.url} {printable(known.model)} {_reads(known.dialect)}"

    def check(self, standard: Standard) -> None:
        """Raise `UserError` if the server cannot be used, or the standard asks for something else."""
        if standard.kind not in _KINDS:
            raise UserError(
                f"The standard {standard.name} is of kind {standard.kind}, which is not read from a server; "
                f"choose one of kind {', '.join(_KINDS)}."
            )
        if standard.k > 9:
            raise UserError(
                f"The standard {standard.name} has {standard.k} levels; a level is one digit, so up to 9."
            )
        known = self._known()
        if standard.kind != "float" and not known.dialect.top and not self._digits_suffice:
            raise UserError(
                f"The server {self._address.url} gives no log-probabilities, so there is only the digit that "
                "it answers; read that by --readout digit, or choose a server that gives them (vLLM, SGLang, "
                "LMDeploy, llama.cpp)."
            )

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[Row]:
        """Ratings indexed [view][standard]; None where the answer was no level.

        Raises:
            ImageError: the server refuses a view, though not another one, or a prompt is missing.
            UserError: the server is gone, wants another key, or gives no answer that can be read.
        """
        return run_aside(self._rate(views, standards)) if views and standards else [[] for _ in views]

    def describe(self, standard: Standard) -> dict[str, str]:
        """What a standard becomes for this server: who answers, what is read, and the prompt."""
        known = self._known()
        question = Question("(the view as PNG)", standard.fill(_EXAMPLE))
        turns = known.dialect.messages(question)
        return {
            "server": self._address.url,
            "model": printable(known.model),
            "reads": _reads(known.dialect),
            "prompt": "\n".join(f"{turn['role']}: {_text(turn['content'])}" for turn in turns),
        }

    def first_tokens(self, standard: Standard) -> list[FirstToken]:
        """How each of the built-in pictures is answered under a standard."""
        from zeroiqa.raters.known_answer import built_in_views

        pixels = [view.pixels for view in built_in_views()]
        found = run_aside(self._first_tokens(pixels, standard.fill(_EXAMPLE), standard.k))
        return [first._replace(mass=None) for first in found] if standard.kind == "float" else found

    async def _first_tokens(self, pixels: Sequence[Pixels], prompt: FilledPrompt, k: int) -> list[FirstToken]:
        known = self._known()
        found = []
        async with open_server(self._address, self._limits, self._key) as server:
            for picture in pixels:
                question = Question(_as_url(encode(picture)), prompt)
                try:
                    found.append(await ask_first(server, known.model, question, known.dialect, k))
                except RefusalError as refusal:
                    raise await _fault(server, known, refusal) from None
        return found

    def _known(self) -> _Known:
        if self._met is None:
            run_aside(self._meet())
        assert self._met is not None
        return self._met

    async def _meet(self) -> None:
        async with open_server(self._address, self._limits, self._key) as server:
            self._met = await self._find_out(server)

    async def _find_out(self, server: Server) -> _Known:
        if self._key and not (self._address.is_encrypted or self._address.is_local):
            _LOG.warning("The key for %s travels unencrypted; use https where you can.", self._address.url)
        listed = await server.models()
        model = self._address.model or _only(server, listed)
        dialect, answer = await _agree(server, model, listed)
        dialect, answer = await answer_at_once(server, model, _probe(), dialect, answer)
        if dialect.top and not has_distribution(answer):
            dialect = replace(dialect, top=0)
        first = answer.positions[0].token.text if answer.positions else answer.text
        if answer.cut and not first.strip("\u2581\u0120 \t\n"):
            dialect = replace(dialect, blank_first=True)
            dialect, answer = await answer_at_once(server, model, _probe(), dialect, answer)
        if warning := off_the_scale(str(server), first_token(answer, 7)):
            _LOG.warning("%s", warning)
        return _Known(model, await _with_level_ids(server, model, dialect) if dialect.top else dialect)

    async def _rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[Row]:
        """All views, a bounded number at a time; a view's standards follow each other.

        A view that is refused does not stop the others: what they got is kept for the next calls, which ask
        image by image to find the one whose fault it is.
        """
        got: dict[bytes, Rating | None] = {}
        slots = asyncio.Semaphore(self._limits.concurrency)
        async with open_server(self._address, self._limits, self._key) as server:
            if self._met is None:
                self._met = await self._find_out(server)
            known = self._met

            async def row(view: View) -> Row | ImageError:
                async with slots:
                    try:
                        return await self._row(server, known, view, standards, got)
                    except ImageError as error:
                        return error

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(row(view)) for view in views]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        rows = [task.result() for task in tasks]
        for found in rows:
            if isinstance(found, ImageError):
                self._kept |= got
                raise found
        if not got.keys() & self._kept.keys():
            self._kept = {}
        return [found for found in rows if not isinstance(found, ImageError)]

    async def _row(
        self,
        server: Server,
        known: _Known,
        view: View,
        standards: Sequence[Standard],
        got: dict[bytes, Rating | None],
    ) -> Row:
        prompts = [standard.fill(view.prompt) for standard in standards]
        if any(0xD800 <= ord(character) <= 0xDFFF for character in view.prompt or ""):
            raise ImageError("The prompt holds bytes that are not Unicode and cannot be sent; correct it.")
        png = await asyncio.to_thread(encode, view.pixels)
        url = _as_url(png)
        found: Row = []
        for standard, prompt in zip(standards, prompts, strict=True):
            key = blake2b(png + repr((standard.hash, prompt)).encode(errors="backslashreplace")).digest()
            if key in self._kept:
                got[key] = self._kept[key]
            else:
                got[key] = await self._rating(server, known, Question(url, prompt), standard)
            found.append(got[key])
        return found

    async def _rating(
        self, server: Server, known: _Known, question: Question, standard: Standard
    ) -> Rating | None:
        from zeroiqa.raters.chat import parse_number

        levels = standard.kind != "float"
        if not levels:
            question = question._replace(tokens=_FLOAT_TOKENS)
        try:
            answer = await server.ask(known.model, question, known.dialect, levels=levels)
        except RefusalError as refusal:
            raise await _fault(server, known, refusal) from None
        if not levels:
            value = parse_number(answer.text, standard.k)
            return None if value is None else Rating(logprobs=(), mass=1.0, value=value)
        if not known.dialect.top:
            return read_digit(answer, standard.k)
        if answer.thought:  # its tokens are not the answer's
            return None
        if not has_distribution(answer):
            raise UserError(f"{server} gives log-probabilities no longer; see what became of it, then go on.")
        return read_levels(answer, standard.k)


def encode(pixels: Pixels) -> bytes:
    """RGB, shape (height, width, 3), as PNG: lossless, for the artefacts of a JPEG would be judged as well.

    Raises:
        ImageError: it is empty or too large for the format.
    """
    try:
        done, png = cv2.imencode(
            ".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1]
        )
    except cv2.error:
        done = False
    if not done:
        raise ImageError("A view cannot be written as PNG for the server.")
    return bytes(png.tobytes())


def _reads(dialect: Dialect) -> str:
    """What is read, and what was left out of the request or put into it, for all of it moves ratings."""
    if not dialect.top:
        reads = "digits"
    elif dialect.level_ids:
        reads = "distributions"
    else:
        reads = f"distributions within the top {dialect.top}"
    refused = [name for name in Dialect().extras if name not in dialect.extras]
    if not dialect.system_turn:
        refused.append("system turn")
    reads += f" without {', '.join(refused)}" if refused else ""
    return reads + (f" with {json.dumps(NO_THOUGHT[dialect.no_thought])}" if dialect.no_thought else "")


def _only(server: Server, listed: list[str] | None) -> str:
    """The model of a server that has one."""
    if listed is None:
        raise UserError(
            f"{server} does not list its models; name one after a #, and see whether the address should end "
            "in /v1."
        )
    if len(listed) != 1:
        found = f"{len(listed)} models: {server.quoted_names(listed)}" if listed else "no model"
        raise UserError(f"{server} lists {found}; name the one that shall rate after a #.")
    return listed[0]


async def _agree(server: Server, model: str, listed: list[str] | None) -> tuple[Dialect, Answer]:
    """How to ask the server, and what it answered to the probe: less and less is asked until it answers."""
    dialect: Dialect | None = Dialect()
    while True:
        assert dialect is not None
        try:
            return dialect, await server.ask(model, _probe(), dialect)
        except RefusalError as refusal:
            dialect = dialect.simpler(refusal.said) if refusal.status in (400, 422) else None
            if dialect is None:
                raise _refused(server, model, listed, refusal) from None


async def _with_level_ids(server: Server, model: str, dialect: Dialect) -> Dialect:
    """Ask for the levels' own tokens where the server can list them; then no level is ever out of the list.

    It is tried, for a server that does not know the field may refuse it, or ignore it.
    """
    ids: set[int] = set()
    for separator in (" ", "\n"):  # 7 as it is written after a space, and alone
        ids |= await server.token_ids(model, separator.join("123456789"))
    if not ids:
        return dialect
    asking = replace(dialect, level_ids=tuple(sorted(ids)))
    try:
        answer = await server.ask(model, _probe(), asking)
    except RefusalError:
        return dialect
    return asking if listed_levels(answer) == set(range(1, 10)) else dialect


async def _fault(server: Server, known: _Known, refusal: RefusalError) -> UserError:
    """Whose fault a refusal is: the view's, if the server still answers to another one."""
    if refusal.status in _OF_ONE_VIEW:
        try:
            await server.ask(known.model, _probe(), known.dialect)
        except RefusalError:
            pass
        else:
            return ImageError(f"{server} refuses a view (HTTP {refusal.status}: {refusal.said}).")
    return _refused(server, known.model, [known.model], refusal)


def _refused(server: Server, model: str, listed: list[str] | None, refusal: RefusalError) -> UserError:
    why = f"HTTP {refusal.status}: {refusal.said}"
    if refusal.status >= 500:
        return UserError(f"{server} fails ({why}); see its log, then give the same command again.")
    if refusal.status == 404 and not listed:
        return UserError(f"{server} has nothing to ask ({why}); see whether the address should end in /v1.")
    if listed and model not in listed:
        found = "has no model" if refusal.status == 404 else "does not rate by"
        return UserError(f"{server} {found} {model} ({why}); it lists {server.quoted_names(listed)}.")
    return UserError(
        f"{server} does not rate ({why}); put that right, or choose another model that sees images."
    )


def _probe() -> Question:
    """A small picture with some detail, and a question that has a level as its answer."""
    rows, columns = np.mgrid[0:64, 0:64]
    pixels = np.stack([rows * 4, columns * 4, (rows ^ columns) * 4], axis=-1).astype(np.uint8)
    return Question(_as_url(encode(pixels)), _PROBE)


def _as_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in content)
