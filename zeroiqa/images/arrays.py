"""Arrays and tensors in memory as samples: one rule says which axis is what, and which number is white.

* NumPy arrays, and what NumPy can read (`__array__`): (height, width), or (height, width, channels).
* Tensors of torch: (height, width), or (channels, height, width); one image as a batch of one is it, too.
* 1 channel is grey, 2 grey and alpha, 3 RGB, 4 RGBA.
* uint8 from 0 to 255, uint16 from 0 to 65535, bool; or floating point from 0 to 1.

Nothing is guessed: whatever does not fit is refused in a sentence that says how it would.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import ImageError

_CHANNELS = (1, 2, 3, 4)


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor of torch, which need not be loaded to tell."""
    return all(hasattr(value, name) for name in ("detach", "cpu", "numpy", "permute"))


def is_array(value: Any) -> bool:
    """Whether NumPy can read this as an array: one of its own, of JAX, of TensorFlow."""
    return hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape")


def samples_of(value: Any, shown: str) -> npt.NDArray[Any]:
    """An array or tensor as samples.

    Args:
        value: See the module.
        shown: Its name, for a message.

    Returns:
        Shape (height, width) or (height, width, 1 to 4); uint8, uint16 or bool.

    Raises:
        ImageError: it has another shape or type, or samples out of its range.
    """
    array = _from_tensor(value, shown) if is_tensor(value) else _from_array(value, shown)
    if array.dtype.kind == "f":
        return _from_floats(array, shown)
    if array.dtype == np.bool_ or (array.dtype.kind == "u" and array.dtype.itemsize <= 2):
        return array
    raise ImageError(
        f"{shown} holds samples of type {array.dtype}, whose range is not known; convert them to uint8 (0 to "
        "255), or to floating point from 0 to 1."
    )


def _from_array(value: Any, shown: str) -> npt.NDArray[Any]:
    array = np.asarray(value)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS):
        return array
    hint = ""
    if array.ndim == 3 and array.shape[0] in _CHANNELS:
        hint = "; give array.transpose(1, 2, 0)"
    elif array.ndim == 4:
        hint = "; give each image of a batch on its own, or the batch to score_images"
    raise ImageError(
        f"{shown} has the shape {array.shape}, and an array is (height, width) or (height, width, 1 to 4 "
        f"channels){hint}."
    )


def _from_tensor(tensor: Any, shown: str) -> npt.NDArray[Any]:
    shape = tuple(tensor.shape)
    if len(shape) == 4 and shape[0] == 1:
        tensor, shape = tensor[0], shape[1:]
    if len(shape) == 2 or (len(shape) == 3 and shape[0] in _CHANNELS):
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.float()  # NumPy has no bfloat16
        array: npt.NDArray[Any] = tensor.numpy()
        return array if len(shape) == 2 else np.moveaxis(array, 0, -1)
    hint = ""
    if len(shape) == 3 and shape[2] in _CHANNELS:
        hint = "; give tensor.permute(2, 0, 1)"
    elif len(shape) == 4:
        hint = "; give each image of a batch on its own, or the batch to score_images"
    raise ImageError(
        f"{shown} has the shape {shape}, and a tensor is (height, width) or (1 to 4 channels, height, "
        f"width){hint}."
    )


def _from_floats(array: npt.NDArray[Any], shown: str) -> npt.NDArray[np.uint8]:
    """Floating point from 0 to 1 as bytes, rounded to the nearest."""
    if not array.size:
        return np.zeros(array.shape, np.uint8)  # its size is what is wrong with it
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{shown} holds samples that are no finite numbers; replace them.")
    if low < 0 or high > 1:
        advice = (
            "divide them by 255, or convert them to uint8"
            if low >= 0 and high <= 255
            else "undo the normalisation by mean and deviation"
        )
        raise ImageError(
            f"{shown} holds samples from {low:g} to {high:g}, and those of floating point lie from 0 to 1; "
            f"{advice}."
        )
    return np.round(array.astype(np.float64) * 255).astype(np.uint8)
