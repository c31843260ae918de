"""What hubs and servers have replied: each question is asked once in a command, whoever needs the reply."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from zeroiqa.errors import UserError

T = TypeVar("T")


class Replies:
    """Questions and what was replied to each. A copy (pickle) for another process has all of them."""

    def __init__(self) -> None:
        self._replies: dict[Hashable, tuple[Any, UserError | None]] = {}

    def once(self, question: Hashable, ask: Callable[[], T]) -> T:
        """The reply to a question, which is asked if nobody has asked it yet.

        Args:
            question: Names it; the kind of who replies comes first, such as "hub".
            ask: Asks it.

        Raises:
            UserError: that which `ask` raised when the question was asked.
        """
        if question not in self._replies:
            try:
                self._replies[question] = (ask(), None)
            except UserError as error:
                self._replies[question] = (None, error)
        reply, refusal = self._replies[question]
        if refusal is not None:
            raise refusal
        found: T = reply
        return found

    def noted(self, question: Hashable) -> Any:
        """What was replied to a question, or noted under it; None if that is nothing."""
        return self._replies.get(question, (None, None))[0]

    def note(self, question: Hashable, reply: object) -> None:
        """Keep what follows from another reply, so that nobody has to ask for it."""
        self._replies[question] = (reply, None)
