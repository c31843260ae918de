from __future__ import annotations

import os
from pathlib import Path

import pytest

from zeroiqa.images.ref import ImageRef
from zeroiqa.images.selection import Selection
from zeroiqa.runs.naming import Naming, as_planned, canonical, naming_from, naming_of, root_of, spelled_from


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "project/photos").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photos", "photos"),
        ("./photos//", "photos"),
        ("photos/../photos/*.png", "photos/*.png"),
        (".", "."),
        ("{here}", "."),
        ("{here}/photos", "photos"),
        ("{here}/../link/photos", "photos"),
        ("file://{here}/photos", "photos"),
        ("../other", "{above}/other"),
        ("/", "/"),
        ("s3://bucket/a/", "s3://bucket/a"),
    ],
)
def test_names_have_one_spelling(project, name, expected):
    spelled = {"here": str(project), "above": str(project.parent)}
    assert canonical(name.format(**spelled), str(project)) == expected.format(**spelled)


def test_paths_are_spelled_like_names(project):
    spelled = spelled_from(str(project / "photos"), str(project))
    paths = {"a.png": "photos/a.png", "../b.png": "b.png", "/x/c.png": "/x/c.png", "s3://b/d": "s3://b/d"}
    assert {path: spelled(path) for path in paths} == paths


@pytest.mark.parametrize(
    "arguments",
    [("-",), ("photos", "-"), ("a.png",), ("a.png", "s3://bucket/b.jpg")],
)
def test_what_cannot_change_is_exact(project, arguments):
    Path("a.png").touch()
    assert naming_of(arguments) is None
    assert naming_of(("photos",), exact=True) is None


def test_a_naming_is_a_set_and_comes_back_from_json():
    naming = naming_of(
        ("photos/", "list.csv", "./photos", "x.tar"),
        selection=Selection.of(exclude=("*_b*",)),
        sidecar_prompts=True,
    )
    assert naming == Naming(("list.csv", "photos", "x.tar"), exclude=("*_b*",), sidecar_prompts=True)
    assert naming_from(naming.to_dict()) == naming
    assert naming_from({"count": 1, "sha256": ""}) is naming_from(None) is None
    assert naming.covers(Naming(("photos",), (), ("*_b*",), True)) and not naming.covers(Naming(("photos",)))


def test_a_naming_is_seen_from_the_root_of_a_run(project):
    seen = Naming(("*.png", "s3://b/a"), texts="../prompts.csv").seen_from(
        str(project / "photos"), str(project)
    )
    assert seen == Naming(("photos/*.png", "s3://b/a"), texts="prompts.csv")


def test_the_root_is_where_the_images_are(project, monkeypatch):
    Path("photos/a.png").touch()
    run, origin = project / "run", {"cwd": str(project), "from_run": ".."}
    elsewhere = {"cwd": "/nowhere", "from_run": "../../nowhere"}
    assert root_of(run, origin, ["photos/a.png"]) == str(project)
    monkeypatch.chdir("photos")
    assert root_of(run, origin, ["photos/a.png"]) == str(project)
    assert root_of(run, {**elsewhere, "from_run": ".."}, ["photos/a.png"]) == str(project)
    assert root_of(run, elsewhere, ["a.png"]) == root_of(run, origin, ["/x.png"]) == str(project / "photos")


@pytest.mark.parametrize(
    ("planned", "found", "expected"),
    [
        (["photos/a.png"], ["./photos/a.png", "./photos/b.png"], ["photos/a.png", "photos/b.png"]),
        (["./photos/a.png"], ["photos/a.png", "photos/x/b.png"], ["./photos/a.png", "./photos/x/b.png"]),
        (["./photos/x/a.png"], ["photos/y/b.png"], ["./photos/y/b.png"]),
        (["{here}/photos/a.png"], ["photos/b.png", "c.png"], ["{here}/photos/b.png", "{here}/c.png"]),
        (["./a.png"], ["b.png", "/x/c.png"], ["./b.png", "/x/c.png"]),
        (["a.png"], ["s3://bucket/b.png"], ["s3://bucket/b.png"]),
    ],
)
def test_new_images_are_spelled_like_their_neighbours(project, planned, found, expected):
    here = os.fspath(project)
    sources = [ImageRef(path.format(here=here), 1, None) for path in found]
    planned = [path.format(here=here) for path in planned]
    assert [each.path for each in as_planned(sources, planned, here)] == [
        path.format(here=here) for path in expected
    ]


def test_members_keep_their_archive(project):
    source = ImageRef("x.tar/b.png", 1, None, "x.tar", 512)
    (found,) = as_planned([source], ["./x.tar/a.png"], str(project))
    assert (found.path, found.archive) == ("./x.tar/b.png", "./x.tar")
