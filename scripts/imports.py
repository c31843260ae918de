"""Print who imports whom, package by package, the lowest first; end with 1 if any arrow goes up.

    python scripts/imports.py [--why PACKAGE PACKAGE]

Every import counts: those for types only, those inside functions, and entries such as
"zeroiqa.raters.nss:NssRater", which are imported when they are asked for. The
modules in the root of the package are nodes of their own.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "zeroiqa"
ORDER = (
    ("version", "names", "suggestions", "presets", "samples"),
    ("errors",),
    ("registry", "guards"),
    ("files",),
    ("comparison",),
    ("standards",),
    ("types",),
    ("rle", "metrics", "weights"),
    ("aggregate", "images"),
    ("averaging", "views", "degradations", "nss"),
    ("chat",),
    ("segmenters", "heads"),
    ("baselines",),
    ("raters",),
    ("answers", "reasons", "settings"),
    ("results", "calibration"),
    ("image_scores", "calibration_file"),
    ("pipeline",),
    ("runs",),
    ("speed", "curation"),
    ("evaluation",),
    ("guesses",),
    ("choices",),
    ("scoring",),
    ("report",),
    ("export",),
    ("api",),
    ("cli",),
    ("__init__", "__main__"),
)
"""The packages and the modules of the root, the lowest first. Each imports from lower lines only."""

LINE = {name: number for number, line in enumerate(ORDER) for name in line}
_ENTRY = re.compile(r"zeroiqa(\.\w+)+:\w+")


def modules() -> dict[str, Path]:
    """Full name of each module -> its file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("zeroiqa", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def package_of(module: str) -> str:
    """The node that a module belongs to: "raters" for zeroiqa.raters.endpoint.client."""
    return [*module.split("."), "__init__"][1]


def imported(tree: ast.AST, *, entries: bool = True) -> Iterator[tuple[str, int]]:
    """The project's modules that a file imports, wherever in it and for whatever, each with its line.

    Args:
        tree: Of the file.
        entries: Whether modules count that are named as entries, and imported when they are asked for.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif entries and isinstance(node, ast.Constant) and _ENTRY.fullmatch(str(node.value)):
            names = [node.value.partition(":")[0]]
        else:
            continue
        for name in names:
            while name not in MODULES and "." in name:  # an attribute of a module
                name = name.rpartition(".")[0]
            if name in MODULES:
                yield name, getattr(node, "lineno", 0)


def arrows() -> dict[tuple[str, str], list[str]]:
    """(Importing package, imported package) -> where."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module, path in MODULES.items():
        own = package_of(module)
        for name, line in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if package_of(name) != own:
                place = path.relative_to(PACKAGE.parent)
                found[own, package_of(name)].append(f"{place}:{line} imports {name}")
    return found


def upwards() -> list[str]:
    """Imports from the same line of `ORDER` or from a higher one; and packages that have no line there."""
    nodes = {package_of(module) for module in MODULES}
    homeless = [f"{name} has no place in ORDER" for name in sorted(nodes - LINE.keys())]
    wrong = [
        place
        for (importer, other), places in arrows().items()
        for place in places
        if LINE.get(importer, 0) <= LINE.get(other, 0)
    ]
    return homeless + wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--why", nargs=2, metavar="PACKAGE", help="the imports from the first to the second")
    why = parser.parse_args().why
    found = arrows()
    if why:
        print("\n".join(found.get(tuple(why), [])) or f"{why[0]} imports nothing from {why[1]}.")
        return
    for line in ORDER:
        for name in line:
            below = sorted((other for importer, other in found if importer == name), key=LINE.__getitem__)
            print(f"{name:<12}{'-> ' + ', '.join(below) if below else ''}")
    wrong = upwards()
    print(f"{len(found)} arrows, {len(wrong) or 'none'} upwards")
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
