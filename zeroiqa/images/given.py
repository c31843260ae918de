"""What callers in Python give as an image, as an image: a path, bytes, an array, a PIL image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from zeroiqa.errors import ImageError, UserError
from zeroiqa.guards.together import image_errors
from zeroiqa.images.decode import DecodePolicy, from_array, from_pil
from zeroiqa.images.decoder import Decoder
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.ref import ImageRef
from zeroiqa.types import Image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import PIL.Image

    ImageLike: TypeAlias = (
        str | os.PathLike[str] | bytes | npt.NDArray[np.generic] | PIL.Image.Image | Image | ImageRef
    )
    """A path, the bytes of an image file, an array (height, width[, channels]) in RGB order, a PIL image."""


def to_image(
    image: Any,
    prompt: str | None,
    *,
    policy: DecodePolicy,
    decoder: Decoder,
    members: NamedMembers,
    position: int = 0,
) -> Image:
    """The decoded image that a caller gave.

    Args:
        image: An `ImageLike`; one that is decoded already stays what it is.
        prompt: The text that it was generated from.
        policy: How it is decoded.
        decoder: Reads and decodes it within its time.
        members: Finds members of archives by their names.
        position: Its number among the images of the call.

    Raises:
        ImageError: it cannot be read or decoded.
        UserError: it is nothing of the kind.
    """
    if isinstance(image, Image):
        return image
    name = name_of(image, position)
    with image_errors(name):
        if isinstance(image, str | os.PathLike):
            image = _ref_of(os.fspath(image), members)
        if isinstance(image, bytes):
            image = ImageRef(name, content=image)
        if isinstance(image, ImageRef):
            return decoder.decode(image._replace(prompt=prompt), policy, name=name)
        if hasattr(image, "__array_interface__") and hasattr(image, "dtype"):
            return from_array(image, policy, name=name, prompt=prompt)
        if hasattr(image, "getbands"):
            return from_pil(image, policy, name=name, prompt=prompt)
    raise UserError(
        f"Image {position} is a {type(image).__name__}; "
        "give a path, the bytes of an image file, a NumPy array or a PIL image."
    )


def _ref_of(path: str, members: NamedMembers) -> ImageRef:
    """The image that a path means; whether a file is there is said by reading it."""
    try:
        member = members.find(path)
    except UserError as error:  # its archive is damaged
        raise ImageError(str(error)) from error
    return ImageRef(path) if member is None else member.as_it_is_now


def name_of(image: Any, position: int) -> str:
    """What an image is called that a caller gave, in results and messages."""
    if isinstance(image, Image):
        return image.name
    if isinstance(image, str | os.PathLike | ImageRef):
        path = image.path if isinstance(image, ImageRef) else os.fsdecode(image)
        return path if "://" in path else str(Path(path))
    filename = getattr(image, "filename", None)
    return filename if isinstance(filename, str) and filename else f"image {position}"
