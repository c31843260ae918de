"""Every published table in one long format: nothing lost on the way, nothing repaired."""

from __future__ import annotations

import csv
import tomllib
from collections import Counter
from importlib import resources

import pytest

from zeroiqa.evaluation.published import LOST_FLAG, published_numbers

FOLDER = resources.files("zeroiqa.evaluation") / "published"
MANIFEST = tomllib.loads((FOLDER / "tables.toml").read_text(encoding="utf-8"))
TABLES = MANIFEST["tables"]
ROWS = {
    "llm_iqa_table1": 4,
    "llm_iqa_table2": 7,
    "llm_iqa_figure5": 18,
    "llm_iqa_table3": 9,
    "llm_iqa_table4": 4,
    "llm_iqa_table5": 4,
    "dog_iqa_v2": 8,
    "lmm4lmm_table2": 35,
    "lmm4lmm_table3": 302,
    "lmm4lmm_table4": 1,
    "lmm4lmm_table5": 9,
    "lmm4lmm_table6": 10,
    "m3_agiqa_table2": 13,
    "m3_agiqa_table3": 4,
    "m3_agiqa_table4": 15,
    "m3_agiqa_table5": 2,
    "m3_agiqa_released": 6,
    "m3_agiqa_table6": 12,
    "mint_iqa_table2": 23,
    "mint_iqa_table3": 22,
    "mint_iqa_table4": 5,
    "mint_iqa_table5": 17,
    "mint_iqa_table6": 14,
    "mint_iqa_table7": 9,
    "mint_iqa_table8": 4,
    "mint_iqa_table9": 16,
    "mint_iqa_table10": 3,
    "mint_iqa_table11": 2,
    "mint_iqa_table12": 5,
    "mint_iqa_table13": 4,
    "mint_iqa_table14": 9,
    "mint_iqa_table15": 2,
    "sep_iqa_notebook": 63,
    "sep_iqa_readme": 6,
    "sep_iqa_readouts": 4,
    "q_bench_leaderboard": 3,
    "pace_readme": 5,
    "ma_clip": 2,
    "q_align_model_zoo": 1,
    "q_debias_table1": 2,
    "q_realign_readme": 4,
    "pyiqa_benchmark": 7,
    "piq_readme": 2,
}
KINDS = ("contradiction", "suspect", "ambiguous", "second-hand", "sign", "lost")


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader((FOLDER / f"{table}.csv").read_text(encoding="utf-8").splitlines()))


def only(dataset: str, **wanted: str) -> list[float | None]:
    """Values of the numbers that have all these properties, as the method is published."""
    return [
        each.value
        for each in published_numbers(dataset)
        if not each.setting and all(getattr(each, key) == value for key, value in wanted.items())
    ]


def test_every_file_is_described_and_every_description_has_a_file():
    files = {file.name.removesuffix(".csv") for file in FOLDER.iterdir() if file.name.endswith(".csv")}
    assert files == set(TABLES) == set(ROWS)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_complete(table):
    found = rows(table)
    assert len(found) == ROWS[table]
    for row in found:
        assert None not in row and None not in row.values(), row
    assert set(TABLES[table]["columns"]) <= found[0].keys()
    assert len({tuple(row.values()) for row in found}) == len(found), "a row is there twice"


@pytest.mark.parametrize("table", TABLES)
def test_every_cell_becomes_one_number_but_for_those_not_reported(table):
    cells = [row[column] for row in rows(table) for column in TABLES[table]["columns"]]
    numbers = [each for each in published_numbers() if each.source == TABLES[table]["source"]]
    assert Counter("LOST" if each.value is None else each.value for each in numbers) == Counter(
        cell if cell == "LOST" else float(cell) for cell in cells if cell != "-"
    )


@pytest.mark.parametrize("table", [name for name in TABLES if "flags" in TABLES[name]])
def test_every_flag_concerns_some_number(table):
    columns = set(TABLES[table]["columns"])
    for flag in TABLES[table]["flags"]:
        assert flag["flag"].startswith(KINDS)
        assert set(flag.get("columns", ())) <= columns
        where = flag.get("where", {}).items()
        assert any(all(row[key] == value for key, value in where) for row in rows(table)), flag


def test_a_number_has_no_value_exactly_where_it_is_lost():
    lost = [each for each in published_numbers() if each.value is None]
    assert lost == [each for each in published_numbers() if each.flag == LOST_FLAG]
    assert Counter(each.source for each in lost) == {
        "LLM-IQA, Figure 5": 6,
        "LMM4LMM, Table 3": 2 + 7 * 3,
        "LMM4LMM, Table 4": 2,
    }


def test_correlations_are_correlations_and_negative_ones_are_explained():
    for each in published_numbers():
        assert each.method and each.source and each.dataset and each.aspect
        assert not {"(Ours)", "TRoS"} & {*each.method.split()}
        assert not any("{" in part for part in (each.method, each.training, each.setting))
        if each.value is None:
            continue
        if each.metric.endswith("_percent"):
            assert 1 <= each.value <= 100
        else:
            assert -1 <= each.value <= 1
        if each.value < 0:
            assert "sign: against DMOS" in each.flag


def test_names_are_used_and_lead_to_names_that_stay():
    names = MANIFEST["names"]
    assert not set(names.values()) & names.keys()
    printed = {cell for table in TABLES for row in rows(table) for cell in row.values()}
    in_columns = {
        word for table in TABLES.values() for said in table["columns"].values() for word in said.split()
    }
    assert names.keys() <= printed | in_columns


def test_the_state_of_the_art_on_spaq():
    best = sorted(
        ((each.value or 0, each.method, each.training) for each in published_numbers("spaq")
         if each.metric == "srcc" and not each.setting and not each.training),
        reverse=True,
    )  # fmt: skip
    assert best[0] == (0.907, "LLM-IQA", "")
    assert (0.927, "MINT-IQA", "spaq") in {
        (each.value, each.method, each.training) for each in published_numbers("spaq")
    }
    assert {each.dataset for each in published_numbers("spaq")} == {"spaq"}
    assert published_numbers("no such database") == ()


def test_numbers_are_what_the_tables_print():
    assert only("koniq10k", method="LLM-IQA", metric="srcc", source="LLM-IQA, Table 2") == [0.864]
    assert only("evalmi50k", method="LMM4LMM", metric="krcc", source="LMM4LMM, Table 2") == [0.7137, 0.7332]
    assert only("aigciqa2023", method="M3-AGIQA", training="agiqa3k", metric="plcc") == [0.7461]
    assert only("agiqa3k", method="MINT-IQA", aspect="correspondence", metric="srcc") == [0.8749]
    assert only("koniq10k", method="SeP-IQA", metric="plcc") == [0.9165, 0.916]
    assert only("koniq10k", method="pyiqa brisque", metric="srcc") == [0.230]
    assert only("koniq10k", method="DeQA-Score", metric="srcc", training="koniq10k") == [0.941]
    assert only("imagereward", method="MINT-IQA") == [66.46]


def test_contradictions_are_flagged_on_both_sides():
    flags = {
        (each.value, each.source): each.flag
        for each in published_numbers("agiqa3k")
        if each.method == "LLM-IQA" and each.metric == "srcc"
    }
    assert "0.703" in flags[0.743, "LLM-IQA, Table 2"]
    assert "0.703" in flags[0.743, "LLM-IQA, Figure 5"]
    assert "0.743" in flags[0.703, "LLM-IQA, Table 3"]
    assert "Table 4" in flags[0.687, "LLM-IQA, Table 3"]
    assert "Tables 3 and 5" in flags[0.800, "LLM-IQA, Table 4"]
    same = [each for each in published_numbers("evalmi50k") if "the same three numbers" in each.flag]
    assert Counter(each.method for each in same) == {"mPLUG-Owl3 (7B)": 3, "InternLM-XComposer (7B)": 3}


def test_regressors_are_never_called_training_free():
    assert not [each for each in published_numbers() if each.method == "BRISQUE" and not each.training]
    trained = {each.training for each in published_numbers() if each.method == "BRISQUE"}
    assert {"not stated", "spaq", "koniq10k"} <= trained
    assert only("kadid10k", method="piq BRISQUE", training="live") == [0.33]


def test_averages_of_mint_iqa_are_the_means_of_the_three_aspects():
    for row in rows("mint_iqa_table2"):
        for metric in ("srcc", "plcc", "krcc"):
            mean = sum(float(row[f"{aspect}_{metric}"]) for aspect in "qac") / 3
            assert float(row[f"avg_{metric}"]) == pytest.approx(mean, abs=1.01e-4), row


def test_tables_that_repeat_a_number_agree_where_nothing_is_flagged():
    by_place: dict[tuple[str, ...], set[float]] = {}
    for each in published_numbers():
        if not each.setting and not each.flag and each.value is not None and each.method.endswith("IQA"):
            place = (each.method, each.dataset, each.aspect, each.metric, each.training)
            by_place.setdefault(place, set()).add(round(each.value, 3))
    assert {place: values for place, values in by_place.items() if len(values) > 1} == {}
