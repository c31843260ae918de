"""README and guides: examples print what is shown, links lead somewhere, commands and numbers exist."""

from __future__ import annotations

import configparser
import csv
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from tests.pages import PAGES, README, ROOT, TEXT, code_of, headings_of
from zeroiqa.cli import cli
from zeroiqa.settings import load_settings, preset_description
from zeroiqa.version import __version__

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "update_docs.py"))
PUBLISHED = ROOT / "zeroiqa" / "evaluation" / "published"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_prints_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    shown = page.read_text(encoding="utf-8")
    printed = SCRIPT["rewritten"](shown, tmp_path)
    assert not SCRIPT["differs"](shown, printed), printed


def test_every_guide_begins_with_what_it_is_for_and_an_example_that_is_run() -> None:
    begins = re.compile(r"# .+\n\n(\w.+\n){1,4}\n```console\n")
    guides = {page.name: begins.match(page.read_text(encoding="utf-8")) for page in PAGES[1:]}
    assert len(guides) > 5
    assert [name for name, found in guides.items() if not found] == []


def test_the_script_finds_a_page_whose_example_prints_something_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ zeroiqa standards\nquality-word-8\n```\n")
    with pytest.raises(SystemExit, match=r"than that of its commands: page\.md\."):
        SCRIPT["main"](["--check", str(page)])
    SCRIPT["main"]([str(page)])
    SCRIPT["main"](["--check", str(page)])
    page.write_text("```console\n$ zeroiqa standards no-such-standard\n```\n")
    with pytest.raises(SystemExit, match="zeroiqa standards no-such-standard failed: Error: "):
        SCRIPT["main"]([str(page)])


def test_a_number_that_differs_in_the_sixth_decimal_by_two_is_another_one() -> None:
    differs = SCRIPT["differs"]
    assert [differs("3.396220", number) for number in ("3.396221", "3.396222", "3.397220")] == [
        False,
        True,
        True,
    ]
    assert differs("3.40", "3.41")


def test_the_readme_is_short_and_leads_to_every_guide() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name})" not in text] == []


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in headings_of(target.read_text(encoding="utf-8")))


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    links = [
        (page, link)
        for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
        for link in re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 20
    assert [f"{page.name}: {link}" for page, link in links if not leads_somewhere(page, link)] == []


def test_the_archive_of_the_sources_holds_what_the_readme_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from setuptools.command.egg_info import FileList

    monkeypatch.chdir(ROOT)
    held = FileList()
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            held.process_template_line(line)
    links = re.findall(r"\]\(([^):#]+)", README.read_text(encoding="utf-8"))
    named = {link for link in links if not link.startswith("zeroiqa/")} | {"constraints.txt", "CITATION.cff"}
    assert named - set(held.files) == set()


def commands_named() -> Iterator[tuple[str, list[str]]]:
    """(as written, words after `zeroiqa`) of every command in README and guides."""
    for code in code_of(TEXT):
        for found in re.finditer(r"(?:^|[|&] )zeroiqa ([^|]*)", code):
            yield found[0], shlex.split(found[1], comments=True)


def test_every_command_and_its_options_exist() -> None:
    wrong = []
    for written, words in commands_named():
        try:
            command: click.Command = cli
            while isinstance(command, click.Group) and words and not words[0].startswith("-"):
                command = command.commands[words.pop(0)]
            given, _, _ = command.make_parser(click.Context(command)).parse_args(words)
            for option in command.params:
                values = given.get(option.name, ())
                if isinstance(option, click.Option) and isinstance(option.type, click.Choice):
                    for value in values if option.multiple else [values] if values else []:
                        option.type.convert(value, option, None)
        except (KeyError, click.UsageError) as error:
            wrong.append(f"{written}: {error!r}")
    assert wrong == []


def all_commands(command: click.Command = cli) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from all_commands(one)


def test_every_option_named_alone_exists() -> None:
    known = {
        option
        for command in all_commands()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    alone = " ".join(code for code in code_of(TEXT) if code.startswith("-"))
    named = set(re.findall(r"(?<!\S)--[\w-]+", alone))
    assert len(named) > 30
    assert named - known == set()


def test_the_two_commands_of_ci_come_first() -> None:
    commands = re.findall(
        r"^```sh\n(.*?)\n```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert [command.split("&& ")[-1].split()[0] for command in commands] == ["zeroiqa", "python"]
    assert "\n" not in "".join(commands)


def test_the_measured_agreement_is_the_published_one() -> None:
    table = (ROOT / "results" / "biq2021" / "table.md").read_text(encoding="utf-8")
    numbers = re.findall(r"(?:SRCC|BIQ2021:) (0\.\d+)", TEXT + preset_description("embedded"))
    assert numbers
    assert [number for number in numbers if number not in table] == []


def raters() -> dict[str, list[str]]:
    """The table of the README: what to take -> its cells."""
    row = re.compile(r"^\| `--(?:preset|baseline|rater) ([\w:-]+)`(.*)\|$", re.MULTILINE)
    rows = row.findall(README.read_text(encoding="utf-8"))
    return {name: [cell.strip() for cell in rest.split("|")][1:] for name, rest in rows}


SOURCES = {
    "sep-iqa": ("sep_iqa_notebook", {"embed": "embed_2", "k": "100"}),
    "llm-iqa": ("llm_iqa_table4", {"K": "7"}),
    "dog-iqa": ("llm_iqa_table2", {"method": "Dog-IQA v1"}),
    "q-debias": ("q_debias_table1", {"method": "Q-Debias"}),
    "q-realign": ("q_realign_readme", {"model": "Q-ReAlign Mini"}),
    "fast": ("pace_readme", {"method": "Qwen2.5-VL-7B"}),
    "niqe:FILE": ("llm_iqa_table2", {"method": "NIQE"}),
}
"""Which rows of which published table the README shows."""


def test_the_agreement_of_raters_is_what_the_linked_tables_print() -> None:
    for rater, (file, row) in SOURCES.items():
        _, *numbers, source = raters()[rater][:5]
        assert f"({(PUBLISHED / file).relative_to(ROOT)}.csv)" in source
        with (PUBLISHED / f"{file}.csv").open(newline="", encoding="utf-8") as opened:
            rows = [each for each in csv.DictReader(opened) if row.items() <= each.items()]
        for dataset, number in zip(("spaq", "kadid", "agiqa3k"), numbers, strict=True):
            [printed] = {
                each.get(f"{dataset}_srcc") or each.get("srcc", "–")
                for each in rows
                if each.get("dataset", dataset) == dataset
            }
            assert number.split()[0] == printed
    unknown = [cells[1:4] for rater, cells in raters().items() if rater not in (*SOURCES, "embedded")]
    assert unknown == [["–", "–", "–"]] * len(unknown)


def test_every_preset_stands_in_the_tables_with_the_memory_of_its_models(give, tmp_path: Path) -> None:
    listed = json.loads(give(tmp_path, "models", "--format", "json").stdout)
    gib = {model["name"]: model["memory_bf16_gib"] for model in listed}
    presets = {path.stem for path in (ROOT / "zeroiqa" / "presets").glob("*.toml")}
    models = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    guide = dict(re.findall(r"^\| `([\w-]+)`.*\| (.*?) \|$", models, re.MULTILINE))
    assert presets == set(guide) == set(raters()) & presets
    for preset in presets - {"embedded"}:
        largest = max(gib[rater] for rater in load_settings(preset).raters)
        assert raters()[preset][5] == guide[preset]
        assert guide[preset].split()[0] == f"{largest:.1f}"
    measured = json.loads((ROOT / "results" / "bench" / "embedded.json").read_text())["command"]
    peak = max(command["peak MiB"] for command in measured.values()) / 1024
    assert raters()["embedded"][5] == f"{peak:.1f} GiB"


def test_the_citation_is_of_this_version() -> None:
    """The keys that the Citation File Format 1.2.0 asks for, of the software and of each reference."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert {"cff-version", "message", "title", "authors", "abstract"} <= set(citation)
    assert (citation["cff-version"], citation["type"], citation["title"]) == ("1.2.0", "software", "zeroiqa")
    assert citation["version"] == __version__
    assert citation["license"] == setup["metadata"]["license"]
    assert all({"type", "title", "authors"} <= set(one) and one["authors"] for one in citation["references"])


def test_the_times_on_a_laptop_are_the_measured_ones() -> None:
    found = json.loads((ROOT / "results" / "bench" / "laptop.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| ([\w.-]+)[^|]*\|[^|]*\| (\w+) \| ([\d.]+) \|[^|]*\| (.*) \|$", (
        ROOT / "docs" / "laptop.md").read_text(encoding="utf-8"), re.MULTILINE)  # fmt: skip
    assert len(rows) >= 3
    for name, dtype, seconds, how in rows:
        part = "measured" if how == "measured" else "computed, not measured"
        assert found[part][name][dtype]["seconds"] == float(seconds), name
