"""Devices, types and memory."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.weights.devices import (  # noqa: E402
    check_memory,
    find_device,
    find_dtype,
    is_device_gone,
    is_out_of_memory,
)


@pytest.mark.parametrize("name", ["cuda:99", "cuda:x", "gpu", "tpu"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(UserError, match=f"There is no device {name} here; found .*cpu."):
        find_device(name)


def test_the_type_is_float32_on_a_cpu_unless_said_otherwise() -> None:
    cpu = torch.device("cpu")
    assert find_dtype("auto", cpu) == find_dtype("auto-float16", cpu) == torch.float32
    gpu = torch.device("mps")  # no GPU is asked what it can do
    assert (find_dtype("auto", gpu), find_dtype("auto-float16", gpu)) == (torch.bfloat16, torch.float16)
    assert find_dtype("bfloat16", cpu) == torch.bfloat16
    with pytest.raises(UserError, match="no type of weights 'int3'; choose one of auto, float32"):
        find_dtype("int3", cpu)


def test_weights_that_the_main_memory_cannot_hold_are_refused_with_both_numbers() -> None:
    cpu = torch.device("cpu")
    check_memory("small", 2**20, cpu)
    with pytest.raises(
        UserError, match=r"of huge need 1048576.0 GiB of memory on cpu, found [\d.]+ GiB free of [\d.]+ GiB;"
    ):
        check_memory("huge", 2**50, cpu)
    check_memory("huge", 2**50, torch.device("cuda"))  # a GPU says so itself


def test_memory_and_lost_devices_are_told_apart() -> None:
    out = [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
    ]
    gone = [RuntimeError("CUDA error: device-side assert triggered"), RuntimeError("CUDA error: unspecified")]

    assert all(is_out_of_memory(error) for error in out)
    assert not any(is_out_of_memory(error) for error in gone)
    assert all(is_device_gone(error) for error in gone)
    assert not is_device_gone(ValueError("CUDA error"))
