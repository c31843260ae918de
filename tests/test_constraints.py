"""constraints.txt: an exact version of everything that setup.cfg asks for, in its range, for each Python."""

import configparser
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
HERE = {"sys_platform": "linux", "platform_machine": "x86_64"}

sys.path.insert(0, str(ROOT / "scripts"))
import make_constraints  # noqa: E402


def pinned(python: str, **other: str) -> dict[str, str]:
    """Name -> exact version, as pip reads the file beside a Python."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found: dict[str, str] = {}
    for requirement in (Requirement(line) for line in lines if not line.startswith("#")):
        assert requirement.marker is not None
        if requirement.marker.evaluate({**HERE, **other, "python_version": python}):
            assert requirement.name not in found
            (version,) = requirement.specifier
            found[requirement.name] = version.version
    return found


def asked() -> list[Requirement]:
    """What setup.cfg asks for, in all extras but pyiqa's, whose licence keeps it out of the tests."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = {name: lines for name, lines in setup["options.extras_require"].items() if name != "pyiqa"}
    lines = "\n".join([setup["options"]["install_requires"], *extras.values()]).splitlines()
    requirements = [Requirement(line) for line in lines if line.strip() and not line.strip().startswith("#")]
    return [requirement for requirement in requirements if requirement.name != "zeroiqa"]


@pytest.mark.parametrize("python", PYTHONS)
def test_everything_that_is_asked_for_has_one_version_in_its_range(python: str) -> None:
    versions = pinned(python)
    wrong = [
        str(requirement)
        for requirement in asked()
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0"))
    ]
    assert wrong == []


def test_other_platforms_and_pythons_install_by_the_ranges() -> None:
    assert pinned("3.11", sys_platform="darwin") == {}
    assert pinned("3.11", platform_machine="aarch64") == {}
    assert pinned("3.14") == {}


def test_what_the_project_subclasses_or_reaches_into_has_an_upper_bound() -> None:
    bounded = {
        requirement.name
        for requirement in asked()
        if any(bound.operator == "<" for bound in requirement.specifier)
    }
    assert {"transformers", "sam2", "pillow", "click", "peft"} <= bounded


def test_both_commands_of_the_readme_install_with_it() -> None:
    commands = re.findall(r"^```sh\n(.*?)\n```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.M)
    assert all("pip install -c constraints.txt " in command for command in commands[:2])


def test_a_version_that_differs_gets_a_marker_of_its_python() -> None:
    text = make_constraints.constraints(
        {"3.12": {"same": "1", "other": "2"}, "3.11": {"same": "1", "other": "3", "old": "4"}}
    )
    platform = make_constraints.PLATFORM
    assert text.splitlines()[2:] == [
        f'old==4 ; {platform} and python_version == "3.11"',
        f'other==3 ; {platform} and python_version == "3.11"',
        f'other==2 ; {platform} and python_version == "3.12"',
        f'same==1 ; {platform} and python_version >= "3.11" and python_version < "3.13"',
    ]
