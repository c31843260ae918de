"""Freed memory stays with the process: counted in pages that the system had to hand out."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from zeroiqa.guards.heap import keep_freed_memory

kept = len(sys.argv) > 1 and keep_freed_memory()
bytearray(40 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytearray(40 << 20)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_arrays_of_the_next_image_take_the_memory_of_the_last_one():
    def pages(*arguments: str) -> tuple[str, int]:
        command = [sys.executable, "-c", PROGRAM, *arguments]
        kept, count = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return kept, int(count)

    usual, kept = pages(), pages("keep")
    assert (usual[0], kept[0]) == ("False", "True")
    assert kept[1] < 100 < usual[1]
