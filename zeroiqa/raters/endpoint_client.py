"""One OpenAI-compatible server: what it is asked, what it takes, and what its failures mean for the user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from zeroiqa.errors import UserError, printable
from zeroiqa.raters.endpoint_address import Address, Limits
from zeroiqa.raters.endpoint_answers import Answer, GarbledError, is_model, read_answer, read_json
from zeroiqa.standards import FilledPrompt

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

_GREETING_SECONDS = 10.0
"""Patience with questions that need no model."""
_LONGEST_QUOTE = 200
"""Characters of a server's own words within a sentence."""
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


class RefusalError(Exception):
    """The server will not answer this one request."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status, said)
        self.status = status
        """HTTP status, 4xx or 5xx."""
        self.said = said
        """The server's own words, short, printable and without the key."""


class Question(NamedTuple):
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

    def fields(self, question: Question, *, levels: bool) -> dict[str, Any]:
        """The body of a request, but for the model and the messages."""
        fields: dict[str, Any] = {
            self.limit: question.tokens + (levels and self.blank_first),
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

    def messages(self, question: Question) -> list[dict[str, Any]]:
        """The layout of `ChatTemplate`: the system turn, then the image, a line break and the text."""
        prompt = question.prompt
        user = [
            {"type": "image_url", "image_url": {"url": question.image_url}},
            {"type": "text", "text": f"{prompt.after_image}{prompt.user}"},
        ]
        if prompt.system and not self.system_turn:
            user.insert(0, {"type": "text", "text": f"{prompt.system}\n\n"})
        asked = {"role": "user", "content": user}
        if prompt.system and self.system_turn:
            return [{"role": "system", "content": prompt.system}, asked]
        return [asked]

    def simpler(self, said: str) -> Dialect | None:
        """What to try after a refusal that was explained like this; None where nothing is left to change."""
        said = said.casefold()
        if named := [name for name in self.extras if name in said]:
            return replace(self, extras=tuple(name for name in self.extras if name not in named))
        if "logprob" in said and self.top:
            return replace(self, top=5 if self.top > 5 else 0)  # 5 is the limit of several hosts
        if "max_completion_tokens" in said and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if "system" in said and self.system_turn:
            return replace(self, system_turn=False)
        return replace(self, extras=()) if self.extras else None


class Server:
    """Asks one server; to be had from `open_server`, and used within its event loop."""

    def __init__(self, client: AsyncOpenAI, address: Address, limits: Limits, key: str) -> None:
        self._client, self._address, self._limits, self._key = client, address, limits, key

    def __str__(self) -> str:
        return f"The server {self._address.url}"

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
        data = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(data, list):
            return None
        names = [entry.get("id") for entry in data if isinstance(entry, dict)]
        return [name for name in names if isinstance(name, str) and name]

    async def ask(self, model: str, question: Question, dialect: Dialect, *, levels: bool = True) -> Answer:
        """One chat completion.

        Args:
            model: As the server calls it.
            question: What to ask.
            dialect: How to ask it.
            levels: Whether the answer is a level, of whose tokens the log-probabilities are wanted.

        Raises:
            RefusalError: the server refuses this request.
            UserError: there is no server, it wants another key, or it gives no answer that can be read.
        """
        asking = self._client.chat.completions.with_raw_response.create(
            model=model,
            messages=dialect.messages(question),  # type: ignore[arg-type]
            extra_body=dialect.fields(question, levels=levels),
        )
        text = await self._said(asking, self._limits.timeout)
        try:
            answer = read_answer(text)
        except GarbledError as error:
            raise UserError(
                f"{self} does not answer as OpenAI's would, but with {self._quoted(str(error))}; check the "
                "address."
            ) from None
        if not is_model(model, answer.model):
            raise UserError(
                f"{self} was asked for {printable(model)}, but {self._quoted(answer.model)} answered; name "
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
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            return set()
        return set(tokens)

    def quoted_names(self, names: list[str]) -> str:
        """Models for a sentence."""
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        return ", ".join(self._quoted(name) for name in names[:10]) + more

    async def _said(self, asking: Awaitable[Any], seconds: float) -> str:
        """The body of an answer; whatever goes wrong on the way becomes a sentence."""
        import openai

        try:
            return str((await asking).text)
        except openai.APITimeoutError:
            remedy = "" if seconds < self._limits.timeout else ", or set ZEROIQA_ENDPOINT_TIMEOUT higher"
            raise UserError(
                f"{self} gave no answer within {seconds:g} seconds; see whether it is the right one and not "
                f"overloaded{remedy}."
            ) from None
        except openai.APIConnectionError as error:
            reason = self._quoted(str(error.__cause__ or error))
            raise UserError(
                f"{self} cannot be reached ({reason}); start it, or correct the address."
            ) from None
        except openai.APIStatusError as error:
            raise self._status_error(error.status_code, error.response.text) from None
        except Exception as error:  # of whatever lies between the server and us
            reason = self._quoted(f"{type(error).__name__}: {error}")
            raise UserError(f"{self} cannot be asked ({reason}); check the address.") from None

    def _status_error(self, status: int, body: str) -> Exception:
        said = self._quoted(_explanation(body))
        if status in (401, 403):
            found = "refuses the key" if self._key else "wants a key"
            return UserError(f"{self} {found} (HTTP {status}: {said}); set ZEROIQA_API_KEY to a valid one.")
        if status == 429:
            return UserError(
                f"{self} accepts no more requests (HTTP 429: {said}); give the same command again later, or "
                f"set ZEROIQA_ENDPOINT_CONCURRENCY below {self._limits.concurrency}."
            )
        return RefusalError(status, said)

    def _quoted(self, text: str) -> str:
        """Words of a server, fit for a sentence: without the key, control characters and line ends."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = printable(" ".join(text.split())).rstrip(".;, ")
        return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


@asynccontextmanager
async def open_server(address: Address, limits: Limits, key: str) -> AsyncIterator[Server]:
    """A server whose connections last as long as the block.

    Raises:
        UserError: the package openai is missing.
    """
    try:
        from openai import AsyncOpenAI, Timeout
    except ImportError:
        raise UserError(
            "A server is asked by the package openai, which is missing; pip install 'zeroiqa[endpoint]'."
        ) from None
    try:
        client = AsyncOpenAI(
            base_url=address.url,
            api_key=key or "none",  # the client insists on one; servers that want none do not look
            timeout=Timeout(limits.timeout, connect=min(limits.timeout, _GREETING_SECONDS)),
            max_retries=limits.retries,
        )
    except Exception as error:  # a host that is no name, certificates that are not there
        raise UserError(f"The server {address.url} cannot be asked ({error}); check the address.") from None
    async with client:
        yield Server(client, address, limits, key)


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


def _explanation(body: str) -> str:
    """The message within an error's body, of which each server has a shape of its own."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return body or "no explanation"
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    return found if isinstance(found, str) else json.dumps(found)
