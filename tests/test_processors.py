"""One number on every processor: the samples are scored with OpenCV's and NumPy's instruction sets cut back.

Elsewhere the same code takes the same paths; what this machine cannot show is stated in docs/embedded.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import json, sys
import zeroiqa
from zeroiqa.baselines import pixel_baselines
from zeroiqa.images.decode import decode
from zeroiqa.samples import folder

found = {}
method, masked = zeroiqa.load_method(), zeroiqa.load_method(crop="mask")
for path in sorted(p for p in folder().iterdir() if p.suffix in (".jpg", ".png")):
    crops = [method, masked] if path.name in ("cat.jpg", "rocket.png") else [method]
    for each in crops:
        result = zeroiqa.score(path, method=each)
        [score] = result.scores.values()
        boxes = [(region.box, region.area) for region in result.regions]
        found[f"{path.name} {each.crop}"] = [score.s_global, score.region_levels, boxes, result.measures]
    pixels = decode(path).pixels
    found[f"{path.name} baselines"] = [baseline.load()(pixels) for baseline in pixel_baselines()]
assert "torch" not in sys.modules
print(json.dumps(found))
"""
SETTINGS = {
    "all": {},
    "OpenCV without AVX2": {"OPENCV_CPU_DISABLE": "AVX2,FP16"},
    "OpenCV at its least": {
        "OPENCV_CPU_DISABLE": "SSSE3,SSE4_1,SSE4_2,POPCNT,AVX,FP16,FMA3,AVX2,AVX512_COMMON,AVX512_SKX",
        "OPENCV_IPP": "disabled",
        "OPENCV_FOR_THREADS_NUM": "3",
    },
    "the others at their least": {
        "NPY_DISABLE_CPU_FEATURES": " ".join(np.show_config(mode="dicts")["SIMD Extensions"]["found"]),
        "OPENCV_IPP": "sse42",
        "OPENBLAS_CORETYPE": "Nehalem",
        "JSIMD_FORCENONE": "1",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4",
    },
}


def score_samples(setting: dict[str, str]) -> dict[str, list]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **setting}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, list]]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SETTINGS, pool.map(score_samples, SETTINGS.values()), strict=True))


@pytest.mark.parametrize("setting", list(SETTINGS)[1:])
def test_scores_baselines_and_regions_of_the_samples_are_the_same_to_the_last_bit(setting, found):
    expected = found["all"]
    different = [name for name, numbers in found[setting].items() if numbers != expected[name]]
    assert different == []
    assert len(expected) == 16
