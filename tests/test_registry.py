from __future__ import annotations

import subprocess
import sys

import pytest

from zeroiqa.errors import UserError
from zeroiqa.registry import resolve

TABLE = {
    "ordered": "collections:OrderedDict",
    "counter": "collections:Counter",
    "missing": "zeroiqa.nowhere:Nothing",
}


def test_name_stands_for_the_attribute_of_the_module():
    factory, argument = resolve("mapping", "counter", TABLE)
    assert factory("aab") == {"a": 2, "b": 1}
    assert argument is None


@pytest.mark.parametrize(
    ("name", "argument"), [("counter:", ""), ("counter:3x2", "3x2"), ("counter:a:b", "a:b")]
)
def test_argument_is_what_follows_the_first_colon(name, argument):
    assert resolve("mapping", name, TABLE)[1] == argument


def test_unknown_name_is_refused_with_the_nearest_and_all_names():
    with pytest.raises(UserError) as error:
        resolve("mapping", "conuter:3", TABLE)
    assert str(error.value) == (
        "unknown mapping 'conuter'; did you mean 'counter'? Known: ordered, counter, missing."
    )


@pytest.mark.parametrize("name", ["xyz", "", ":3"])
def test_unknown_name_without_a_near_one_is_refused_without_a_suggestion(name):
    with pytest.raises(UserError, match=r"^unknown mapping '[a-z]*'\. Known: ordered, counter, missing\.$"):
        resolve("mapping", name, TABLE)


def test_building_a_segmenter_imports_no_module_of_another():
    code = "import sys, zeroiqa.segmenters as s; s.build_segmenter('grid'); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "zeroiqa.segmenters.grid" in modules
    assert not {"zeroiqa.segmenters.graph", "skimage", "cv2", "torch"} & set(modules)
