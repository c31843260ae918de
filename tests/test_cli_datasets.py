"""`zeroiqa datasets` says what there is, where to get it and how it is laid out."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from zeroiqa.cli.commands.datasets import datasets
from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.read import dataset_cards


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(datasets, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_list_has_each_database_with_scale_licence_and_address():
    head, *lines = printed().splitlines()
    assert head.split() == ["name", "images", "scale", "aspects", "licence", "from"]
    for line, card in zip(lines, dataset_cards().values(), strict=True):
        assert line.split()[:2] == [card.name, f"{card.images:,}"]
        assert card.licence in line and line.endswith(card.where)
        assert all(aspect in line for aspect in card.scales)


def test_one_database_shows_its_layout_splits_and_direction():
    shown = printed("KonIQ-10k")
    assert "KonIQ-10k (koniq10k): 10,073 images with scores" in shown
    assert "quality: MOS 0 to 100, higher is better" in shown
    assert "splits: train 7,058, validation 1,000, test 2,015" in shown
    assert "koniq10k_distributions_sets.csv: image_name" in shown
    assert "DMOS 0 to 1, lower is better" in printed("csiq")


def test_json_holds_the_same():
    records = json.loads(printed("--format", "json"))
    assert [record["name"] for record in records] == list(dataset_cards())
    one = json.loads(printed("csiq", "--format", "json"))
    assert one["aspects"]["quality"] == {"low": 0, "high": 1, "kind": "DMOS", "direction": -1}


def test_an_unknown_database_is_one_sentence():
    with pytest.raises(UserError, match=r"There is no database 'kadid'; did you mean kadid10k\?"):
        printed("kadid")
