"""Runs on a real Ray cluster: several nodes on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command import zeroiqa
from tests.test_runs_executors_local import KILLED, ROOT, SLOW, TRAP, make_images, rows, score, soak

pytest.importorskip("ray")

OPTIONS = ("images", "--rater", "fake", "--rater", "fake:2", "--segmenter", "grid", "--lambda", "1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a cluster of two nodes, and the environment of its drivers; a trap is set for actors."""
    trap = tmp_path_factory.mktemp("trap")
    (trap / "sitecustomize.py").write_text(TRAP)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # names of sockets must be short
        variables = {
            "PYTHONPATH": f"{trap}:{ROOT}",
            "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        code = """
import sys
from ray.cluster_utils import Cluster
small = {"object_store_memory": 80 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
cluster.add_node(num_cpus=2, **small)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        yield process.stdout.readline().strip(), variables
        process.communicate("")


@pytest.fixture
def folder(tmp_path):
    make_images(tmp_path / "images", 20)
    (tmp_path / "images" / "bad.png").write_bytes(b"no image")
    return tmp_path


def test_run_on_a_cluster_equals_one_in_this_process_and_stdout_holds_nothing_else(cluster, folder):
    address, variables = cluster
    done = score(folder, *OPTIONS, "-o", "run", "--ray", address, "--format", "csv", **variables)
    assert done.returncode == 0, done.stderr
    assert "21 images, 1 with an error" in done.stderr
    assert "Ray" not in done.stderr and "ray" not in done.stderr.replace("gray", "")
    here = zeroiqa(folder, "score", *OPTIONS, "-o", "whole", "--workers", "1", "--format", "csv")
    assert here.returncode == 0
    assert done.stdout == here.stdout
    assert (folder / "run" / "scores.csv").read_bytes() == (folder / "whole" / "scores.csv").read_bytes()


def test_images_that_kill_or_hang_their_actor_are_the_only_error_rows(cluster, tmp_path):
    address, variables = cluster
    make_images(tmp_path / "images", 20, killers=(12,), hangs=(2, 13))
    command = (*OPTIONS, "-o", "run", "--ray", address, "--format", "csv", "--image-seconds", "1.5")
    done = score(tmp_path, *command, **variables)
    assert done.returncode == 0, done.stderr
    assert "20 images, 3 with an error" in done.stderr
    assert all(line.startswith(("path,", "images/")) for line in done.stdout.splitlines())
    assert {name: row["error"] for name, row in rows(tmp_path / "run").items() if row["error"]} == {
        "12-killer": KILLED.format("images/12-killer.png"),
        **{f"{n:02}-hang": SLOW.format(f"images/{n:02}-hang.png", 1.5) for n in (2, 13)},
    }


IDLE_DEATH = """
import sys
from pathlib import Path

import ray

from zeroiqa.runs import load_run
from zeroiqa.runs.executors.attempts import Task
from zeroiqa.runs.executors.ray import _Actor

ray.init(address=sys.argv[1], log_to_driver=False)
run = load_run(Path("run"))
greeting = (run, Path.cwd(), False)
actor = ray.remote(_Actor).options(num_cpus=1, max_restarts=-1, max_task_retries=-1).remote()
assert ray.get(actor.greet.remote(*greeting)).error is None
ray.kill(actor, no_restart=False)
print(ray.get(actor.do.remote(*greeting, run.settings.raters, Task(0))).error)
"""


def test_an_actor_that_died_while_it_was_idle_works_on(cluster, folder):
    address, variables = cluster
    assert zeroiqa(folder, "score", *OPTIONS, "-o", "run", "--plan-only").returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", IDLE_DEATH, address],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("None\n")
    assert list((folder / "run").rglob("*.parquet"))[1:]


def test_cluster_without_gpus_is_refused_where_gpus_are_asked_for(cluster, folder):
    address, variables = cluster
    done = score(folder, *OPTIONS, "-o", "run", "--ray", address, "--gpus", "2", **variables)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "Error: The Ray cluster has no GPU, and --gpus 2 asks for some; leave it out to use the CPUs."
    )


def test_auto_joins_the_cluster_that_runs_here(cluster, folder):
    _, variables = cluster
    done = score(folder, *OPTIONS, "-o", "run", "--ray", "auto", **variables)
    assert done.returncode == 0, done.stderr
    workers = {path.name.rpartition("-")[0] for path in (folder / "run" / "events").iterdir()}
    assert len(workers) >= 1
    assert len(list(Path(variables["RAY_TMPDIR"], "ray").glob("session_2*"))) == 1  # no other one was started


def test_the_rows_of_tables_are_scored_on_a_cluster_and_come_back(cluster, folder):
    address, variables = cluster
    table = pa.table({"image": [path.read_bytes() for path in sorted((folder / "images").iterdir())]})
    (folder / "hub").mkdir()
    for part in range(2):
        pq.write_table(table.slice(part * 11, 11), folder / f"hub/{part}.parquet", row_group_size=4)
    places = [("run", "out", ("--ray", address)), ("whole", "here", ("--workers", "1"))]
    for run, out, who in places:
        done = score(folder, "hub", *OPTIONS[1:], "-o", run, "--tables", out, *who, **variables)
        assert done.returncode == 0, done.stderr
    for part in range(2):
        found, expected = (pq.read_table(folder / out / f"{part}.parquet") for out in ("out", "here"))
        assert found.equals(expected) and found.num_rows == (11, 10)[part]
        assert found.select(["image"]).equals(table.slice(part * 11, 11))


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:{free}", "refused"), ("nowhere", "HOST:PORT"), ("ray://:1", "HOST:PORT")],
)
def test_cluster_that_cannot_be_reached_is_said_in_one_sentence(folder, address, reason):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = address.format(free=unused.getsockname()[1])
        done = score(folder, *OPTIONS, "-o", "run", "--ray", place)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: The Ray cluster at {place} cannot be reached (")
    assert reason in done.stderr and done.stderr.count("\n") == 1


def test_ray_that_is_not_installed_is_said_in_one_sentence(folder):
    hidden = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "ray" else find(name, *rest)
sys.modules["ray"] = None
"""
    (folder / "hidden").mkdir()
    (folder / "hidden" / "sitecustomize.py").write_text(hidden)
    done = score(folder, *OPTIONS, "--ray", "auto", PYTHONPATH=f"{folder / 'hidden'}:{ROOT}")
    assert done.returncode == 1
    assert done.stderr == "Error: Ray is not installed, which --ray needs: pip install 'zeroiqa[ray]'.\n"


@pytest.mark.slow
def test_random_kills_of_actors_drivers_and_nodes_leave_every_image_with_exactly_one_row():
    soak("ray", 8, 200)  # of which kinds they are is chance
