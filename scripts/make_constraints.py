"""Write constraints.txt: the exact versions beside which the tests passed.

    python scripts/make_constraints.py ENVIRONMENT...

Each argument is a virtual environment of another Python version, in which `pip install -e '.[dev]'` of this
folder was done. The tests run in each of them, and nothing is written unless all pass. The versions hold for
Linux on x86-64 and the Python versions given; elsewhere pip follows the ranges of setup.cfg.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = 'sys_platform == "linux" and platform_machine == "x86_64"'
LEFT_OUT = {"pip", "zeroiqa"}
HEAD = """\
# The exact versions beside which the tests passed: python -m pip install -c constraints.txt .
# Written by scripts/make_constraints.py. Other platforms and Pythons install by the ranges of setup.cfg.
"""

_LIST = """
import importlib.metadata, json, platform, re, sys
versions = {re.sub(r"[-_.]+", "-", each.name).lower(): each.version.partition("+")[0]
            for each in importlib.metadata.distributions()}
print(json.dumps([platform.system(), platform.machine(), "%d.%d" % sys.version_info[:2], versions]))
"""


def installed(environment: Path) -> tuple[str, dict[str, str]]:
    """The Python version of an environment, as "3.11", and name -> version of what it holds."""
    done = subprocess.run(
        [environment / "bin" / "python", "-c", _LIST], capture_output=True, text=True, check=True
    )
    system, machine, python, versions = json.loads(done.stdout)
    if (system, machine) != ("Linux", "x86_64"):
        sys.exit(f"{environment} is of {system} on {machine}; the file is for Linux on x86-64.")
    return python, {name: version for name, version in versions.items() if name not in LEFT_OUT}


def next_minor(python: str) -> str:
    """The version after "3.13" is "3.14"."""
    major, minor = map(int, python.split("."))
    return f"{major}.{minor + 1}"


def constraints(by_python: Mapping[str, Mapping[str, str]]) -> str:
    """The text of the file.

    Args:
        by_python: Python version -> name -> version. A package of one version in all of them gets one line.
    """
    pythons = sorted(by_python, key=lambda python: tuple(map(int, python.split("."))))
    everywhere = f'python_version >= "{pythons[0]}" and python_version < "{next_minor(pythons[-1])}"'
    lines = []
    for name in sorted(set().union(*by_python.values())):
        found = {python: by_python[python].get(name) for python in pythons}
        if len(set(found.values())) == 1:
            lines.append(f"{name}=={found[pythons[0]]} ; {PLATFORM} and {everywhere}")
            continue
        lines += [
            f'{name}=={version} ; {PLATFORM} and python_version == "{python}"'
            for python, version in found.items()
            if version is not None
        ]
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    by_python: dict[str, dict[str, str]] = {}
    for environment in map(Path, sys.argv[1:]):
        python, versions = installed(environment)
        if python in by_python:
            sys.exit(f"{environment} is of Python {python}, as another one; give one of each.")
        print(f"+ the tests beside Python {python}", flush=True)
        tests = [environment / "bin" / "python", "-m", "pytest", "-n", "auto"]
        if subprocess.run(tests, cwd=ROOT).returncode:
            sys.exit(f"The tests fail in {environment}, so its versions are not written.")
        by_python[python] = versions
    if not by_python:
        sys.exit(__doc__)
    (ROOT / "constraints.txt").write_text(constraints(by_python), encoding="utf-8")


if __name__ == "__main__":
    main()
