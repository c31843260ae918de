"""The forecast of a run without the command line: what is measured, assumed, or not known."""

from __future__ import annotations

import json

import pytest

from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.samples import folder
from zeroiqa.settings import load_settings
from zeroiqa.speed.forecast import Spending, identify, make_forecast, read_bench


def forecast(spending=Spending(), **choices):  # noqa: B008
    settings = load_settings("embedded", {"segmenter": "grid", **choices})
    identities = identify(settings)
    measured = read_bench(spending.bench, identities.raters, identities.method.standards)
    return make_forecast(find_images([str(folder())]), settings, identities.method, measured, spending)


def test_what_needs_no_weights_is_measured_and_the_cost_is_the_sum():
    assert forecast(Spending(), raters=["fake"]).views_per_image == 1.0  # lambda is 0
    found = forecast(Spending(price=2.0, devices=4), raters=["fake"], regions=True)
    assert (found.views_per_image, found.views_source) == (7.0, "measured on 5 of the images")
    assert (found.models, found.memory) == (0, "no weights of raters")
    assert [step.what for step in found.steps] == ["decoding", "segmenting"]
    [rater] = found.raters
    seconds = 7 * sum(step.seconds for step in found.steps) + 49 * rater.seconds
    assert found.cost.device_hours == pytest.approx(seconds / 3600)
    assert found.cost.hours == pytest.approx(seconds / 3600 / 4)
    assert found.cost.money == pytest.approx(seconds / 3600 * 2)
    assert found.cost.without == ()


def test_models_are_counted_and_named_where_their_time_is_not_known(tmp_path):
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps({"rater": "qwen3-vl-8b, random weights", "views_per_second": 50.0}))
    server = "openai:http://localhost:1/v1#some"
    found = forecast(Spending(bench=(bench,)), raters=["qwen3-vl-8b", server], crop="whole")
    assert (found.views_per_image, found.models) == (1.0, 2)
    measured, unknown = found.raters
    assert (measured.what, measured.seconds) == ("qwen3-vl-8b", pytest.approx(0.02))
    assert (unknown.seconds, unknown.source) == (None, "that is up to the server")
    assert found.cost.without == (server,)


def test_several_prompts_and_standards_are_no_single_question(tmp_path):
    """A comparison is 8 prompts of two images: the time of one question says nothing of it."""
    name, bench = "mplug-owl3-240728", tmp_path / "bench.json"
    record = {"rater": f"{name}, random weights", "views_per_second": 50.0, "standard": "quality-word-7"}
    bench.write_text(json.dumps(record))
    on_h100 = {"raters": [name], "crop": "whole"}
    [one] = forecast(Spending(device_type="H100"), **on_h100).raters
    [two] = forecast(
        Spending(device_type="H100"), **on_h100, standards=["quality-word-7", "quality-number-7"]
    ).raters
    assert two.seconds == pytest.approx(2 * one.seconds)
    assert two.source == f"{one.source}; times 2 standards, less where they share the picture"
    [compared] = forecast(Spending(device_type="H100"), **on_h100, standards=["q-debias"]).raters
    assert compared.seconds is None and f"--rater {name} --standard q-debias --format" in compared.source
    with pytest.raises(UserError, match="under quality-word-7, and q-debias asks .* in 8 prompts; measure"):
        forecast(Spending(bench=(bench,)), **on_h100, standards=["q-debias"])
    bench.write_text(json.dumps({**record, "standard": "q-debias"}))
    [measured] = forecast(Spending(bench=(bench,)), **on_h100, standards=["q-debias"]).raters
    assert measured.seconds == pytest.approx(0.02)
    [other] = forecast(Spending(bench=(bench,)), **on_h100).raters
    assert "under q-debias: " in other.source
