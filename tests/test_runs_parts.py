from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.old_parts import BEFORE_ANSWERS, as_version_1, with_version, without_measures
from zeroiqa.errors import UserError
from zeroiqa.runs import parts
from zeroiqa.runs.part_records import RatingsRow, RegionsRow
from zeroiqa.types import Rating, Region, Rle

texts = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def spans(draw, length):
    """Where something of an image begins and ends."""
    return sorted(draw(st.tuples(*[st.integers(0, length)] * 2)))


@st.composite
def masks(draw):
    height, width = draw(st.tuples(*[st.integers(1, 9)] * 2))
    ends = sorted(draw(st.lists(st.integers(0, height * width))))
    return Rle((height, width), tuple(b - a for a, b in pairwise((0, *ends, height * width))))


@st.composite
def regions_rows(draw):
    """One image: decoded and segmented, or with an error."""
    image, warnings = draw(st.integers(0, 2**62)), draw(st.lists(texts, max_size=2).map(tuple))
    if draw(st.booleans()):
        return RegionsRow(image, warnings=warnings, error=draw(texts))
    height, width = draw(st.tuples(*[st.integers(1, 2**20)] * 2))
    regions = []
    for _ in range(draw(st.integers(0, 3))):
        (x0, x1), (y0, y1) = draw(spans(width)), draw(spans(height))
        area = draw(st.floats(0, 1, exclude_min=True))
        kind = draw(st.sampled_from(["object", "complement"]))
        weight = draw(st.none() | st.floats(0, 1, exclude_min=True))
        regions.append(Region((x0, y0, x1, y1), area, kind, draw(st.none() | masks()), weight))
    return RegionsRow(image, (height, width), tuple(regions), warnings)


ratings = st.builds(
    Rating,
    logprobs=st.lists(st.floats(max_value=0, allow_nan=False), min_size=1, max_size=7).map(tuple),
    mass=st.floats(0, 1),
    answer=st.none() | texts,
    measures=st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    description=st.none() | texts,
) | st.builds(Rating, st.just(()), st.just(1.0), st.floats(allow_nan=False, allow_infinity=False))
by_standard = st.dictionaries(
    texts, st.lists(st.none() | ratings, min_size=1, max_size=3).map(tuple), min_size=1, max_size=2
)
same_folder = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@same_folder
@given(rows=st.lists(regions_rows(), max_size=4))
def test_regions_come_back_as_they_were(tmp_path, rows):
    parts.part_path(tmp_path, "regions", 0).unlink(missing_ok=True)
    with parts.new_regions(tmp_path, 0) as add:
        for row in rows:
            add(row)
    assert list(parts.read_regions(tmp_path, 0)) == rows


@same_folder
@given(rows=st.lists(st.builds(RatingsRow, st.integers(0, 2**62), st.none() | by_standard), max_size=4))
def test_ratings_come_back_to_the_last_bit(tmp_path, rows):
    parts.part_path(tmp_path, "ratings/fake", 0).unlink(missing_ok=True)
    with parts.new_ratings(tmp_path, "fake", 0) as add:
        for row in rows:
            add(row)
    assert list(parts.read_ratings(tmp_path, "fake", 0)) == rows


def test_rater_with_a_long_name_has_a_folder_of_its_own_that_file_systems_take():
    names = [f"hf:/{'very/long/' * 30}{end}" for end in ("a", "b")]
    first, second = (parts.rating_stage(name).removeprefix("ratings/") for name in names)
    assert first != second
    assert max(len(first), len(second)) <= 255
    assert "/" not in first
    assert parts.rating_stage("fake:2") == "ratings/fake%3A2"


@pytest.mark.parametrize("without", [BEFORE_ANSWERS, BEFORE_ANSWERS | {"value"}])
def test_parts_without_later_fields_are_read(tmp_path, without):
    with parts.new_regions(tmp_path, 0) as add:
        add(RegionsRow(0, (10, 10), (Region((0, 0, 5, 5), 0.25, "object", weight=0.125),)))
    with parts.new_ratings(tmp_path, "fake", 0) as add:
        add(RatingsRow(0, {"quality": (Rating((0.0,), 0.5, answer="1"), None)}))
    assert parts.keeps_answers(tmp_path, "ratings/fake", 0)
    for path in tmp_path.rglob("part-*.parquet"):
        as_version_1(path, without=without)
    assert not parts.keeps_answers(tmp_path, "ratings/fake", 0)
    (segmented,), (rated,) = parts.read_regions(tmp_path, 0), parts.read_ratings(tmp_path, "fake", 0)
    assert segmented.regions == (Region((0, 0, 5, 5), 0.25, "object"),)
    assert rated.ratings == {"quality": (Rating((0.0,), 0.5), None)}
    parts.write_part(tmp_path, "ratings/fake", 1, parts.read_part(tmp_path, "ratings/fake", 0))
    (copied,) = parts.read_ratings(tmp_path, "fake", 1)
    assert copied == rated


def test_part_from_before_measures_is_read_and_copied_and_its_answers_stay(tmp_path):
    with parts.new_ratings(tmp_path, "nss", 0) as add:
        rating = Rating((0.0,), 1.0, answer="1", measures={"noise": 2.5}, description="a dog")
        add(RatingsRow(0, {"quality": (rating, None)}))
    (kept,) = parts.read_ratings(tmp_path, "nss", 0)
    assert kept.ratings == {"quality": (rating, None)}
    without_measures(parts.part_path(tmp_path, "ratings/nss", 0))
    (rated,) = parts.read_ratings(tmp_path, "nss", 0)
    assert rated.ratings == {"quality": (Rating((0.0,), 1.0, answer="1"), None)}
    assert parts.keeps_answers(tmp_path, "ratings/nss", 0)
    parts.write_part(tmp_path, "ratings/nss", 1, parts.read_part(tmp_path, "ratings/nss", 0))
    (copied,) = parts.read_ratings(tmp_path, "nss", 1)
    assert copied == rated


@pytest.mark.parametrize("measured", [None, math.nan, math.inf])
def test_measure_that_is_no_number_is_damage(tmp_path, measured):
    with parts.new_ratings(tmp_path, "nss", 0) as add:
        add(RatingsRow(0, {"quality": (Rating((0.0,), 1.0, measures={"noise": measured}),)}))
    with pytest.raises(UserError, match=f"a rating's measure noise is {measured}"):
        list(parts.read_ratings(tmp_path, "nss", 0))


READERS = {
    "regions": lambda folder: list(parts.read_regions(folder, 0)),
    "ratings": lambda folder: list(parts.read_ratings(folder, "fake", 0)),
    "errors": lambda folder: parts.read_errors(folder, "ratings/fake", 0),
    "copy": lambda folder: parts.read_part(folder, "regions", 0),
    "answers": lambda folder: parts.keeps_answers(folder, "ratings/fake", 0),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (b"3", "of version 3, which a later zeroiqa wrote; this one reads up to version 2: pip install -U"),
        (b"two", "cannot be read .its version is b'two'.; delete it"),
        (b"0", "cannot be read .its version is b'0'.; delete it"),
    ],
)
def test_part_of_a_later_version_is_refused_and_not_called_damaged(tmp_path, reader, version, sentence):
    with parts.new_regions(tmp_path, 0) as add:
        add(RegionsRow(0, (10, 10)))
    with parts.new_ratings(tmp_path, "fake", 0) as add:
        add(RatingsRow(0))
    for path in tmp_path.rglob("part-*.parquet"):
        with_version(path, version)
    with pytest.raises(UserError, match=sentence) as raised:
        READERS[reader](tmp_path)
    assert ("delete" in str(raised.value)) is (version != b"3")


@pytest.mark.parametrize("weight", [-0.5, 1.5, math.nan])
def test_weight_that_is_no_share_of_the_image_is_damage(tmp_path, weight):
    with parts.new_regions(tmp_path, 0) as add:
        add(RegionsRow(0, (10, 10), (Region((0, 0, 5, 5), 0.25, "object", weight=weight),)))
    with pytest.raises(UserError, match=f"a region's weight is {weight}"):
        list(parts.read_regions(tmp_path, 0))


def test_impossible_level_keeps_its_infinite_logprob(tmp_path):
    row = RatingsRow(0, {"quality": (Rating((0.0, -math.inf), 0.5),)})
    with parts.new_ratings(tmp_path, "fake", 0) as add:
        add(row)
    assert list(parts.read_ratings(tmp_path, "fake", 0)) == [row]


def test_more_rows_than_fit_into_the_buffer_come_back(tmp_path):
    rows = [RatingsRow(image, {"quality": (None,)}) for image in range(200)]
    with parts.new_ratings(tmp_path, "fake", 0) as add:
        for row in rows:
            add(row)
    assert list(parts.read_ratings(tmp_path, "fake", 0)) == rows


def test_errors_are_read_alone(tmp_path):
    with parts.new_regions(tmp_path, 3) as add:
        add(RegionsRow(5, (10, 10)))
        add(RegionsRow(6, error="it is no image"))
    assert parts.read_errors(tmp_path, "regions", 3) == {6: parts.StoredError("it is no image")}


def test_part_that_is_there_is_not_written_again(tmp_path):
    for area in (0.25, 0.75):
        with parts.new_regions(tmp_path, 0) as add:
            add(RegionsRow(0, (10, 10), (Region((0, 0, 5, 5), area, "object"),)))
    (row,) = parts.read_regions(tmp_path, 0)
    assert row.regions[0].area == 0.25


def test_finished_shards_are_those_with_a_part(tmp_path):
    assert parts.finished_shards(tmp_path, "regions") == set()
    for shard in (0, 7, 123_456_789):
        with parts.new_regions(tmp_path, shard):
            pass
    for name in ("part-x", "part-1", "part-000001", "part-00002-x", "part-00002-0000", "part-00002-00001"):
        (tmp_path / "regions" / f"{name}.parquet").touch()
    (tmp_path / "regions" / ".zeroiqa-vm-1-part-00001.parquet").touch()
    assert parts.finished_shards(tmp_path, "regions") == {0, 7, 123_456_789}


def test_generations_of_a_part_are_files_of_their_own(tmp_path):
    for generation in (0, 3, 12_345):
        with parts.new_regions(tmp_path, 7, generation) as add:
            add(RegionsRow(generation, error="away", cause="unreachable"))
        path = parts.part_path(tmp_path, "regions", 7, generation)
        assert parts.part_of(path.name) == (7, generation)
    assert parts.parts(tmp_path, "regions") == {7: {0, 3, 12_345}}
    (row,) = parts.read_regions(tmp_path, 7, 3)
    assert row == RegionsRow(3, error="away", cause="unreachable")
    assert parts.read_errors(tmp_path, "regions", 7, 12_345) == {
        12_345: parts.StoredError("away", "unreachable")
    }


def test_names_of_parts_sort_like_their_numbers(tmp_path):
    names = [parts.part_path(tmp_path, "regions", shard).name for shard in (0, 9, 10, 99_999)]
    assert sorted(names) == names


@pytest.mark.parametrize("rater", ["fake:2", "a/b", "völlig anders"])
def test_rater_with_any_name_has_a_folder_of_its_own(tmp_path, rater):
    with parts.new_ratings(tmp_path, rater, 0) as add:
        add(RatingsRow(0, error=rater))
    (part,) = tmp_path.rglob("part-*.parquet")
    assert part.parent.parent == tmp_path / "ratings"
    assert parts.read_errors(tmp_path, parts.rating_stage(rater), 0) == {0: parts.StoredError(rater)}


def test_damaged_part_is_named_with_what_to_do(tmp_path):
    with parts.new_regions(tmp_path, 0) as add:
        add(RegionsRow(0, (10, 10)))
    path = parts.part_path(tmp_path, "regions", 0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"regions/part-00000\.parquet cannot be read .*; delete it"):
        list(parts.read_regions(tmp_path, 0))
