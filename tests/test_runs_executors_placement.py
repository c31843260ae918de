from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zeroiqa.runs.executors.placement import Placement, named_gpus, placements, usable_gpus, visible_gpus
from zeroiqa.settings import load_settings

ROOT = Path(__file__).parents[1]
EMBEDDED = load_settings("embedded", {"raters": ["fake"]})
WHOLE_GPUS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-6c4d8f2e-1c5e-4b9a-a4ff-1c2f5cb5c001)
"""
DIVIDED_GPU = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-6c4d8f2e-1c5e-4b9a-a4ff-1c2f5cb5c001)
"""


def model(device="auto"):
    return load_settings("embedded", {"raters": ["hf:somewhere"], "crop": "whole", "device": device})


@pytest.mark.parametrize(
    ("variable", "found"),
    [
        ("0", ("0",)),
        ("2,3", ("2", "3")),
        (" 1 , 0 ", ("1", "0")),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),
        ("NoDevFiles", ()),
        ("GPU-5d5ba0d6,GPU-6c4d8f2e", ("GPU-5d5ba0d6", "GPU-6c4d8f2e")),
        ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",)),
        ("MIG-GPU-5d5ba0d6/1/0", ("MIG-GPU-5d5ba0d6/1/0",)),
    ],
)
def test_variable_decides_which_gpus_are_used(variable, found):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": variable}) == found


def test_driver_lists_gpus_and_parts_of_gpus():
    assert named_gpus(WHOLE_GPUS) == (
        "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77",
        "GPU-6c4d8f2e-1c5e-4b9a-a4ff-1c2f5cb5c001",
    )
    assert named_gpus(DIVIDED_GPU) == (
        "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
        "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb",
        "GPU-6c4d8f2e-1c5e-4b9a-a4ff-1c2f5cb5c001",
    )
    assert named_gpus("No devices found.\n") == ()


def test_program_of_the_driver_is_asked_where_the_variable_is_not_set(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<END\n{WHOLE_GPUS}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert len(visible_gpus({})) == 2


def test_each_worker_has_a_gpu_and_more_workers_share(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-abc")
    assert [placement.gpu for placement in placements(2, model())] == ["4", "GPU-abc"]
    assert [placement.gpu for placement in placements(3, model("cuda"))] == ["4", "GPU-abc", "4"]
    assert all(
        placement.environment["CUDA_VISIBLE_DEVICES"] == placement.gpu for placement in placements(2, model())
    )


@pytest.mark.parametrize("settings", [EMBEDDED, model("cpu"), model("cuda:1"), model("mps")])
def test_gpus_are_left_alone_where_none_is_spread(settings, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert usable_gpus(settings) == ()
    assert all("CUDA_VISIBLE_DEVICES" not in placement.environment for placement in placements(2, settings))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_cores_are_shared_out_without_gpus():
    cores = os.sched_getaffinity(0)
    found = placements(len(cores), EMBEDDED)
    assert [len(placement.cores) for placement in found] == [1] * len(cores)
    assert {core for placement in found for core in placement.cores} == cores
    assert all(placement.threads == 1 for placement in found)
    assert [placement.cores for placement in placements(len(cores) + 1, EMBEDDED)] == [()] * (len(cores) + 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_process_and_its_threads_are_bound_to_the_cores():
    core = max(os.sched_getaffinity(0))
    code = f"""
import os, threading, numpy
from zeroiqa.runs.executors.placement import Placement
stop = threading.Event()
threading.Thread(target=stop.wait).start()
Placement(None, ({core},), 1).enter()
print([sorted(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")])
stop.set()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bound = eval(done.stdout)
    assert len(bound) >= 2 and all(cores == [core] for cores in bound)


def test_threads_of_libraries_are_as_many_as_the_cores():
    assert set(Placement(None, (0, 1, 2), 3).environment.values()) == {"3"}
