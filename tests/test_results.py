"""Results: what they print, and the rows and records that they become."""

import json
from dataclasses import replace

import pytest

from zeroiqa import reasons
from zeroiqa.aggregate import Aggregation
from zeroiqa.image_scores import ImageScores
from zeroiqa.results import ImageScore, csv_row, score_rated, standard_labels
from zeroiqa.standards import Kind, load_standard
from zeroiqa.types import RatedImage, Rating, Region

NEVER = float("-inf")
REGION = Region((0, 0, 4, 4), 0.25, "object")


def sure(level: int) -> Rating:
    return Rating(tuple(0.0 if k == level else NEVER for k in range(1, 8)), 1.0)


def result(**ratings: dict[str, tuple[Rating | None, ...]]) -> ImageScore:
    labels = {standard: standard for standard in next(iter(ratings.values()))}
    rated = RatedImage((REGION,), ratings)
    kinds: dict[str, Kind] = dict.fromkeys(labels, "word")
    return score_rated("a.jpg", rated, labels, Aggregation(), ("odd",), kinds=kinds)


def test_the_row_has_the_columns_of_the_contract_in_order() -> None:
    row = result(nss={"quality": (sure(4), sure(2))}).to_dict()
    assert list(row) == [
        "path", "score", "s_global", "s_local", "score_nss", "disagreement", "mass",
        "n_regions", "width", "height", "status", "error", "warnings",
    ]  # fmt: skip
    assert (row["score"], row["s_global"], row["s_local"], row["status"]) == (3.0, 4.0, 2.0, "ok")
    assert row["warnings"] == "odd"


MEASURES = dict.fromkeys(reasons.MEASURES, 0.0) | {"light": 0.18, "contrast": 50.0, "colour_noise": 9.0}


def measured(**ratings: Rating | None) -> ImageScore:
    by_rater = {rater: {"quality": (rating,)} for rater, rating in ratings.items()}
    labels, kinds = {"quality": "quality"}, {"quality": "word"}
    rated = RatedImage((), by_rater)
    return score_rated("a.jpg", rated, labels, Aggregation(), kinds=kinds, size=(30, 40))


def test_reasons_and_tags_are_columns_where_a_rater_measured() -> None:
    score = measured(chat=sure(4), nss=replace(sure(5), measures=MEASURES))
    assert score.tags == ("noisy", "blurred")
    row = score.to_dict()
    assert list(row)[-16:] == [
        "n_regions", "width", "height", *reasons.REASONS, "tags", "status", "error", "warnings",
    ]  # fmt: skip
    assert (row["width"], row["height"], row["noise"], row["tags"]) == (40, 30, 9.0, "noisy; blurred")
    assert csv_row(row)["noise"] == "9.000"
    assert score.to_record()["tags"] == ["noisy", "blurred"]
    assert "noise 9 gray levels" in str(score)
    assert "  tags: noisy, blurred" in str(score)
    assert str(ImageScores((score,))) == "a.jpg  4.50  noisy, blurred"


@pytest.mark.parametrize(
    "ratings",
    [{"chat": sure(4)}, {"nss": sure(5)}, {"nss": None}, {"chat": replace(sure(4), measures=MEASURES)}],
    ids=["a rater that measures nothing", "an older part", "no rating", "a rater that does not declare it"],
)
def test_without_measures_there_are_neither_reasons_nor_tags(ratings) -> None:
    score = measured(**ratings)
    assert (score.measures, score.tags) == ({}, ())
    assert not {"tags", *reasons.REASONS} & score.to_dict().keys()
    assert "tags" not in score.to_record()
    assert "tags" not in str(score)


def test_a_description_is_a_column_and_a_line() -> None:
    score = measured(**{"hf:model": replace(sure(4), description="a dog in fog")})
    assert score.description == score.to_dict()["description"] == "a dog in fog"
    assert "  a dog in fog" in str(score)


def test_a_second_aspect_has_columns_under_its_label() -> None:
    row = result(nss={"quality": (sure(4), sure(4)), "authenticity": (sure(1), sure(1))}).to_dict()
    assert (row["score"], row["authenticity_score"], row["authenticity_s_global"]) == (4.0, 1.0, 1.0)


def test_every_rater_of_an_ensemble_has_its_column() -> None:
    row = result(a={"quality": (sure(7), sure(7))}, b={"quality": (sure(1), sure(1))}).to_dict()
    assert (row["score_a"], row["score_b"], row["score"], row["disagreement"]) == (7.0, 1.0, 4.0, 3.0)


def test_an_error_has_no_number_anywhere() -> None:
    row = ImageScore("a.jpg", error="broken").to_dict()
    assert row["status"] == "error"
    assert [value for value in row.values() if isinstance(value, int | float)] == []


def test_a_whole_image_without_an_answer_is_an_error_not_a_score() -> None:
    failed = result(nss={"quality": (None, sure(4))})
    assert failed.status == "error"
    assert failed.score is None


def test_the_record_for_json_explains_the_score_by_its_parts() -> None:
    scored = result(nss={"quality": (sure(4), sure(2))})
    (region,) = json.loads(json.dumps(scored.to_record()))["regions"]
    assert region["box"] == [0, 0, 4, 4]
    assert region["levels"] == {"quality": 2.0}
    assert region["contributions"]["quality"] + scored.scores["quality"].global_contribution == scored.score


def test_results_print_well_and_become_a_data_frame() -> None:
    both = ImageScores((result(nss={"quality": (sure(4), None)}), ImageScore("b.jpg", error="broken")))
    assert str(both).splitlines() == ["a.jpg  4.00", "b.jpg  error: broken"]
    assert "no answer" in str(both[0])
    assert isinstance(both[:1], ImageScores)
    frame = both.to_pandas()
    assert list(frame["status"]) == ["ok", "error"]
    assert frame["score"].isna().tolist() == [False, True]


def test_standards_of_one_aspect_are_told_apart_by_name() -> None:
    seven, five, real = (
        load_standard(n) for n in ("quality-word-7", "quality-word-5", "authenticity-word-7")
    )
    assert standard_labels([seven, real]) == {
        "quality-word-7": "quality",
        "authenticity-word-7": "authenticity",
    }
    assert standard_labels([seven, five])["quality-word-5"] == "quality-word-5"


def test_an_unusable_rating_is_an_error_row() -> None:
    broken = Rating((float("nan"),) * 7, 1.0)
    assert result(nss={"quality": (broken, sure(1))}).error is not None


@pytest.mark.parametrize("attribute", ["score", "s_global", "s_local", "disagreement"])
def test_an_error_has_none_for_every_number(attribute: str) -> None:
    assert getattr(ImageScore("a.jpg", error="broken"), attribute) is None
