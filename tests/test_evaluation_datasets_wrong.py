"""What is wrong with a database's folder is one sentence, or a note where the rest can be used."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from scipy.io import savemat

from tests import database_layouts as layouts
from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.read import read_dataset


def refusal(name, root, **options) -> str:
    with pytest.raises(UserError) as caught:
        read_dataset(name, root, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def biq_table(root, *rows):
    layouts.put(root / "Images", ("ss01 (1).jpg", "ss01 (2).jpg"))
    layouts.put_csv(root / "Train (Images and MOS).csv", *rows)


HEAD = ("Image Name", "MOS")


def test_an_unknown_database_gets_the_nearest(tmp_path):
    assert "did you mean koniq10k?" in refusal("koniq", tmp_path)
    assert "known are koniq10k, spaq" in refusal("xyz", tmp_path)


def test_an_unknown_split_gets_the_nearest(tmp_path):
    layouts.koniq10k(tmp_path)
    assert "KonIQ-10k has no split 'tset'; did you mean test?" in refusal("koniq10k", tmp_path, split="tset")
    assert "TID2013 has no official splits" in refusal("tid2013", tmp_path, split="test")


def test_an_unknown_aspect_gets_the_nearest(tmp_path):
    layouts.agiqa3k(tmp_path)
    with pytest.raises(
        UserError, match=r"agiqa3k has no scores for 'corespondence'; did you mean correspondence\?"
    ):
        read_dataset("agiqa3k", tmp_path).scale("corespondence")


def test_a_folder_that_is_none(tmp_path):
    assert "does not exist; give the folder" in refusal("spaq", tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "is no folder" in refusal("spaq", tmp_path / "file")


def test_a_folder_without_the_score_file_says_what_is_there(tmp_path):
    layouts.put(tmp_path / "photos", ("a.jpg", "b.jpg"))
    message = refusal("koniq10k", tmp_path)
    assert "needs koniq10k_distributions_sets.csv or koniq10k_scores_and_distributions.csv" in message
    assert "found there: 2 .jpg (in it: photos)" in message
    assert "zeroiqa datasets koniq10k" in message


def test_scores_without_any_image_are_refused(tmp_path):
    layouts.koniq10k(tmp_path)
    for image in tmp_path.rglob("*.jpg"):
        image.unlink()
    message = refusal("koniq10k", tmp_path)
    assert "None of the 4 images that koniq10k_distributions_sets.csv lists for KonIQ-10k is below" in message
    assert "found there: 2 .csv" in message


def test_many_missing_images_are_counted_and_the_first_named(tmp_path):
    layouts.put(tmp_path / "Images", ("ss01 (1).jpg",))
    names = [f"ss01 ({n}).jpg" for n in range(1, 9)]
    layouts.put_csv(tmp_path / "Train (Images and MOS).csv", HEAD, *((name, 0.5) for name in names))
    dataset = read_dataset("biq2021", tmp_path)
    assert dataset.notes[-1] == (
        "BIQ2021 has 12,000 images; 1 found; missing: "
        "ss01 (2).jpg, ss01 (3).jpg, ss01 (4).jpg, ss01 (5).jpg, ss01 (6).jpg and 2 more."
    )


def test_images_without_a_score_are_left_out_and_said(tmp_path):
    biq_table(tmp_path, HEAD, ("ss01 (1).jpg", 0.5))
    notes = read_dataset("biq2021", tmp_path).notes
    assert notes[-1].startswith("1 image without a line in Train")
    assert notes[-1].endswith("left out: Images/ss01 (2).jpg.")


@pytest.mark.parametrize("blank", ["", "NaN", " n/a "])
def test_an_empty_score_leaves_its_image_out(blank, tmp_path):
    biq_table(tmp_path, HEAD, ("ss01 (1).jpg", 0.5), ("ss01 (2).jpg", blank))
    dataset = read_dataset("biq2021", tmp_path)
    assert [sample.name for sample in dataset.samples] == ["ss01 (1).jpg"]
    assert dataset.notes[-1].startswith("1 image without a score in")
    assert dataset.notes[-1].endswith("left out: ss01 (2).jpg.")


@pytest.mark.parametrize("score", ["good", "inf", "0,5 or so"])
def test_a_score_that_is_no_number_is_refused(score, tmp_path):
    biq_table(tmp_path, HEAD, ("ss01 (1).jpg", score))
    assert f"gives ss01 (1).jpg the score {score!r}" in refusal("biq2021", tmp_path)


def test_a_score_outside_the_scale_is_refused(tmp_path):
    biq_table(tmp_path, HEAD, ("ss01 (1).jpg", 0.5), ("ss01 (2).jpg", 50))
    assert (
        "gives ss01 (2).jpg a MOS of 50 for quality, outside the scale from 0 to 1 (1 of 2 are)"
        in refusal("biq2021", tmp_path)
    )


def test_a_name_that_stands_there_twice_is_refused(tmp_path):
    biq_table(tmp_path, HEAD, ("ss01 (1).jpg", 0.5), ("ss01 (1).jpg", 0.6))
    assert "names ss01 (1).jpg more than once" in refusal("biq2021", tmp_path)


def test_two_names_for_one_file_are_refused(tmp_path):
    biq_table(tmp_path, HEAD, ("ss01 (1).jpg", 0.5), ("SS01 (1).JPG", 0.6))
    assert "are both Images/ss01 (1).jpg" in refusal("biq2021", tmp_path)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path):
    biq_table(tmp_path, ("Image Name", "Score", "SD"), ("ss01 (1).jpg", 0.5, 0.1))
    assert "has no column mos; its columns are Image Name, Score, SD." in refusal("biq2021", tmp_path)
    layouts.put_xlsx(tmp_path / "csiq.DMOS.xlsx", ("a", "b"), (1, 2), sheet="all_by_image")
    assert "no line with the columns image, dst_type, dst_lev, dmos; its first line is a, b." in refusal(
        "csiq", tmp_path
    )


def test_a_workbook_without_the_sheet_names_its_own(tmp_path):
    layouts.put_xlsx(tmp_path / "csiq.DMOS.xlsx", ("image", "dmos"), sheet="by_hand")
    assert "csiq.DMOS.xlsx has no sheet all_by_image; it has by_hand." in refusal("csiq", tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"<html>login</html>"])
def test_a_damaged_xlsx_is_one_sentence(content, tmp_path):
    (tmp_path / "MOS and Image attribute scores.xlsx").write_bytes(content)
    assert "cannot be read as an xlsx file" in refusal("spaq", tmp_path)


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file" + b"\0" * 200, b"<html>login</html>" * 20])
def test_a_damaged_mat_is_one_sentence(content, tmp_path):
    layouts.livec(tmp_path)
    (tmp_path / "Data" / "AllMOS_release.mat").write_bytes(content)
    message = refusal("livec", tmp_path)
    assert "AllMOS_release.mat cannot be read as a .mat file" in message or "no variable" in message


def test_a_mat_with_other_variables_names_them(tmp_path):
    layouts.livec(tmp_path)
    savemat(tmp_path / "Data" / "AllMOS_release.mat", {"scores": np.zeros(3)})
    assert "has no variable AllMOS_release; it has scores." in refusal("livec", tmp_path)


def test_lists_of_unequal_length_are_refused(tmp_path):
    layouts.livec(tmp_path)
    savemat(tmp_path / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.full((1, 9), 50.0)})
    assert "10 names and AllMOS_release.mat has 9 scores" in refusal("livec", tmp_path)


def test_a_line_of_text_that_is_no_pair_is_named(tmp_path):
    layouts.tid2013(tmp_path)
    (tmp_path / "mos_with_names.txt").write_text("5.5 I01_01_1.bmp\nI01_01_2.bmp\n")
    assert "mos_with_names.txt, line 2: found 'I01_01_2.bmp'" in refusal("tid2013", tmp_path)


def test_an_answer_that_is_neither_yes_nor_no_is_refused(tmp_path):
    layouts.evalmi50k(tmp_path)
    head = ("ImageName", "MOS1", "MOS2", "Y/N")
    layouts.put_xlsx(tmp_path / "MOS&QA" / "AIGI2025_MOS_yn.xlsx", head, ("ELLA/001.png", 20, 30, "maybe"))
    assert "answers ELLA/001.png with 'maybe'" in refusal("evalmi50k", tmp_path)


def test_damaged_tasks_are_one_sentence(tmp_path):
    layouts.evalmi50k(tmp_path)
    (tmp_path / "prompt_tasks.jsonl").write_text('{"prompt": "a"}\n')
    assert "each line must be an object with a tag" in refusal("evalmi50k", tmp_path)


def test_two_files_that_a_name_may_mean_are_refused(tmp_path):
    layouts.agiqa3k(tmp_path)
    layouts.put(tmp_path / "copies", ("AttnGAN_normal_000.jpg",))
    assert "has several files that may be AttnGAN_normal_000.jpg" in refusal("agiqa3k", tmp_path)


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch):
    layouts.spaq(tmp_path)
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("openpyxl"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "needs the package openpyxl, which is not installed; pip install openpyxl." in refusal(
        "spaq", tmp_path
    )
