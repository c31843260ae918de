"""Servers whose model begins with a thought: asked in other ways until it answers at once, or refused."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import replace

from zeroiqa.chat.likeliest import FirstToken
from zeroiqa.chat.thoughts import find_thought
from zeroiqa.errors import UserError
from zeroiqa.raters.endpoint.answers import Completion, first_token
from zeroiqa.raters.endpoint.client import NO_THOUGHT, ChatRequest, Dialect, Server
from zeroiqa.raters.endpoint.failures import RefusalError

_LOG = logging.getLogger(__name__)
_TOKENS = 8  # enough for a mark of a thought that is written letter by letter
_LEVELS = 7
_QUOTED = 40  # characters of a thought in a message


async def answer_at_once(
    server: Server, model: str, request: ChatRequest, dialect: Dialect, answer: Completion
) -> tuple[Dialect, Completion]:
    """How to ask for an answer without a thought, found by trying.

    Args:
        server: To ask.
        model: As the server calls it.
        request: With a level from 1 to 7 as its answer.
        dialect: What the server takes.
        answer: To the request in this dialect, but for a blank token before it.

    Returns:
        The dialect as it was where no thought begins; else one in which none does and more of the answer is
        a level. With the answer in it.

    Raises:
        UserError: the model thinks however it is asked.
    """
    if dialect.blank_first:
        with suppress(RefusalError):
            answer = await server.ask(model, request, dialect)
    thought = await _thought(server, model, request, dialect, answer)
    if not thought:
        return dialect, answer
    mass = first_token(answer, _LEVELS).mass or 0.0
    for number, fields in enumerate(NO_THOUGHT):
        if not fields or (not {*fields}.intersection(dialect.extras) and "chat_template_kwargs" in fields):
            continue
        asking = replace(dialect, no_thought=number)
        try:
            found = await server.ask(model, request, asking)
        except RefusalError:
            continue
        if await _thought(server, model, request, asking, found):
            continue
        rest = first_token(found, _LEVELS).mass or 0.0
        if rest > mass:
            _LOG.warning(
                "%s begins with a thought (%r); with %s it does not, and the mass on the levels is %.2g, not "
                "%.2g.",
                server,
                server.hidden(thought)[:_QUOTED],
                json.dumps(fields),
                rest,
                mass,
            )
            return asking, found
    raise UserError(
        f"{server} begins its answers with a thought ({server.hidden(thought)[:_QUOTED]!r}), whatever is "
        "asked of it, so that no level comes first; start it without reasoning, or choose another model."
    )


async def ask_first(server: Server, model: str, request: ChatRequest, dialect: Dialect, k: int) -> FirstToken:
    """How a request is answered, with k levels: the likeliest tokens, even where the levels' own are listed.

    Raises:
        RefusalError: the server refuses the request.
    """
    found = first_token(await server.ask(model, request, replace(dialect, level_ids=())), k)
    if not dialect.level_ids:
        return found
    return found._replace(mass=first_token(await server.ask(model, request, dialect), k).mass)


async def _thought(
    server: Server, model: str, request: ChatRequest, dialect: Dialect, answer: Completion
) -> str:
    """The beginning of a thought, where the answer begins with one; else empty."""
    if answer.thought:
        return answer.thought
    beginning = answer.beginning
    if (
        beginning[:1] in {*"<[{\u25c1"} and find_thought(beginning).opened is None
    ):  # perhaps a part of such a mark
        with suppress(RefusalError):
            longer = await server.ask(model, request._replace(tokens=_TOKENS), dialect, levels=False)
            beginning = longer.thought or longer.text.lstrip() or beginning
    return beginning if find_thought(beginning).opened is not None else ""
