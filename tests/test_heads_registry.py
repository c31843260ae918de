"""Heads by name and by folder; who imports whom among the rooms of heads/."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zeroiqa.heads
from zeroiqa.errors import UserError
from zeroiqa.heads.registry import find_head, head_names, head_of

ROOMS = (
    *("levels", "regression", "questions", "predictions", "ratings", "folds"),
    *("training", "entry", "backbone", "lmm4lmm", "registry"),
)
"""From the lowest to the highest; all but the last are free of the names of heads."""
PACKAGE = Path(zeroiqa.heads.__file__).parent


def imported(path: Path) -> set[str]:
    """Rooms that a file imports: for types, in functions, or named as "module:attribute"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.partition(":")[0])
    return {name.split(".")[2] for name in found if name.startswith("zeroiqa.heads.") and " " not in name}


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_one_above(room):
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").is_file() else (PACKAGE / room).glob("*.py")
    used = set().union(*map(imported, files)) - {room}
    assert used <= {*ROOMS[: ROOMS.index(room)]}


def test_every_module_has_a_room():
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert there - {"__init__", "__pycache__"} == {*ROOMS}


def test_heads_are_listed_without_torch():
    code = "import sys, zeroiqa.heads.registry as r; print('torch' in sys.modules, *r.head_names())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False lmm4lmm:perception ")
    assert head_names()[:3] == ("lmm4lmm:perception", "lmm4lmm:correspondence", "lmm4lmm:qa")


def test_a_name_is_a_head_a_dimension_and_a_folder():
    entry, dimension, folder = found = find_head("lmm4lmm:qa:C:/weights")
    assert (entry.title, dimension.text, folder, found.label) == (
        "LMM4LMM",
        "questions",
        "C:/weights",
        "lmm4lmm:qa",
    )
    assert not dimension.gives_levels and find_head("lmm4lmm:perception").dimension.gives_levels
    for name in ("", "lmm4lmm", "other:qa:x"):
        with pytest.raises(UserError, match="There is no head"):
            find_head(name)


@pytest.mark.parametrize(
    ("config", "head"),
    [
        ('{"model_type": "internvl_chat"}', "lmm4lmm"),
        ('{"model_type": "x"}', None),
        ("[]", None),
        (None, None),
    ],
)
def test_a_folder_is_known_by_its_configuration(tmp_path, config, head):
    if config is not None:
        (tmp_path / "config.json").write_text(config, "utf-8")
    found = head_of(tmp_path)
    assert (found and found.name) == head


def test_the_former_name_of_a_prediction_says_the_present_one():
    from zeroiqa.heads import lmm4lmm

    with pytest.warns(DeprecationWarning, match="Judged is called Prediction now"):
        assert lmm4lmm.Judged is lmm4lmm.Prediction
    with pytest.raises(AttributeError, match="has no attribute 'Judge'"):
        lmm4lmm.Judge  # noqa: B018
