"""The header of a file of weights: what tensors there are. It is checked before anything is made room for."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.weights.model_files import MOST_INDEX

_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2"), 8),
}
"""Of one number; types that are not here are left to the package safetensors."""


_MOST_AXES = 64


class _Tensor(NamedTuple):
    """What a header says of one tensor."""

    begin: int
    end: int
    numbers: int
    bits: int | None


def count_numbers(path: Path) -> int:
    """How many numbers a file holds, by its header.

    Raises:
        OSError: it cannot be read.
        UserError: the header contradicts itself or the file, or is longer than any.
    """
    try:
        header = _read(path)
        found = {name: _tensor(each) for name, each in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it is no list of tensors"
        raise _damaged(path, reason) from None
    _check(path, found)
    return sum(tensor.numbers for tensor in found.values())


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise ValueError(f"it has {len(first)} bytes")
        length = struct.unpack("<Q", first)[0]
        left = path.stat().st_size - 8
        if length > min(left, MOST_INDEX):
            raise ValueError(f"it claims {length:,} bytes, where {left:,} are and {MOST_INDEX:,} may be")
        found: dict[str, Any] = json.loads(file.read(length))
    return found


def _tensor(record: dict[str, Any]) -> _Tensor:
    shape, (begin, end) = record["shape"], record["data_offsets"]
    if len(shape) > _MOST_AXES or not all(
        type(number) is int and 0 <= number < 1 << 63 for number in (*shape, begin, end)
    ):
        raise ValueError("a shape or a place is none")
    return _Tensor(begin, end, math.prod(shape), _BITS.get(str(record["dtype"])))


def _check(path: Path, found: dict[str, _Tensor]) -> None:
    """Refuse tensors that do not fill their place, or share it."""
    before, last = 0, ""
    for name, tensor in sorted(found.items(), key=lambda entry: entry[1][:2]):
        wrong, size = "", tensor.end - tensor.begin
        if tensor.bits is not None and tensor.numbers * tensor.bits != 8 * size:
            wrong = f"has {tensor.numbers:,} numbers of {tensor.bits} bits in {size:,} bytes"
        elif tensor.end < tensor.begin or tensor.begin < before:
            wrong = f"begins at {tensor.begin:,}, within {last or 'nothing'}"
        if wrong:
            raise _damaged(path, f"the tensor {name[:99]} {wrong}")
        before, last = tensor.end, name[:99]


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        f"{printable(str(path))} cannot be loaded, for its header is damaged ({printable(reason[:300])}); "
        "fetch the model again."
    )
