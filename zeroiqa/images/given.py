"""What callers in Python give as an image, as an image: a path, bytes, an array, a tensor, a PIL image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from zeroiqa.errors import ImageError, UserError
from zeroiqa.guards.together import image_errors
from zeroiqa.images.arrays import is_array, is_tensor, samples_of
from zeroiqa.images.decode import DecodePolicy, from_array, from_pil
from zeroiqa.images.decoder import Decoder
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.ref import ImageRef
from zeroiqa.types import Image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import PIL.Image
    import torch

    ImageLike: TypeAlias = (
        str
        | os.PathLike[str]
        | bytes
        | bytearray
        | memoryview
        | IO[bytes]
        | Mapping[str, Any]
        | npt.NDArray[np.generic]
        | torch.Tensor
        | PIL.Image.Image
        | Image
        | ImageRef
    )
    """A path; the bytes of an image file, or a file that is open for reading them, from where it stands; the
    hub's mapping of "bytes" and "path"; an array or a tensor (see `zeroiqa.images.arrays`); a PIL image."""


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
        ref = to_ref(image, name, members)
        if ref is not None:
            return decoder.decode(ref._replace(prompt=prompt), policy, name=name)
        if hasattr(image, "getbands"):
            return from_pil(image, policy, name=name, prompt=prompt)
        if is_tensor(image) or is_array(image):
            return from_array(samples_of(image, name), policy, name=name, prompt=prompt)
    raise UserError(
        f"Image {position} is a {type(image).__name__}; give a path, the bytes of an image file, an open "
        "file, a NumPy array, a tensor or a PIL image."
    )


def to_ref(image: Any, name: str, members: NamedMembers) -> ImageRef | None:
    """The file that a caller gave, by its path or its bytes; None where it gave pixels.

    Args:
        image: What was given.
        name: What it is called where it has no path.
        members: Finds members of archives by their names.

    Raises:
        ImageError: there is nothing to read in it.
    """
    if isinstance(image, ImageRef):
        return image
    if isinstance(image, Mapping):
        return _struct(image, name, members)
    if isinstance(image, str | os.PathLike):
        return _ref_of(os.fspath(image), members)
    if isinstance(image, bytes | bytearray | memoryview):
        return ImageRef(name, content=bytes(image))
    if hasattr(image, "read") and not hasattr(image, "getbands"):
        return ImageRef(name, content=_content(image, name))
    return None


def _struct(image: Mapping[str, Any], name: str, members: NamedMembers) -> ImageRef:
    """The hub's image: the bytes of its file, or else its path."""
    content, path = image.get("bytes"), image.get("path")
    if content is not None:
        return ImageRef(name, content=bytes(content))
    if path:
        return _ref_of(os.fspath(path), members)
    raise ImageError(f"{name} has neither bytes nor a path; give one of them.")


def _content(file: Any, name: str) -> bytes:
    """What an open file holds from where it stands."""
    content = file.read()
    if isinstance(content, str):
        raise ImageError(f'{name} is open as text; open it with mode "rb".')
    if not content:
        raise ImageError(f"{name} has nothing to read where it stands; seek to its beginning.")
    return bytes(content)


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
    if isinstance(image, Mapping):
        image = image.get("path")
    if isinstance(image, str | os.PathLike | ImageRef) and image:
        path = image.path if isinstance(image, ImageRef) else os.fsdecode(image)
        return path if "://" in path else str(Path(path))
    for attribute in ("filename", "name"):  # of PIL images, and of open files
        named = getattr(image, attribute, None)
        if isinstance(named, str) and named:
            return named
    return f"image {position}"
