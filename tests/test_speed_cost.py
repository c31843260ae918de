"""Plan before spend: the arithmetic, and what a dry run says of it and where it comes from."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from click.testing import CliRunner

from scripts.count_tflop import tflop_per_view
from zeroiqa.cli import cli
from zeroiqa.errors import UserError
from zeroiqa.samples import folder
from zeroiqa.speed.cost import StepTime, is_live, live_cost, planned_cost, seconds_by_formula
from zeroiqa.weights.cards import model_cards

FAST = StepTime("fast", 0.01, "")
SLOW = StepTime("slow", 1.0, "")
UNKNOWN = StepTime("unknown", None, "")


def test_cost_is_the_sum_over_images_and_views():
    cost = planned_cost(3600, 7200.0, [FAST], [SLOW, FAST], devices=4, price=2.5)
    hours = (3600 * 0.01 + 7200 * 1.01) / 3600
    assert cost.device_hours == pytest.approx(hours)
    assert cost.hours == pytest.approx(hours / 4)
    assert cost.money == pytest.approx(hours * 2.5)
    assert cost.without == ()


def test_what_is_unknown_is_named_and_what_is_known_is_counted():
    cost = planned_cost(100, 200.0, [UNKNOWN], [SLOW], devices=1, price=None)
    assert (cost.device_hours, cost.money, cost.without) == (pytest.approx(200 / 3600), None, ("unknown",))
    nothing = planned_cost(100, None, [], [SLOW], devices=1, price=2.0)
    assert (nothing.device_hours, nothing.money, nothing.without) == (None, None, ("slow",))


def test_formula_is_operations_over_the_reached_peak():
    assert seconds_by_formula(4.0, 1000.0, 0.4) == pytest.approx(0.01)


def test_what_is_left_costs_the_time_of_all_devices():
    cost = live_cost(1800, devices=8, price=3.0)
    assert (cost.hours, cost.device_hours, cost.money) == (0.5, 4.0, 12.0)


@pytest.mark.parametrize(
    ("done", "shards", "live"), [(9, 5, False), (10, 2, False), (10, 3, True), (1000, 1000, True)]
)
def test_live_rate_counts_from_one_percent_and_a_few_shards_on(done, shards, live):
    assert is_live(done, 1000, shards, 1000) is live


def test_run_of_one_shard_is_live_when_that_is_done():
    assert is_live(5, 5, 1, 1)


def test_operations_of_a_card_are_those_that_are_counted():
    counted = tflop_per_view("mplug-owl3-241101", 2)
    assert counted == pytest.approx(4.700302455808)  # as with all weights: results/bench/mplug_owl3.json
    assert model_cards()["mplug-owl3-241101"].tflop_per_view == pytest.approx(counted, rel=0.15)


def dry_run(*arguments, photos=None):
    command = ["score", str(photos or folder()), "--dry-run", "-o", "nowhere", *arguments]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_raters_without_weights_are_measured_on_the_run_s_own_images():
    said = dry_run("--rater", "fake", "--segmenter", "grid", "--regions", "--price", "2")
    assert "views      49, 7 an image (measured on 5 of the images)" in said
    assert "calls      0 views through models" in said
    assert "memory     no weights" in said
    for what in ("decoding", "segmenting", "fake"):
        assert re.search(rf"time +{what}: [\d.e-]+ ms .*measured on 5 of the images", said)
    assert re.search(r"hours +\d s of one device\ncost +0\.00 at 2 an hour", said)
    assert said.endswith("Nothing was done (--dry-run).\n")


def test_images_that_cannot_be_decoded_are_no_guess(tmp_path):
    (tmp_path / "broken.jpg").write_text("no image")
    said = dry_run("--rater", "fake", "--segmenter", "grid", "--regions", photos=tmp_path)
    assert "views      not known: none of the images that were tried can be decoded" in said
    assert "hours      not known" in said


def test_known_model_is_counted_by_formula_and_assumptions_are_said():
    said = dry_run("--preset", "llm-iqa", "--device-type", "H100", "--price", "2", "--devices", "8")
    assert "views      63, 9 an image (assumed: 7 masks, the complement and the whole" in said
    assert "calls      63 views through models" in said
    assert "15.0 GiB for the weights of mplug-owl3-240728" in said
    assert "5.84 TFLOP / (989.4 TFLOP/s x 40%, an assumption)" in said
    assert "time       segmenting: not known" in said
    assert re.search(r"hours +at least .* with 8 devices\ncost +at least", said)
    assert "without segmenting, whose time is not known" in said


def test_views_can_be_given():
    said = dry_run("--preset", "llm-iqa", "--views-per-image", "4.5")
    assert "views      32, 4.5 an image (--views-per-image)" in said


def test_device_that_is_not_named_or_not_known_is_no_guess():
    assert "name the device" in dry_run("--preset", "llm-iqa")
    assert "the peak of Abacus is not known" in dry_run("--preset", "llm-iqa", "--device-type", "Abacus")
    assert "measure it with `zeroiqa bench --rater qwen3-vl-8b" in dry_run("--rater", "qwen3-vl-8b")


def bench_file(path, **fields):
    record = {"rater": "mplug-owl3-240728, random weights", "views_per_second": 50.0, "device": "H100"}
    path.write_text(json.dumps(record | fields))
    return str(path)


def test_what_was_measured_goes_before_the_formula(tmp_path):
    bench = bench_file(tmp_path / "bench.json")
    said = dry_run("--preset", "llm-iqa", "--crop", "whole", "--bench", bench, "--device-type", "H100")
    assert re.search(r"time +mplug-owl3-240728: 20 ms a view \(measured on H100: .*bench\.json\)", said)
    assert "at least" not in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rater": "nss"}, "was measured with nss; the run's raters are"),
        ({"views_per_second": 0}, "is not what `zeroiqa bench"),
        ({"views_per_second": None}, "is not what `zeroiqa bench"),
    ],
)
def test_bench_file_of_something_else_is_refused(tmp_path, fields, said):
    bench = bench_file(tmp_path / "bench.json", **fields)
    with pytest.raises(UserError, match=re.escape(said)):
        dry_run("--preset", "llm-iqa", "--bench", bench)


def test_rater_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="unknown rater 'quen2.5-vl-7b'; did you mean 'qwen2.5-vl-7b'"):
        dry_run("--rater", "quen2.5-vl-7b")


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder() / "cat.jpg", tmp_path)
    dry_run(photos=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cat.jpg"]
