from __future__ import annotations

import subprocess
import sys
from collections import Counter, OrderedDict

import pytest

from zeroiqa.errors import UserError
from zeroiqa.registry import Registry

GROUP = "zeroiqa.tests.mappings"
BUILTIN = {
    "ordered": "registry_entries:ORDERED",
    "counter": Counter("aab"),
    "missing": "zeroiqa.nowhere:Nothing",
}


def registry(builtin=BUILTIN, entry=dict):
    return Registry("mapping", GROUP, entry, builtin)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts distributions on the path as pip lays them out: name -> (entry points, source of its module)."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, points, source=""):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))

    yield install
    for name in [name for name in sys.modules if name.startswith("offers_")]:
        del sys.modules[name]


def test_a_key_stands_for_its_entry():
    assert registry().find("counter") == (Counter("aab"), None)


@pytest.mark.parametrize(
    ("name", "argument"), [("counter:", ""), ("counter:3x2", "3x2"), ("counter:a:b", "a:b")]
)
def test_argument_is_what_follows_the_first_colon(name, argument):
    assert registry().find(name)[1] == argument


def test_an_entry_named_by_its_place_is_imported_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    asked = registry()
    assert asked.keys() == tuple(BUILTIN)
    (tmp_path / "registry_entries.py").write_text("import collections\nORDERED = collections.OrderedDict()")
    assert asked.find("ordered") == (OrderedDict(), None)
    del sys.modules["registry_entries"]


def test_unknown_key_is_refused_with_the_nearest_and_all_keys():
    with pytest.raises(UserError) as error:
        registry().find("conuter:3")
    assert str(error.value) == (
        "unknown mapping 'conuter'; did you mean 'counter'? Known: ordered, counter, missing."
    )


@pytest.mark.parametrize("name", ["xyz", "", ":3"])
def test_unknown_key_without_a_near_one_is_refused_without_a_suggestion(name):
    with pytest.raises(UserError, match=r"^unknown mapping '[a-z]*'\. Known: ordered, counter, missing\.$"):
        registry().find(name)


def test_an_installed_package_adds_an_entry(installed):
    installed("offers-one", {"tiny": "offers_one:TINY"}, "TINY = {'size': 1}")
    asked = registry()
    assert asked.keys() == (*BUILTIN, "tiny")
    assert asked.find("tiny:x") == ({"size": 1}, "x")
    assert asked.origin("tiny:x") == "offers-one"
    assert asked.origin("counter") is None
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        asked.find("tyny")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_at_all", "cannot be loaded (ModuleNotFoundError: No module named 'nowhere_at_all')"),
        ("1 / 0", "cannot be loaded (ZeroDivisionError: division by zero)"),
        ("raise SystemExit", "cannot be loaded (SystemExit)"),
        ("", "cannot be loaded (AttributeError: module 'offers_broken' has no attribute 'TINY')"),
        ("TINY = 3", "is no dict (offers_broken:TINY is a int)"),
    ],
)
def test_an_entry_that_cannot_be_loaded_is_one_sentence_with_its_package(installed, caplog, source, reason):
    installed("offers-broken", {"tiny": "offers_broken:TINY"}, source)
    asked = registry({"counter": Counter()})
    with pytest.raises(UserError) as error:
        asked.find("tiny")
    assert str(error.value).startswith(f"The mapping tiny of the package offers-broken {reason}; install ")
    assert [key for key, _ in asked.entries()] == ["counter"]
    assert caplog.messages == [str(error.value)]


def test_errors_and_gaps_of_what_a_package_builds_name_it(installed):
    installed("offers-one", {"tiny": "offers_one:TINY"}, "TINY = {}")
    asked = registry()
    sentence = r"mapping tiny of the package offers-one cannot be built \(KeyError"
    with pytest.raises(UserError, match=sentence), asked.code_of("tiny:3", "cannot be built"):
        {}["x"]
    with pytest.raises(KeyError), asked.code_of("counter", "cannot be built"):
        {}["x"]
    asked.check_parts("tiny", {}, "keys", "items")
    asked.check_parts("counter", {}, "rate")
    with pytest.raises(UserError, match="of the package offers-one lacks id, rate; install another version"):
        asked.check_parts("tiny:3", {}, "keys", "id", "rate")


def test_a_package_refuses_in_words_of_its_own(installed):
    source = "from zeroiqa.errors import UserError\nraise UserError('Tiny needs a moon; wait for one.')"
    installed("offers-moon", {"tiny": "offers_moon:TINY"}, source)
    with pytest.raises(UserError, match=r"^Tiny needs a moon; wait for one\.$"):
        registry().find("tiny")


def test_a_name_of_ours_is_never_replaced_and_that_is_said_once(installed, caplog):
    installed("offers-ours", {"counter": "offers_ours:TINY", "ti:ny": "offers_ours:TINY"}, "TINY = {}")
    asked = registry()
    assert asked.keys() == tuple(BUILTIN)
    assert asked.find("counter") == (Counter("aab"), None)
    assert caplog.messages == [
        "The mapping counter of the package offers-ours is passed over: the name is one of zeroiqa's own.",
        "The mapping ti:ny of the package offers-ours is passed over: the name may hold no colon.",
    ]


def test_a_name_that_two_packages_offer_is_refused(installed):
    installed("offers-one", {"tiny": "offers_one:TINY"}, "TINY = {}")
    installed("offers-two", {"tiny": "offers_two:TINY"}, "TINY = {}")
    with pytest.raises(UserError, match="Several installed packages offer the mapping tiny") as error:
        registry().find("tiny")
    assert "offers-one" in str(error.value) and "offers-two" in str(error.value)


def test_building_a_segmenter_imports_no_module_of_another():
    code = "import sys, zeroiqa.segmenters as s; s.build_segmenter('grid'); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "zeroiqa.segmenters.grid" in modules
    assert not {"zeroiqa.segmenters.graph", "skimage", "cv2", "torch"} & set(modules)
