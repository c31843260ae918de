"""One OpenAI-compatible server: what it is asked, what it takes, and what its failures mean for the user."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from zeroiqa.chat.likeliest import FirstToken
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.opencv import cv2
from zeroiqa.raters.endpoint.address import Address, Limits
from zeroiqa.raters.endpoint.answers import Completion, GarbledError, is_model, read_answer, read_json
from zeroiqa.raters.endpoint.failures import Explainer, RefusalError
from zeroiqa.raters.endpoint.proxy import find_proxy
from zeroiqa.raters.endpoint.transport import UnboundedError, bounded_client
from zeroiqa.standards import FilledPrompt

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from zeroiqa.types import Pixels

T = TypeVar("T")

_GREETING_SECONDS = 10.0
"""Patience with questions that need no model."""
_MOST_TOKENS = 4
"""Of one character, as bytes of UTF-8."""
_EXTRAS: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}, "repetition_penalty": 1.0}
"""Fields beyond OpenAI's, sent to servers that take them. Thinking: the answer would begin with a thought.
Penalty: servers take the model's own default, which punishes the levels that the prompt names."""


NO_THOUGHT: tuple[dict[str, Any], ...] = (
    {},
    {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
    {"chat_template_kwargs": {"enable_thinking": False, "reasoning_effort": "none"}},
    {"reasoning_effort": "none"},
    {"reasoning_effort": "minimal"},
    {"enable_thinking": False},
    {"thinking": {"type": "disabled"}},
    {"reasoning": {"enabled": False}},
)
"""Fields that forbid a thought, each known to some server, in the order of trying; first `_EXTRAS` alone."""


class ChatRequest(NamedTuple):
    """One view under one standard."""

    image_url: str
    """The pixels, as a data URI."""
    prompt: FilledPrompt
    tokens: int = 1
    """How long the answer may be."""


@dataclass(frozen=True)
class Dialect:
    """What a server takes; found out by trying."""

    limit: str = "max_tokens"
    """The field that limits the answer's length."""
    top: int = 20
    """Tokens to list at each position; 0 where the server gives no log-probabilities."""
    level_ids: tuple[int, ...] = ()
    """Tokens to list in place of the most probable ones, where the server does so."""
    system_turn: bool = True
    """Whether the chat template knows a system turn."""
    extras: tuple[str, ...] = tuple(_EXTRAS)
    """Names of `_EXTRAS` that the server takes."""
    no_thought: int = 0
    """Which of `NO_THOUGHT` is sent."""
    blank_first: bool = False
    """Whether an answer begins with a token for a space, so that the digit is the second one."""

    def fields(self, request: ChatRequest, *, levels: bool) -> dict[str, Any]:
        """The body of a request, but for the model and the messages."""
        fields: dict[str, Any] = {
            self.limit: request.tokens + (levels and self.blank_first),
            "temperature": 0,
            "top_p": 1,
            **{name: _EXTRAS[name] for name in self.extras},
            **NO_THOUGHT[self.no_thought],
        }
        if levels and self.top:
            fields |= {"logprobs": True, "top_logprobs": self.top}
            if self.level_ids:
                fields["logprob_token_ids"] = list(self.level_ids)
        return fields

    def messages(self, request: ChatRequest) -> list[dict[str, Any]]:
        """The layout of `ChatTemplate`: the system turn, any text before the image, the image, the text."""
        prompt = request.prompt
        user = [
            {"type": "image_url", "image_url": {"url": request.image_url}},
            {"type": "text", "text": f"{prompt.after_image}{prompt.user}"},
        ]
        before = prompt.before_image
        if prompt.system and not self.system_turn:
            before = f"{prompt.system}\n\n{before}"
        if before:
            user.insert(0, {"type": "text", "text": before})
        turn = {"role": "user", "content": user}
        if prompt.system and self.system_turn:
            return [{"role": "system", "content": prompt.system}, turn]
        return [turn]

    def simpler(self, explanation: str) -> Dialect | None:
        """What to try after a refusal that was explained like this; None where nothing is left to change."""
        words = explanation.casefold()
        if named := [name for name in self.extras if name in words]:
            return replace(self, extras=tuple(name for name in self.extras if name not in named))
        if "logprob" in words and self.top:
            return replace(self, top=5 if self.top > 5 else 0)  # 5 is the limit of several hosts
        if "max_completion_tokens" in words and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if "system" in words and self.system_turn:
            return replace(self, system_turn=False)
        return replace(self, extras=()) if self.extras else None


class Server:
    """Asks one server; to be had from `open_server`, and used within its event loop."""

    def __init__(self, client: AsyncOpenAI, explainer: Explainer) -> None:
        self._client, self._explainer = client, explainer
        self._address, self._limits = explainer.address, explainer.limits

    def __str__(self) -> str:
        return str(self._explainer)

    async def models(self) -> list[str] | None:
        """Names of the models that the server lists; None where it has no such list.

        Raises:
            UserError: there is no server, or it wants another key.
        """
        seconds = min(self._limits.timeout, _GREETING_SECONDS)
        client = self._client.with_options(timeout=seconds, max_retries=min(2, self._limits.retries))
        try:
            listed = read_json(await self._said(client.models.with_raw_response.list(), seconds))
        except (RefusalError, GarbledError):
            return None
        except UnboundedError as error:
            if self._address.model:
                return None
            raise UserError(
                f"{self} lists its models by {error}, which is not read; name one after a #."
            ) from None
        data = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(data, list):
            return None
        names = [entry.get("id") for entry in data if isinstance(entry, dict)]
        return [name for name in names if isinstance(name, str) and name]

    async def ask(
        self, model: str, request: ChatRequest, dialect: Dialect, *, levels: bool = True
    ) -> Completion:
        """One chat completion.

        Args:
            model: As the server calls it.
            request: What to ask.
            dialect: How to ask it.
            levels: Whether the answer is a level, of whose tokens the log-probabilities are wanted.

        Raises:
            RefusalError: the server refuses this request.
            UserError: there is no server, it wants another key, or it gives no answer that can be read.
        """
        asking = self._client.chat.completions.with_raw_response.create(
            model=model,
            messages=dialect.messages(request),  # type: ignore[arg-type]
            extra_body=dialect.fields(request, levels=levels),
        )
        try:
            answer = read_answer(await self._said(asking, self._limits.timeout))
        except (GarbledError, UnboundedError) as error:
            raise UserError(
                f"{self} does not answer as OpenAI's would, but with {self.quoted(str(error))}; check the "
                "address."
            ) from None
        if not is_model(model, answer.model):
            raise UserError(
                f"{self} was asked for {self.quoted(model)}, but {self.quoted(answer.model)} answered; name "
                "the model that shall rate after a #."
            )
        return answer

    async def token_ids(self, model: str, text: str) -> set[int]:
        """The tokens of a text, by the /tokenize of vLLM; empty where the server has none."""
        root = self._address.url.removesuffix("/v1")
        asking = self._client.with_options(timeout=_GREETING_SECONDS, max_retries=0).post(
            f"{root}/tokenize",
            body={"model": model, "prompt": text, "add_special_tokens": False},
            cast_to=object,
        )
        try:
            record = await asking
        except Exception:  # a server without it may do whatever it likes
            return set()
        tokens = record.get("tokens") if isinstance(record, dict) else None
        if not isinstance(tokens, list) or len(tokens) > _MOST_TOKENS * len(text):
            return set()
        return {*tokens} if all(type(token) is int and 0 <= token < 1 << 31 for token in tokens) else set()

    def quoted_names(self, names: list[str]) -> str:
        """Models for a sentence."""
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        return ", ".join(self.quoted(name) for name in names[:10]) + more

    def hidden(self, text: str) -> str:
        """Words of the server as they are, but without the key."""
        return self._explainer.hidden(text)

    def shown(self, first: FirstToken) -> FirstToken:
        """The likeliest tokens as they may be shown."""
        return first._replace(likeliest=tuple((self.hidden(text), share) for text, share in first.likeliest))

    def quoted(self, text: str) -> str:
        """Words of the server for a sentence: short, printable, without the key."""
        return self._explainer.quoted(text)

    async def _said(self, asking: Awaitable[Any], seconds: float) -> str:
        """The body of an answer; whatever goes wrong on the way becomes a sentence, but for its bounds."""
        try:
            return str((await asking).text)
        except Exception as error:
            for found in (error, error.__cause__):  # older clients wrap whatever happens
                if isinstance(found, UnboundedError):
                    raise found from None
            raise await self._explainer.explain(error, seconds) from None


@asynccontextmanager
async def open_server(address: Address, limits: Limits, key: str) -> AsyncIterator[Server]:
    """A server whose connections last as long as the block.

    Raises:
        UserError: the package openai is missing.
    """
    try:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout
    except ImportError:
        raise UserError(
            "A server is asked by the package openai, which is missing; pip install 'zeroiqa[endpoint]'."
        ) from None
    proxy = find_proxy(address.url)
    explainer = Explainer(address, limits, proxy, key)
    try:
        client = AsyncOpenAI(
            base_url=address.url,
            api_key=key or "none",  # the client insists on one; servers that want none do not look
            timeout=Timeout(limits.timeout, connect=min(limits.timeout, _GREETING_SECONDS)),
            max_retries=limits.retries,
            default_headers={"Accept-Encoding": "identity"},
            http_client=bounded_client(DefaultAsyncHttpxClient, proxy.url if proxy else None),
        )
    except Exception as error:  # a host that is no name, certificates or a proxy that are not there
        raise await explainer.explain(error, 0) from None
    async with client:
        yield Server(client, explainer)


def run_aside(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own: in this one, a notebook runs a loop already.

    Ctrl-C cancels it, requests in flight included.
    """
    cancel: Future[Any] = Future()

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, main())
        try:
            return running.result()
        except BaseException:
            with suppress(RuntimeError):  # it has just ended by itself
                cancel.result()()
            raise


def encode(pixels: Pixels) -> bytes:
    """RGB, shape (height, width, 3), as PNG: lossless, for the artefacts of a JPEG would be rated as well.

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


def as_url(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
