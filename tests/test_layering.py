"""The architecture, read from the source: who imports whom, what is loaded when, how long a file may be."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import zeroiqa
from scripts.imports import LINE, MODULES, imported, package_of, upwards

PACKAGE = Path(zeroiqa.__file__).parent

MODELS = (
    "zeroiqa.segmenters.eomt",
    "zeroiqa.segmenters.sam2.generation",
    "zeroiqa.segmenters.sam2.upsampling",
    "zeroiqa.segmenters.sam2.official",
    "zeroiqa.segmenters.sam2.official_weights",
    "zeroiqa.segmenters.sam2.official_network",
    "zeroiqa.segmenters.sam2.hf",
    "zeroiqa.segmenters.sam2.hf_weights",
    "zeroiqa.segmenters.sam2.cleaning",
    "zeroiqa.segmenters.sam2.segmenter",
    "zeroiqa.segmenters.sam2.convert",
    "zeroiqa.raters.chat",
    "zeroiqa.chat.answering",
    "zeroiqa.chat.engine",
    "zeroiqa.chat.memory",
    "zeroiqa.chat.inputs",
    "zeroiqa.chat.forward",
    "zeroiqa.chat.path_check",
    "zeroiqa.chat.pair_check",
    "zeroiqa.chat.showing",
    "zeroiqa.chat.comparing",
    "zeroiqa.chat.readouts",
    "zeroiqa.chat.mplug_owl3",
    "zeroiqa.raters.head",
    "zeroiqa.baselines.clip.model",
    "zeroiqa.baselines.clip.openai_model",
    "zeroiqa.baselines.clip.openai_network",
    "zeroiqa.baselines.clip.patches",
    "zeroiqa.baselines.vqascore",
    "zeroiqa.heads.backbone",
    "zeroiqa.heads.lmm4lmm",
    "zeroiqa.heads.regression",
    "zeroiqa.heads.training",
)
WRAPPERS = {
    "torch": MODELS,
    "torchvision": MODELS,
    "transformers": MODELS,
    "sam2": (),
    "ray": ("zeroiqa.runs.executors.ray",),
    "pyiqa": ("zeroiqa.baselines.pyiqa",),
    "skimage": ("zeroiqa.segmenters.graph",),
    "openai": (),
    "peft": (),
    "accelerate": (),
    "fsspec": (),
    "s3fs": (),
    "gcsfs": (),
    "pandas": (),
    "openpyxl": (),
    "matplotlib": ("zeroiqa.report",),
}
"""Heavy module -> the only modules that may import it at their top; others do inside functions."""


TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def statements(tree: ast.AST, into_functions: bool) -> Iterator[ast.AST]:
    """Every node that runs: blocks under `if TYPE_CHECKING` do not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not into_functions:
            continue
        yield node
        yield from statements(node, into_functions)


def imports(name: str, *, into_functions: bool) -> set[str]:
    """Full names of the modules that a module imports."""
    found = set()
    for node in statements(TREES[name], into_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively; write the full name"
            base = node.module or ""
            submodules = {f"{base}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= submodules or {base}
    return found


def is_inside(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def test_packages_import_downwards_only():
    """Types-only imports, those in functions and entries by name included; see `scripts/imports.py`."""
    assert upwards() == []


def test_every_line_of_the_order_is_of_a_package_that_exists():
    there = {package_of(name) for name in MODULES}
    assert set(LINE) == there


def test_modules_have_no_cycle():
    """Whatever runs, in functions, too; a module that an entry names is imported by whoever asks for it."""
    graph = {name: imports(name, into_functions=True) & MODULES.keys() - {name} for name in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_rooms_inside_of_a_package_have_no_cycle():
    """A folder in a package and the modules beside it, one node each; types count."""
    parents = {name.rpartition(".")[0] for name in MODULES if name.count(".") > 1}
    for parent in sorted(parents):
        rooms = {
            name: name.removeprefix(f"{parent}.").split(".")[0] for name in MODULES if f"{parent}." in name
        }
        graph: dict[str, set[str]] = {}
        for name, room in rooms.items():
            found = imported(TREES[name], entries=False)
            others = {rooms[other] for other, _ in found if other in rooms}
            graph.setdefault(room, set()).update(others - {room})
        TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("name", MODULES)
def test_heavy_modules_are_imported_at_the_top_of_their_wrapper_only(name):
    top = {module.split(".")[0] for module in imports(name, into_functions=False)}
    assert not {heavy for heavy in top & WRAPPERS.keys() if not is_inside(name, WRAPPERS[heavy])}


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_wrap_a_model_are_imported_lazily(name):
    if not is_inside(name, MODELS):
        assert not {other for other in imports(name, into_functions=False) if is_inside(other, MODELS)}


def test_opencv_is_imported_in_one_place():
    assert [name for name in MODULES if "cv2" in imports(name, into_functions=True)] == [
        "zeroiqa.images.opencv"
    ]


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after running the code."""
    report = "import sys; print('\\n' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


LIGHT = ["numpy", "cv2", "pyarrow", "scipy", "PIL", "rich", "joblib"]
"""Loaded by what works with pixels or tables, never by `--help`."""


def test_import_of_the_package_loads_nothing_heavy():
    assert not loaded_by("import zeroiqa") & {*WRAPPERS, *LIGHT, "click"}


@pytest.mark.parametrize("command", [[], ["score"]])
def test_help_loads_nothing_heavy(command):
    code = f"""
from zeroiqa.cli import main
try:
    main({[*command, "--help"]})
except SystemExit as end:
    assert end.code == 0
"""
    assert not loaded_by(code) & {*WRAPPERS, *LIGHT}


def test_default_score_does_without_torch():
    sample = sorted((PACKAGE / "samples").glob("*.jpg"))[0]
    loaded = loaded_by(f"import zeroiqa; zeroiqa.score({str(sample)!r})")
    assert "cv2" in loaded
    assert not loaded & {
        "torch",
        "torchvision",
        "transformers",
        "sam2",
        "ray",
        "pyiqa",
        "pandas",
        "matplotlib",
    }


@pytest.mark.parametrize("name", MODULES)
def test_files_have_at_most_400_lines(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_and_classes_say_what_they_do(name):
    definitions = [
        node
        for node in TREES[name].body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [node.name for node in definitions if not ast.get_docstring(node)] == []
