"""Any OpenAI-compatible server as a rater: vLLM, SGLang, LMDeploy, llama.cpp, or a hosted model.

One chat completion of one token for each view and standard; the levels are read from the log-probabilities of
that token. The prompt is the one that models on this machine get, as far as a server's chat template allows.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

from zeroiqa.aggregate import is_number
from zeroiqa.chat.descriptions import MOST_TOKENS, request, sentence_of
from zeroiqa.chat.likeliest import FirstToken
from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.raters.endpoint.address import find_key, find_limits, parse_address
from zeroiqa.raters.endpoint.answers import has_distribution, read_digit, read_levels
from zeroiqa.raters.endpoint.client import (
    NO_THOUGHT,
    ChatRequest,
    Dialect,
    Server,
    as_url,
    encode,
    open_server,
    run_aside,
)
from zeroiqa.raters.endpoint.failures import RefusalError
from zeroiqa.raters.endpoint.meeting import Known, fault, meet
from zeroiqa.raters.endpoint.secrets import holds_secret
from zeroiqa.raters.endpoint.thoughts import ask_first
from zeroiqa.types import Rating
from zeroiqa.weights.options import ModelOptions
from zeroiqa.weights.replies import Replies

if TYPE_CHECKING:
    from zeroiqa.standards import FilledPrompt, Standard
    from zeroiqa.types import Pixels, View

    ViewRatings: TypeAlias = list[Rating | None]

_LOG = logging.getLogger(__name__)

VERSION = 1
"""Goes up with every change of what is sent or read that moves a rating."""

_KINDS = ("word", "number", "sentence", "float")
_EXAMPLE = "a photo of a cat"  # in place of an image's own prompt
_LONGEST_ANSWER = 40  # characters; a server may call anything a token
_FLOAT_TOKENS = 8  # of an answer under a standard of kind "float", as for models on this machine


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
        if holds_secret(argument, [self._key]):
            raise UserError(
                "The address or the model of the rater openai holds a part of the key, and both are written "
                "into the run folder; leave it out there."
            )
        self._digits_suffice = digits_suffice
        self._replies = options.replies
        self._met: Known | None = None
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
        return f"endpoint {VERSION} {self._address.url} {known.shown} {_reads(known.dialect)}"

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

        if standard.before_image:
            _LOG.warning(
                "%s: whether the chat template of the server %s puts the image between the two texts cannot "
                "be seen from here.",
                standard.name,
                self._address.url,
            )

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[ViewRatings]:
        """Ratings indexed [view][standard]; None where the answer was no level.

        Raises:
            ImageError: the server refuses a view, though not another one, or a prompt is missing.
            UserError: the server is gone, wants another key, or gives no answer that can be read.
        """
        if not (views and standards):
            return [[] for _ in views]
        return run_aside(self._rate(self._known(), views, standards))

    def descriptions(self, views: Sequence[View]) -> list[str | None]:
        """A sentence of the model on the quality of each view, at temperature 0; None for an empty answer.

        Raises:
            ImageError: the server refuses a view, though not another one.
            UserError: the server is gone, or wants another key.
        """
        return run_aside(self._describe(self._known(), views)) if views else []

    def describe(self, standard: Standard) -> dict[str, str]:
        """What a standard becomes for this server: who answers, what is read, and the prompt.

        The prompt is that of the whole image; "crop_prompt" is there where crops have another.
        """
        known = self._known()

        def prompt(crop: bool) -> str:
            request = ChatRequest("(the view as PNG)", standard.fill(_EXAMPLE, crop=crop))
            turns = known.dialect.messages(request)
            return "\n".join(f"{turn['role']}: {_text(turn['content'])}" for turn in turns)

        described = {
            "server": self._address.url,
            "model": known.shown,
            "reads": _reads(known.dialect),
            "prompt": prompt(crop=False),
        }
        return described | ({"crop_prompt": prompt(crop=True)} if standard.crops_differ else {})

    def first_tokens(self, standard: Standard) -> list[FirstToken]:
        """How each of the built-in pictures is answered under a standard."""
        from zeroiqa.chat.known_answer import built_in_views

        pixels = [view.pixels for view in built_in_views()]
        found = run_aside(self._first_tokens(pixels, standard.fill(_EXAMPLE), standard.k))
        return [first._replace(mass=None) for first in found] if standard.kind == "float" else found

    async def _first_tokens(self, pixels: Sequence[Pixels], prompt: FilledPrompt, k: int) -> list[FirstToken]:
        known = self._known()
        found = []
        async with open_server(self._address, self._limits, self._key) as server:
            for picture in pixels:
                request = ChatRequest(as_url(encode(picture)), prompt)
                try:
                    first = await ask_first(server, known.model, request, known.dialect, k)
                except RefusalError as refusal:
                    raise await fault(server, known, refusal) from None
                found.append(server.shown(first))
        return found

    def _known(self) -> Known:
        if self._met is None:
            replies = self._replies or Replies()
            asked = ("server", self._address.url, self._address.model)
            self._met = replies.once(asked, lambda: run_aside(self._meet()))
        return self._met

    async def _meet(self) -> Known:
        if self._key and not (self._address.is_encrypted or self._address.is_local):
            _LOG.warning("The key for %s travels unencrypted; use https where you can.", self._address.url)
        async with open_server(self._address, self._limits, self._key) as server:
            return await meet(server, self._address.model)

    async def _rate(
        self, known: Known, views: Sequence[View], standards: Sequence[Standard]
    ) -> list[ViewRatings]:
        """All views, a bounded number at a time; a view's standards follow each other.

        A view that is refused does not stop the others: what they got is kept for the next calls, which ask
        image by image to find the one whose fault it is.
        """
        got: dict[bytes, Rating | None] = {}
        slots = asyncio.Semaphore(self._limits.concurrency)
        async with open_server(self._address, self._limits, self._key) as server:

            async def row(view: View) -> ViewRatings | ImageError:
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

    async def _describe(self, known: Known, views: Sequence[View]) -> list[str | None]:
        """All views, a bounded number at a time."""
        slots = asyncio.Semaphore(self._limits.concurrency)
        async with open_server(self._address, self._limits, self._key) as server:

            async def sentence(view: View) -> str | None:
                async with slots:
                    url = as_url(await asyncio.to_thread(encode, view.pixels))
                    asked = ChatRequest(url, request().prompt, MOST_TOKENS)
                    try:
                        answer = await server.ask(known.model, asked, known.dialect, levels=False)
                    except RefusalError as refusal:
                        raise await fault(server, known, refusal) from None
                    return sentence_of(server.hidden(answer.text), cut=answer.cut)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(sentence(view)) for view in views]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _row(
        self,
        server: Server,
        known: Known,
        view: View,
        standards: Sequence[Standard],
        got: dict[bytes, Rating | None],
    ) -> ViewRatings:
        crop = view.region is not None
        prompts = [standard.fill(view.prompt, crop=crop) for standard in standards]
        if any(0xD800 <= ord(character) <= 0xDFFF for character in view.prompt or ""):
            raise ImageError("The prompt holds bytes that are not Unicode and cannot be sent; correct it.")
        png = await asyncio.to_thread(encode, view.pixels)
        url = as_url(png)
        found: ViewRatings = []
        for standard, prompt in zip(standards, prompts, strict=True):
            key = blake2b(png + repr((standard.hash, prompt)).encode(errors="backslashreplace")).digest()
            if key in self._kept:
                got[key] = self._kept[key]
            else:
                got[key] = await self._rating(server, known, ChatRequest(url, prompt), standard)
            found.append(got[key])
        return found

    async def _rating(
        self, server: Server, known: Known, request: ChatRequest, standard: Standard
    ) -> Rating | None:
        from zeroiqa.raters.chat import parse_number

        levels = standard.kind != "float"
        if not levels:
            request = request._replace(tokens=_FLOAT_TOKENS)
        try:
            answer = await server.ask(known.model, request, known.dialect, levels=levels)
        except RefusalError as refusal:
            raise await fault(server, known, refusal) from None
        if not levels:
            value = parse_number(answer.text, standard.k)
            return None if value is None else Rating(logprobs=(), mass=1.0, value=value)
        if not known.dialect.top:
            return read_digit(answer, standard.k)
        if answer.thought:  # its tokens are not the answer's
            return None
        if not has_distribution(answer):
            raise UserError(f"{server} gives log-probabilities no longer; see what became of it, then go on.")
        rating = read_levels(answer, standard.k)
        return None if rating is None else replace(rating, answer=_kept(server, rating.answer or ""))


def _kept(server: Server, answer: str) -> str:
    """An answered token as it is stored: a number as it is, other words short, printable, without the key."""
    return answer if is_number(answer) else printable(server.hidden(answer))[:_LONGEST_ANSWER]


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


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in content)
