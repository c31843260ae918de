"""Getting to know a server: which model it has, how it wants to be asked, and whose fault a refusal is."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from zeroiqa.chat.likeliest import off_the_scale
from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.raters.endpoint.answers import Completion, first_token, has_distribution, listed_levels
from zeroiqa.raters.endpoint.client import ChatRequest, Dialect, Server, as_url, encode
from zeroiqa.raters.endpoint.failures import RefusalError
from zeroiqa.raters.endpoint.thoughts import answer_at_once
from zeroiqa.standards import FilledPrompt

_LOG = logging.getLogger(__name__)

_OF_ONE_VIEW = (400, 413, 422, 500)
"""Statuses that may be the fault of one view (too large for the model's context, say) or of everything."""
_PROBE = FilledPrompt(
    "You judge the quality of images.", "Rate the quality of the image from 1 to 7. Answer with one digit."
)


@dataclass(frozen=True)
class Known:
    """What asking the server once has shown."""

    model: str
    """As the server calls it."""
    shown: str
    """The same, printable and without the key."""
    dialect: Dialect


async def meet(server: Server, model: str | None) -> Known:
    """Find out how to ask a server.

    Args:
        server: To ask.
        model: As the server calls it; None takes the only one that it lists.

    Raises:
        UserError: the server cannot be used.
    """
    listed = await server.models()
    model = model or _only(server, listed)
    dialect, answer = await _agree(server, model, listed)
    dialect, answer = await answer_at_once(server, model, _probe(), dialect, answer)
    if dialect.top and not has_distribution(answer):
        dialect = replace(dialect, top=0)
    first = answer.positions[0].token.text if answer.positions else answer.text
    if answer.cut and not first.strip("\u2581\u0120 \t\n"):
        dialect = replace(dialect, blank_first=True)
        dialect, answer = await answer_at_once(server, model, _probe(), dialect, answer)
    if warning := off_the_scale(str(server), server.shown(first_token(answer, 7))):
        _LOG.warning("%s", warning)
    if dialect.top:
        dialect = await _with_level_ids(server, model, dialect)
    return Known(model, printable(server.hidden(model)), dialect)


async def fault(server: Server, known: Known, refusal: RefusalError) -> UserError:
    """Whose fault a refusal is: the view's, if the server still answers to another one."""
    if refusal.status in _OF_ONE_VIEW:
        try:
            await server.ask(known.model, _probe(), known.dialect)
        except RefusalError:
            pass
        else:
            return ImageError(f"{server} refuses a view (HTTP {refusal.status}: {refusal.explanation}).")
    return _refused(server, known.model, [known.model], refusal)


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


async def _agree(server: Server, model: str, listed: list[str] | None) -> tuple[Dialect, Completion]:
    """How to ask the server, and what it answered to the probe: less and less is asked until it answers."""
    dialect: Dialect | None = Dialect()
    while True:
        assert dialect is not None
        try:
            return dialect, await server.ask(model, _probe(), dialect)
        except RefusalError as refusal:
            dialect = dialect.simpler(refusal.explanation) if refusal.status in (400, 422) else None
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


def _refused(server: Server, model: str, listed: list[str] | None, refusal: RefusalError) -> UserError:
    why = f"HTTP {refusal.status}: {refusal.explanation}"
    if refusal.status >= 500:
        return UserError(f"{server} fails ({why}); see its log, then give the same command again.")
    if refusal.status == 404 and not listed:
        return UserError(f"{server} has nothing to ask ({why}); see whether the address should end in /v1.")
    if listed and model not in listed:
        found = "has no model" if refusal.status == 404 else "does not rate by"
        return UserError(
            f"{server} {found} {server.quoted(model)} ({why}); it lists {server.quoted_names(listed)}."
        )
    return UserError(
        f"{server} does not rate ({why}); put that right, or choose another model that sees images."
    )


def _probe() -> ChatRequest:
    """A small picture with some detail, and a request that has a level as its answer."""
    rows, columns = np.mgrid[0:64, 0:64]
    pixels = np.stack([rows * 4, columns * 4, (rows ^ columns) * 4], axis=-1).astype(np.uint8)
    return ChatRequest(as_url(encode(pixels)), _PROBE)
