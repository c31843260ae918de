"""`scripts/score_dataset.py`: a data set in, the same with scores out; and Ray Data with an actor of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import zeroiqa
from zeroiqa.samples import folder

datasets = pytest.importorskip("datasets")
ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "score_dataset.py"
SAMPLES = sorted([*folder().glob("*.jpg"), *folder().glob("*.png")])[:3]
SCORES = [zeroiqa.score(path).score for path in SAMPLES]


def run(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": str(ROOT), "HF_HOME": str(here / "home"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=here, env={**os.environ, **variables}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.fixture
def data_set() -> Any:
    datasets.disable_progress_bars()
    features = datasets.Features({"photo": datasets.Image(), "n": datasets.Value("int8")})
    return datasets.Dataset.from_dict({"photo": list(map(str, SAMPLES)), "n": [1, 2, 3]}, features=features)


def test_the_block_that_uv_reads_asks_for_what_the_script_imports() -> None:
    block = re.search(r"^# /// script\n((?:#.*\n)+?)# ///$", SCRIPT.read_text(), re.MULTILINE)
    assert block is not None
    found = tomllib.loads(re.sub(r"^# ?", "", block[1], flags=re.MULTILINE))
    names = {re.split(r"[<>=]", each)[0] for each in found["dependencies"]}
    assert names == {"zeroiqa", "datasets", "pandas"}
    source = SCRIPT.parent / found["tool"]["uv"]["sources"]["zeroiqa"]["path"]
    assert (source / "setup.cfg").is_file()


@pytest.mark.slow
def test_a_data_set_goes_in_and_comes_out(tmp_path: Path, data_set: Any) -> None:
    data_set.to_parquet(tmp_path / "in.parquet")
    done = run(tmp_path, "in.parquet", "out.parquet")
    assert done.returncode == 0, done.stderr
    assert "3 rows, 0 with an error: out.parquet" in done.stdout
    found = datasets.Dataset.from_parquet(str(tmp_path / "out.parquet"), cache_dir=str(tmp_path / "cache"))
    assert found["score"][:] == SCORES
    assert isinstance(found.features["photo"], datasets.Image)
    data_set.save_to_disk(tmp_path / "disk")
    done = run(tmp_path, "disk", "scored", "--column-prefix", "q_", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert datasets.load_from_disk(tmp_path / "scored")["q_score"][:] == SCORES
    done = run(tmp_path, "disk", "never", "--image-column", "n")
    assert (done.returncode, "holds no images" in done.stderr) == (1, True)


RAY_DATA = """
import sys
import ray
import zeroiqa

class Scorer:
    \"\"\"Holds the method, as each actor of Ray Data does.\"\"\"

    def __init__(self):
        self.method = zeroiqa.load_method()

    def __call__(self, batch):
        import pyarrow as pa
        return zeroiqa.score_table(batch, method=self.method)

ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False)
found = ray.data.read_parquet(sys.argv[1]).map_batches(
    Scorer, batch_format="pyarrow", batch_size=2, compute=ray.data.ActorPoolStrategy(size=1)
)
for row in found.sort("n").take_all():
    print("row", row["n"], repr(row["score"]))
"""


@pytest.mark.slow
def test_ray_data_maps_batches_to_the_same_scores(tmp_path: Path, data_set: Any) -> None:
    pytest.importorskip("ray.data")
    data_set.to_parquet(tmp_path / "in.parquet")
    (tmp_path / "example.py").write_text(RAY_DATA)
    variables = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "example.py", "in.parquet"],
        cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("row ")]
    assert rows == [repr(score) for score in SCORES]
