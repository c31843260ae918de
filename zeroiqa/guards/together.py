"""Work on several images by one call, and keep the failure of one from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from zeroiqa.errors import ImageError, UserError, one_line, printable
from zeroiqa.guards.limits import is_out_of_memory
from zeroiqa.names import escaped

T = TypeVar("T")
U = TypeVar("U")


class Failure(NamedTuple):
    """Why an image has no result."""

    sentence: str
    cause: str | None = None
    """That of the `ImageError`, if it was one."""


def failure_of(error: Exception, name: str) -> Failure:
    """What an error says of the image that was worked on.

    This is the one policy for everything that works on images. An `ImageError`, memory that runs out and what
    nobody has foreseen are the fault of the image: it has an error, and the others go on. Any other
    `UserError` would meet all images, and ends the work; so does what is no `Exception`, such as Ctrl-C.

    Args:
        error: What was raised.
        name: Of the image.

    Raises:
        UserError: the error itself, where it is no fault of the image.
    """
    if isinstance(error, ImageError):
        return Failure(escaped(str(error)), error.cause)
    if isinstance(error, UserError):
        raise error
    if is_out_of_memory(error):  # the same image would stop every resume
        return Failure(f"{printable(name)}: there is not enough memory for this image.")
    reason = escaped(one_line(error, kind=True))
    return Failure(f"{printable(name)}: could not be rated ({reason}).")


@contextmanager
def image_errors(name: str) -> Iterator[None]:
    """Raise what is the fault of an image as an `ImageError`; see `failure_of`.

    Args:
        name: Of the image.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise ImageError(failure_of(error, name).sentence) from error


def together(
    items: Sequence[T],
    work: Callable[[Sequence[T]], Iterable[U]],
    failed: Callable[[T, Failure], U],
    name: Callable[[T], str],
) -> list[U]:
    """The results of work on several images by one call; where it fails, of one call for each.

    Args:
        items: What stands for the images.
        work: Gives a result for each of some items, in their order.
        failed: Gives the result of an item whose own call has failed.
        name: Gives the name of an item's image.

    Raises:
        UserError: the work failed by no fault of an image.
    """
    if not items:
        return []
    try:
        return list(work(items))
    except Exception as error:
        failure = failure_of(error, name(items[0]))
    if len(items) == 1:
        return [failed(items[0], failure)]
    # only now, when nothing holds any more what the failed call had in memory
    return [result for item in items for result in together([item], work, failed, name)]
