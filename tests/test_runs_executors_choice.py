"""The choice of an executor without the command line: who it is, and what does not go together."""

from __future__ import annotations

from importlib.util import find_spec

import joblib
import pytest

from zeroiqa.errors import UserError
from zeroiqa.runs.executors.choice import ChoiceError, ExecutorChoice
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings


def settings(**choices):
    return load_settings("embedded", {"segmenter": "grid", "raters": ["fake"], **choices})


@pytest.mark.parametrize(
    ("choice", "images", "count"),
    [
        (ExecutorChoice(), 3, 1),
        (ExecutorChoice(), 10**6, joblib.cpu_count()),
        (ExecutorChoice(workers=2), 3, 2),
        (ExecutorChoice(workers="2"), 3, 2),
    ],
)
def test_this_machine_does_the_work_where_no_cluster_is_named(choice, images, count):
    executor = choice.executor(images, settings())
    assert executor == LocalExecutor(count)
    assert executor.description == (f"{count} processes" if count > 1 else "1 process")


@pytest.mark.parametrize(
    ("choice", "device", "sentence"),
    [
        (
            ExecutorChoice(gpus=2),
            "auto",
            "--gpus is for --ray; on this machine give --workers",
        ),
        (ExecutorChoice(2, "auto"), "auto", "--workers is for this machine and --ray for a cluster"),
        (
            ExecutorChoice(ray="auto"),
            "cuda:1",
            "--device cuda:1 is one GPU, but Ray gives each actor its",
        ),
        (ExecutorChoice(2), "cuda:1", "--device cuda:1 is one GPU, but each of 2 workers gets its own"),
        (ExecutorChoice(ray="auto", gpus=0), "auto", "--gpus is 0; give a number from 1 on."),
        (ExecutorChoice(0), "auto", "0 is neither a number from 1 on nor auto."),
        (ExecutorChoice(1.5), "auto", "1.5 is neither a number from 1 on nor auto."),
        (ExecutorChoice("many"), "auto", "'many' is neither a number from 1 on nor auto."),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(choice, device, sentence):
    with pytest.raises(ChoiceError) as refused:
        choice.executor(3, settings(device=device))
    assert sentence in str(refused.value)


def test_a_cluster_is_named_in_the_description_or_ray_is_missing():
    if find_spec("ray") is None:
        with pytest.raises(UserError, match="Ray is not installed, which --ray needs"):
            ExecutorChoice(ray="auto").executor(3, settings())
        return
    executor = ExecutorChoice(ray="head:6379", gpus=4).executor(3, settings())
    assert executor.description == "actors of the Ray cluster head:6379, 4 GPUs"
