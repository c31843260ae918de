"""Each published layout is read as its authors mean it; the known traps have a test each."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from tests import database_layouts as layouts
from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.read import (
    AnsweredQuestion,
    Dataset,
    Sample,
    Scale,
    content_split,
    dataset_cards,
    dataset_names,
    read_dataset,
)
from zeroiqa.standards import Aspect

NAMES = dataset_names()


def by_name(dataset: Dataset) -> dict[str, Sample]:
    return {sample.name: sample for sample in dataset.samples}


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_is_read_with_files_scores_and_counts(name, tmp_path):
    getattr(layouts, name)(tmp_path)
    dataset = read_dataset(name, tmp_path)
    card = dataset_cards()[name]
    assert dataset.name == name and dataset.samples
    assert all(sample.path.is_file() for sample in dataset.samples)
    assert all(sample.scores.keys() == card.scales.keys() for sample in dataset.samples)
    assert len({sample.path for sample in dataset.samples}) == len(dataset.samples)
    counted = f"{card.title} has {card.images:,} images; {len(dataset.samples)} found; "
    assert [note for note in dataset.notes if note.startswith(counted)]


@pytest.mark.parametrize("name", NAMES)
def test_the_database_may_lie_deeper_than_its_folder(name, tmp_path):
    getattr(layouts, name)(tmp_path / "unpacked" / "here")
    assert read_dataset(name, tmp_path).samples == read_dataset(name, tmp_path / "unpacked" / "here").samples


def test_what_is_known_of_a_database_is_complete():
    assert NAMES == (
        "koniq10k", "spaq", "livec", "kadid10k", "tid2013", "csiq",
        "agiqa3k", "aigiqa20k", "aigciqa2023", "evalmi50k", "biq2021",
    )  # fmt: skip
    for card in dataset_cards().values():
        assert card.licence and card.where.startswith("https://") and card.layout
        official = [count for split, count in card.splits.items() if split not in card.name_splits]
        assert not official or sum(official) == card.images
        assert card.scales.keys() <= {*get_args(Aspect)}
        assert all(scale.low < scale.high for scale in card.scales.values())
    assert sum(1 for card in dataset_cards().values() if card.scales["quality"].direction == -1) == 1


def test_authors_spelling_of_a_name_is_understood(tmp_path):
    layouts.spaq(tmp_path)
    layouts.kadid10k(tmp_path / "kadid")
    assert read_dataset("SPAQ", tmp_path).name == "spaq"
    assert read_dataset("KADID-10k", tmp_path / "kadid").name == "kadid10k"


def test_koniq_names_which_of_its_files_and_scales_is_used(tmp_path):
    layouts.koniq10k(tmp_path / "both")
    both = read_dataset("koniq10k", tmp_path / "both")
    assert both.scales["quality"] == Scale(0, 100, 1, "MOS")
    assert both.samples[0].scores == {"quality": 20.5}
    assert both.notes[0] == (
        "The scores of KonIQ-10k are the column MOS of koniq10k_distributions_sets.csv, MOS from 0 to 100."
    )
    layouts.koniq10k(tmp_path / "raw", sets=False)
    raw = read_dataset("koniq10k", tmp_path / "raw")
    assert raw.scales["quality"] == Scale(1, 5, 1, "MOS")
    assert raw.samples[0].scores == {"quality": 1.25}
    assert "column MOS of koniq10k_scores_and_distributions.csv, MOS from 1 to 5." in raw.notes[0]
    layouts.koniq10k(tmp_path / "zscore", sets=False, zscore=True)
    zscore = read_dataset("koniq10k", tmp_path / "zscore")
    assert zscore.samples[0].scores == {"quality": 77.0}
    assert "column MOS_zscore" in zscore.notes[0]


def test_koniq_reads_one_size_of_its_images_and_says_which(tmp_path):
    layouts.koniq10k(tmp_path)
    (tmp_path / "1024x768" / "100.jpg").unlink()  # the small copy is still there: sizes are not mixed
    dataset = read_dataset("koniq10k", tmp_path)
    assert {sample.path.parent.name for sample in dataset.samples} == {"1024x768"}
    assert "The images of KonIQ-10k are those in 1024x768." in dataset.notes
    assert "KonIQ-10k has 10,073 images; 3 found; missing: 100.jpg." in dataset.notes


def test_koniq_splits_need_the_file_that_knows_them(tmp_path):
    layouts.koniq10k(tmp_path / "both")
    test = read_dataset("koniq10k", tmp_path / "both", split="test")
    assert [sample.name for sample in test.samples] == ["300.jpg", "400.jpg"]
    assert [s.name for s in read_dataset("koniq10k", tmp_path / "both", split="training").samples] == [
        "100.jpg"
    ]
    assert any(
        note.startswith("The test split of KonIQ-10k has 2,015 images; 2 found") for note in test.notes
    )
    assert not any("without a line" in note for note in test.notes)
    layouts.koniq10k(tmp_path / "raw", sets=False)
    with pytest.raises(UserError, match=r"splits of KonIQ-10k are in koniq10k_distributions_sets\.csv"):
        read_dataset("koniq10k", tmp_path / "raw", split="test")


def test_live_challenge_leaves_its_training_images_out_and_bears_mixed_case(tmp_path):
    layouts.livec(tmp_path)
    dataset = read_dataset("livec", tmp_path)
    assert {name: sample.scores["quality"] for name, sample in by_name(dataset).items()} == {
        "10.bmp": 80.0,
        "11.JPG": 90.0,
        "12.bmp": 100.0,
    }
    assert [sample.path.name for sample in dataset.samples] == ["10.bmp", "11.jpg", "12.BMP"]
    assert dataset.notes[0] == "The first 7 entries of LIVE Challenge, its training images, are left out."


def test_live_challenge_without_its_training_images_in_the_lists_loses_none(tmp_path):
    count = dataset_cards()["livec"].images
    names = [f"{n}.bmp" for n in range(count)]
    layouts.put(tmp_path / "Images", names)
    savemat(tmp_path / "AllImages_release.mat", {"AllImages_release": np.array(names, dtype=object)[:, None]})
    savemat(tmp_path / "AllMOS_release.mat", {"AllMOS_release": np.full((1, count), 50.0)})
    dataset = read_dataset("livec", tmp_path)
    assert len(dataset.samples) == count and dataset.notes == ()


def test_kadid_dmos_is_a_mos_and_its_references_are_no_images_without_a_score(tmp_path):
    layouts.kadid10k(tmp_path)
    dataset = read_dataset("kadid10k", tmp_path)
    assert dataset.scales["quality"] == Scale(1, 5, 1, "MOS")
    slight, strong = (by_name(dataset)[f"I01_01_{level}.png"] for level in ("01", "05"))
    assert slight.scores["quality"] == 4.57 > strong.scores["quality"]
    assert strong.groups == {"reference": "i01", "distortion": "Gaussian blur", "level": "5"}
    assert "not flipped" in dataset.notes[0]
    assert not any("without a line" in note for note in dataset.notes)


def test_tid_names_differ_from_its_files_in_case(tmp_path):
    layouts.tid2013(tmp_path)
    samples = read_dataset("tid2013", tmp_path).samples
    assert [(sample.name, sample.path.name) for sample in samples] == [
        ("I01_01_1.bmp", "i01_01_1.bmp"),
        ("i01_24_5.bmp", "I01_24_5.BMP"),
        ("I25_08_3.bmp", "i25_08_3.bmp"),
    ]
    assert [sample.groups["reference"] for sample in samples] == ["i01", "i01", "i25"]
    assert samples[2].groups["distortion"] == "Gaussian blur"
    assert samples[0].scores == {"quality": 5.51429}


@pytest.mark.parametrize("text", [False, True])
def test_csiq_is_a_dmos_kept_as_published(text, tmp_path):
    layouts.csiq(tmp_path, text=text)
    dataset = read_dataset("csiq", tmp_path)
    assert dataset.scales["quality"] == Scale(0, 1, -1, "DMOS")
    assert [sample.scores["quality"] for sample in dataset.samples] == [0.025, 0.125, 0.225]
    assert dataset.samples[0].groups == {"reference": "1600", "distortion": "awgn", "level": "1"}
    assert dataset.samples[1].path.name == "1600.jpeg2000.5.png"
    assert "lower is better" in dataset.notes[0]


def test_agiqa3k_has_two_aspects_and_its_models(tmp_path):
    layouts.agiqa3k(tmp_path)
    dataset = read_dataset("agiqa3k", tmp_path)
    last = dataset.samples[-1]
    assert last.scores == {"quality": 3.5, "correspondence": 2.5}
    assert last.groups == {"model": "sd1.5", "variant": "lowcorr", "style": "anime style"}
    assert dataset.samples[0].prompt == "a cat, asleep"
    assert dataset.samples[0].groups == {"model": "AttnGAN", "variant": "normal"}


def test_agiqa3k_as_the_authors_of_dog_iqa_evaluate_on_it_is_a_split(tmp_path):
    layouts.agiqa3k(tmp_path)
    dataset = read_dataset("agiqa3k", tmp_path, split="dog-iqa")
    assert [sample.name for sample in dataset.samples] == ["AttnGAN_normal_000.jpg"]
    assert "The dog-iqa split of AGIQA-3K has 1,484 images; 1 found" in dataset.notes[0]


def test_aigiqa20k_is_read_from_its_three_lists(tmp_path):
    layouts.aigiqa20k(tmp_path)
    splits = Counter(sample.groups["split"] for sample in read_dataset("aigiqa20k", tmp_path).samples)
    assert splits == {"train": 3, "validation": 1, "test": 2}
    assert len(read_dataset("aigiqa20k", tmp_path, split="val").samples) == 1
    (tmp_path / "info_train.csv").unlink()
    dataset = read_dataset("aigiqa20k", tmp_path)
    assert "info_train.csv is missing, and with it the 14,000 train images." in dataset.notes
    assert {sample.groups["model"] for sample in dataset.samples} == {"DALLE2"}
    with pytest.raises(UserError, match=r"AIGIQA-20K needs info_train\.csv"):
        read_dataset("aigiqa20k", tmp_path, split="train")


def test_a_score_beyond_a_scale_that_is_not_exact_is_noted(tmp_path):
    layouts.aigiqa20k(tmp_path)
    table = tmp_path / "info_val.csv"
    table.write_text(table.read_text().replace("2.5", "5.01"))
    dataset = read_dataset("aigiqa20k", tmp_path)
    assert any(
        "a MOS of 5.01 for quality, outside the scale from 0 to 5 (1 of 6 are)" in n for n in dataset.notes
    )


@pytest.mark.parametrize("allimg", [False, True])
def test_aigciqa2023_rows_are_the_models_in_order_four_images_a_prompt(allimg, tmp_path):
    layouts.aigciqa2023(tmp_path, allimg=allimg)
    dataset = read_dataset("aigciqa2023", tmp_path)
    assert [sample.scores["quality"] for sample in dataset.samples] == list(range(48))
    assert [sample.scores["correspondence"] for sample in dataset.samples] == list(range(20, 68))
    assert [sample.groups["model"] for sample in dataset.samples[::8]] == list(layouts.AIGCIQA_MODELS)
    assert [sample.prompt for sample in dataset.samples[8:16]] == ["a cat"] * 4 + ["a pear"] * 4
    place = dataset.samples[10].path.relative_to(tmp_path).as_posix()
    assert place == ("Image/allimg/10.png" if allimg else "Image/DALLE/2.png")
    assert any("taken in the order Controlnet, DALLE" in note for note in dataset.notes)


def test_aigciqa2023_numbers_through_all_folders_say_more_than_the_alphabet(tmp_path):
    layouts.aigciqa2023(tmp_path, allimg=True)
    for n in range(48):  # the first model of the scores is the last of the alphabet
        folder = tmp_path / "Image" / f"model {'FEDCBA'[n // 8]}"
        folder.mkdir(exist_ok=True)
        (tmp_path / "Image" / "allimg" / f"{n}.png").rename(folder / f"{n}.png")
    dataset = read_dataset("aigciqa2023", tmp_path)
    assert [int(sample.path.stem) for sample in dataset.samples] == list(range(48))
    assert dataset.samples[0].groups["model"] == "model F"


def test_aigciqa2023_with_an_image_missing_cannot_tell_whose_a_score_is(tmp_path):
    layouts.aigciqa2023(tmp_path)
    (tmp_path / "Image" / "Glide" / "3.png").unlink()
    with pytest.raises(UserError, match=r"must hold 8; found: .*Glide 7, Lafite 8"):
        read_dataset("aigciqa2023", tmp_path)


def test_aigciqa2023_with_all_images_numbered_bears_a_missing_one(tmp_path):
    layouts.aigciqa2023(tmp_path, allimg=True)
    (tmp_path / "Image" / "allimg" / "3.png").unlink()
    dataset = read_dataset("aigciqa2023", tmp_path)
    assert len(dataset.samples) == 47 and dataset.samples[3].scores["quality"] == 4
    assert "AIGCIQA2023 has 2,400 images; 47 found; missing: allimg/3.png." in dataset.notes


def test_aigciqa2023_score_lists_of_unequal_length_are_refused(tmp_path):
    layouts.aigciqa2023(tmp_path)
    savemat(tmp_path / "DATA" / "MOS" / "mosz3.mat", {"MOSz": np.zeros((47, 1))})
    with pytest.raises(UserError, match=r"do not fit: mosz1\.mat 48, mosz2\.mat 48, mosz3\.mat 47"):
        read_dataset("aigciqa2023", tmp_path)


def test_aigciqa2023_prompts_may_be_missing_or_too_few(tmp_path):
    layouts.aigciqa2023(tmp_path, prompts=False)
    assert any("Prompts.xlsx is missing" in note for note in read_dataset("aigciqa2023", tmp_path).notes)
    layouts.put_csv(tmp_path / "AIGCIQA2023_Prompts.csv", ("class", "prompt"), ("Animals", "a cat"))
    dataset = read_dataset("aigciqa2023", tmp_path)
    assert dataset.samples[0].prompt is None
    assert any("2 are expected, so the images have no prompts" in note for note in dataset.notes)
    layouts.put_csv(
        tmp_path / "AIGCIQA2023_Prompts.csv", ("class", "prompt"), ("Animals", "a cat"), ("", "a pear")
    )
    assert read_dataset("aigciqa2023", tmp_path).samples[4].prompt == "a pear"


@pytest.mark.parametrize("numbers", [(0, 1, 2), (1, 2, 3)])
def test_evalmi_joins_two_scores_prompts_tasks_and_answers(numbers, tmp_path):
    layouts.evalmi50k(tmp_path, numbers=numbers)
    dataset = read_dataset("evalmi50k", tmp_path)
    first, last = dataset.samples[0], dataset.samples[-1]
    assert first.scores == {"quality": 20.5, "correspondence": 60.5}
    assert first.groups == {"model": "DALLE3", "task": "task 0"}
    assert first.prompt == "prompt 0" and first.questions == (AnsweredQuestion("Is it 0?", False),)
    assert last.groups["model"] == "ELLA" and last.path.parent.name == "ELLA"
    assert last.questions == (
        AnsweredQuestion("Is it 2?", True),
        AnsweredQuestion("Is it red 2?", True),
        AnsweredQuestion("Is it big 2?", False),
    )


def test_evalmi_without_its_questions_keeps_the_answers(tmp_path):
    layouts.evalmi50k(tmp_path, questions=False)
    dataset = read_dataset("evalmi50k", tmp_path)
    assert dataset.samples[0].questions == (AnsweredQuestion(None, False),)
    assert dataset.samples[0].prompt is None and "task" not in dataset.samples[0].groups
    assert any(note.startswith("question.xlsx is missing") for note in dataset.notes)


def test_biq2021_has_spaces_parentheses_subsets_and_splits(tmp_path):
    layouts.biq2021(tmp_path)
    dataset = read_dataset("biq2021", tmp_path)
    assert Counter(sample.groups["subset"] for sample in dataset.samples) == {"ss01": 2, "ss02": 1, "ss03": 2}
    assert by_name(dataset)["ss01 (2).jpg"].path.name == "ss01 (2).JPG"
    test = read_dataset("biq2021", tmp_path, split="test")
    assert [sample.scores["quality"] for sample in test.samples] == [0.75, 0.75]
    assert not any("without a line" in note for note in test.notes)


def test_all_images_found_leaves_nothing_to_count(tmp_path):
    names = [f"{n:05d}.jpg" for n in range(11125)]
    layouts.put(tmp_path / "TestImage", names)
    layouts.put_xlsx(
        tmp_path / "MOS and Image attribute scores.xlsx", ("Image name", "MOS"), *((n, 50) for n in names)
    )
    assert read_dataset("spaq", tmp_path).notes == ()


def test_the_authors_own_list_of_agiqa3k_is_read_whole(dev_data, tmp_path):
    shutil.copy(dev_data / "mos_lists" / "agiqa3k.csv", tmp_path / "data.csv")
    with (tmp_path / "data.csv").open(newline="", encoding="utf-8") as file:
        layouts.put(tmp_path / "images", (row["name"] for row in csv.DictReader(file)))
    dataset = read_dataset("agiqa3k", tmp_path)
    models = Counter(sample.groups["model"] for sample in dataset.samples)
    assert len(dataset.samples) == 2982 and dataset.notes == ()
    assert models == {
        "AttnGAN": 300, "DALLE2": 290, "glide": 300, "midjourney": 592, "sd1.5": 1200, "xl2.2": 300
    }  # fmt: skip
    assert len({sample.prompt for sample in dataset.samples}) == 300
    entries = read_dataset("agiqa3k", tmp_path, split="dog-iqa")
    assert len(entries.samples) == 1484 and entries.notes == ()


def generated(references: int, versions: int) -> Dataset:
    samples = tuple(
        Sample(f"{r}_{v}", Path(f"{r}_{v}.png"), {"quality": float(v)}, None, {"reference": f"r{r}"})
        for r in range(references)
        for v in range(versions)
    )
    return Dataset("made", samples, {"quality": Scale(0, 9, 1, "MOS")}, ("kept",))


@given(
    references=st.integers(2, 40),
    versions=st.integers(1, 5),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_a_split_by_content_keeps_versions_together_and_loses_nothing(references, versions, share, seed):
    whole = generated(references, versions)
    train, test = content_split(whole, share, seed)
    sides = [{sample.groups["reference"] for sample in part.samples} for part in (train, test)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    assert sorted(sample.name for part in (train, test) for sample in part.samples) == sorted(
        sample.name for sample in whole.samples
    )
    assert len(sides[1]) == min(max(round(share * references), 1), references - 1)
    assert content_split(whole, share, seed) == (train, test)


def test_a_split_by_content_depends_on_seed_and_contents_but_not_on_order():
    whole = generated(20, 2)
    turned = Dataset(whole.name, whole.samples[::-1], whole.scales, whole.notes)
    tested = {sample.name for sample in content_split(whole, 0.2, 3)[1].samples}
    assert tested == {sample.name for sample in content_split(turned, 0.2, 3)[1].samples}
    assert tested != {sample.name for sample in content_split(whole, 0.2, 4)[1].samples}
    notes = content_split(whole, 0.2, 3)[0].notes
    assert notes == ("kept", "Split by reference with seed 3: 16 for training, 4 of 20 for testing.")


def test_without_references_a_prompt_is_the_content_and_else_the_image(tmp_path):
    layouts.agiqa3k(tmp_path / "agiqa")
    train, test = content_split(read_dataset("agiqa3k", tmp_path / "agiqa"), 0.5, 0)
    assert not {s.prompt for s in train.samples} & {s.prompt for s in test.samples}
    assert "Split by text prompt" in test.notes[-1]
    layouts.spaq(tmp_path / "spaq")
    assert "Split by image" in content_split(read_dataset("spaq", tmp_path / "spaq"), 0.5, 0)[0].notes[-1]


def test_a_split_needs_two_contents_and_a_share():
    with pytest.raises(UserError, match=r"The share for testing is 1; it must lie between 0 and 1\."):
        content_split(generated(3, 1), 1, 0)
    with pytest.raises(UserError, match="has one reference only"):
        content_split(generated(1, 4), 0.2, 0)
