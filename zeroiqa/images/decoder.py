"""Read and decode an image within a time limit, if need be in another process; `decode` does the decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from zeroiqa.errors import ImageError, UnreachableError, printable
from zeroiqa.guards.budget import IMAGE_SECONDS, Budget, OverBudgetError, Watchdog, left_behind, unguarded
from zeroiqa.guards.child import KILLS, Child, KilledError, killer
from zeroiqa.images.decode import DecodePolicy, Opened, decode, opened
from zeroiqa.images.read import read
from zeroiqa.images.ref import ImageRef
from zeroiqa.names import escaped
from zeroiqa.types import Image

T = TypeVar("T")


def _nothing(content: bytes) -> None:
    pass


class Decoder:
    """Reads and decodes images, each within its time; several threads may use one.

    A file that may take very long or much memory, as its headers say, is decoded by a child of this process,
    and ordinary ones are decoded here: in the caller's thread, since what follows was slower on pixels
    that a thread of their own had allocated.

    Args:
        seconds: For one image, more than 0; `inf` does not end.
        watchdog: Ends this process when something takes too long here; if left out, a read that does not come
            back is left behind, and decoding is not watched.
        child: The child to use; a new one, which is started when it is needed, if left out.
        all_apart: Whether the child does everything: for images of which a process has died.

    Raises:
        UserError: `seconds` is no such number.
    """

    def __init__(
        self,
        seconds: float = IMAGE_SECONDS,
        watchdog: Watchdog | None = None,
        *,
        child: Child | None = None,
        all_apart: bool = False,
    ) -> None:
        Budget(seconds)  # refuses
        self._seconds = seconds
        self._watchdog = watchdog
        self._child = child or Child()
        self._all_apart = all_apart

    @property
    def seconds(self) -> float:
        """How long one image may take."""
        return self._seconds

    def careful(self) -> Decoder:
        """The same one, whose child does everything."""
        return Decoder(self._seconds, self._watchdog, child=self._child, all_apart=True)

    def budget(self) -> Budget:
        """The time of one more image."""
        return Budget(self._seconds)

    def read(self, ref: ImageRef, policy: DecodePolicy, budget: Budget) -> bytes:
        """The bytes of a file; see `zeroiqa.images.read.read`.

        Raises:
            UnreachableError: it takes too long, too.
        """
        if ref.content is not None:
            return ref.content
        work = partial(read, ref, policy.max_pixels)
        with self._sentences(ref.name, UnreachableError):
            return (
                self._apart(work, budget)
                if self._all_apart
                else (self._watchdog or left_behind)(work, budget)
            )

    def decode(
        self,
        ref: ImageRef,
        policy: DecodePolicy,
        *,
        name: str | None = None,
        look: Callable[[bytes], None] = _nothing,
        budget: Budget | None = None,
        least: int = 0,
    ) -> Image:
        """Read and decode an image; see `zeroiqa.images.decode.decode`.

        Args:
            ref: Where it is.
            policy: See `DecodePolicy`.
            name: The image's name; `ImageRef.name` if not given.
            look: Given the bytes of the file before they are decoded; what it raises comes up.
            budget: What reading has left of the image's time; all of it if left out.
            least: See `zeroiqa.images.decode.Opened.decode`.

        Raises:
            ImageError: the file cannot be decoded, takes too long, or kills the process that does it.
            UserError: an object store refuses everything or cannot be reached.
        """
        budget = budget or self.budget()
        name = name or ref.name
        content = self.read(ref, policy, budget)
        look(content)

        def here() -> Image | Opened:
            found = opened(content, policy, name=name, prompt=ref.prompt)
            return found.decode(least) if found.suspicion is None else found

        with self._sentences(name, ImageError):
            if self._all_apart:
                return self._apart(partial(decode, content, policy, name=name, prompt=ref.prompt), budget)
            found = (self._watchdog or unguarded)(here, budget)
            return found if isinstance(found, Image) else self._apart(partial(found.decode, least), budget)

    def _apart(self, work: Callable[[], T], budget: Budget) -> T:
        for _ in range(KILLS - 1):
            try:
                return self._child(work, budget)
            except KilledError:
                continue
        return self._child(work, budget)

    @contextmanager
    def _sentences(self, name: str, too_long: type[ImageError]) -> Iterator[None]:
        shown = printable(escaped(name))
        try:
            yield
        except OverBudgetError as error:
            raise too_long(
                f"{shown} took longer than {self._seconds:g} s to be read and decoded (--image-seconds); "
                "leave it out or repair it, or allow more time."
            ) from error
        except KilledError as error:
            raise ImageError(killer(shown)) from error
