"""The README: its examples print what it shows, its links lead somewhere, its commands are where CI looks."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

from zeroiqa.settings import preset_description

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_example_prints_what_the_readme_shows() -> None:
    script = [sys.executable, "scripts/update_readme.py", "--check"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_number_that_differs_in_the_sixth_decimal_by_two_is_another_one() -> None:
    differs = runpy.run_path(str(ROOT / "scripts" / "update_readme.py"))["differs"]
    assert [differs("3.396220", number) for number in ("3.396221", "3.396222", "3.397220")] == [
        False,
        True,
        True,
    ]
    assert differs("3.40", "3.41")


def test_every_link_to_a_file_leads_to_one() -> None:
    links = re.findall(r"\]\(([^):]+)\)", TEXT)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_two_commands_of_ci_come_first() -> None:
    commands = re.findall(r"^```sh\n(.*?)\n```$", TEXT, re.DOTALL | re.MULTILINE)
    assert [command.split("&& ")[-1].split()[0] for command in commands] == ["zeroiqa", "python"]
    assert "\n" not in "".join(commands)


def test_the_measured_agreement_is_the_published_one() -> None:
    table = (ROOT / "results" / "biq2021" / "table.md").read_text(encoding="utf-8")
    numbers = re.findall(r"SRCC (0\.\d+)", TEXT + preset_description("embedded"))
    assert numbers
    assert [number for number in numbers if number not in table] == []
