"""The import of OpenCV on a machine that lacks its libraries."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "libGL.so.1 is missing; install",
        ),
        (
            "libgthread-2.0.so.0: cannot open shared object file: No such file or directory",
            "libgthread-2.0.so.0 is",
        ),
        ("numpy.core.multiarray failed to import", "OpenCV cannot be imported (numpy.core"),
    ],
)
def test_opencv_without_its_libraries_says_what_to_install(tmp_path, raised, sentence):
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text(f"raise ImportError({raised!r})\n")
    code = """
from zeroiqa.errors import UserError
try:
    import zeroiqa.images.opencv
except UserError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert sentence in done.stdout
    assert "opencv-python-headless" in done.stdout
    assert done.stdout.count("\n") == 1
