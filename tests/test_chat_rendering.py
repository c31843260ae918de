"""Chat templates that never end, write too much or take all memory; the others write what they did."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zeroiqa.chat import rendering
from zeroiqa.chat.loading import load
from zeroiqa.chat.rendering import UnboundedTemplateError, bounded, variables
from zeroiqa.errors import UserError
from zeroiqa.weights.options import ModelOptions

pytest.importorskip("transformers")

BREAKS = "takes longer than|takes more than half a gigabyte|writes more than a million"
"""Which bound is broken first depends on the machine."""
ATTACKS = {
    "nested loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        BREAKS,
    ),
    "a loop of 10^9": ("{% for a in range(10**9) %}{% endfor %}", "fails with OverflowError: Range too big"),
    "a long string": ("{% set a = 'a' * 10**9 %}", BREAKS),
    "a long string, written": ("{{ 'a' * 10**8 }}", BREAKS),
    "a string that doubles": (
        "{% set n = namespace(a='a') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
        BREAKS,
    ),
    "a power": ("{{ (9 + messages|length) ** (10 ** 8) }}", BREAKS),
    "a power, computed when it is compiled": ("{{ 9 ** (10 ** 8) }}", BREAKS),
    "a filter that pads": ("{{ 'a'|center(10**9) }}", BREAKS),
    "a format that pads": ("{{ '%0999999999d' % 1 }}", BREAKS),
    "a method that pads": ("{{ messages[0].role.ljust(10**9) }}", BREAKS),
    "a list": ("{% set a = range(99999)|list * 10**5 %}", BREAKS),
    "much text": ("{% for a in range(9999) %}{{ 'abcdefgh' * 99 }}{% endfor %}", BREAKS),
    "a macro that calls itself": ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "RecursionError"),
    "macros that call each other twice": (
        "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(60) }}",
        BREAKS,
    ),
    "words without end": ("{{ lipsum(10**7) }}", BREAKS),
    "JSON with wide margins": ("{{ messages|tojson(indent=10**9) }}", BREAKS),
    "a template of a megabyte": ("a" * (1 << 20), "has 1,048,576 characters"),
    "deep parentheses": ("{{ " + "(" * 20_000 + ")" * 20_000 + " }}", "RecursionError|fails with"),
}
MESSAGES = [{"role": "user", "content": "a"}]


def processor_of(source: str) -> Any:
    """transformers' own rendering, of a processor that has nothing else."""
    from transformers.utils.chat_template_utils import render_jinja_template

    def render(messages: Any, **choices: Any) -> str:
        return str(render_jinja_template([messages], chat_template=source, **choices)[0][0])

    return SimpleNamespace(apply_chat_template=render, chat_template=source)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_template_that_is_an_attack_ends_in_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from zeroiqa.chat.prompt import _find_layout

    monkeypatch.setattr(rendering, "_SECONDS", 0.5)
    source, said = ATTACKS[name]
    render = bounded(processor_of(source).apply_chat_template, "a model")
    with pytest.raises(UserError, match=f"^The chat template of a model .*({said})") as caught:
        _find_layout(render, (), None, "a model")
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 600


def test_the_names_in_a_template_are_found_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "{% generation %}{{ a }}{% endgeneration %}{% set b = 1 %}{{ b }}{% break %}"
    assert variables("{% for c in d %}" + source + "{% endfor %}") == {"a", "d"}
    assert variables("{{") == variables("{{ " + "(" * 20_000) == frozenset()
    monkeypatch.setattr(rendering, "_SECONDS", 0.5)
    with pytest.raises(UnboundedTemplateError, match="takes longer"):
        variables("{{ 9 ** (10 ** 8) }}")


def test_a_checkpoint_with_an_endless_template_is_refused(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_SECONDS", 0.5)
    folder = Path(shutil.copytree(tiny("qwen2_5_vl"), tmp_path / "model"))
    (folder / "chat_template.jinja").write_text(ATTACKS["nested loops"][0])
    with pytest.raises(UserError, match=f"The chat template of {folder} takes longer than"):
        load(str(folder), ModelOptions(device="cpu"))


TEMPLATES = {
    "white space": "  {% if true %}\n  a\n  {% endif %}\n{{ 'b' }}\n\n",
    "JSON": "{{ messages|tojson }}{{ {'b': '<', 'a': '\u00e9'}|tojson(indent=2, sort_keys=true) }}",
    "types": "{{ dict(a=1) }}{{ dict.fromkeys([1], 2) }}{{ namespace(a=1).a }}{{ undefined_name }}",
    "a generation": "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}\n{% endgeneration %}\n{{ a }}",
    "loops": "{% for a in range(9) %}{% if a == 3 %}{% continue %}{% endif %}{{ a }}{% endfor %}",
    "kinds": "{{ none is none }}{{ messages is sequence }}{{ add_generation_prompt }}{{ tools is none }}",
    "an error of its own": "{{ raise_exception('never \u00e9') }}",
    "a hidden field": "{{ namespace(_a=1) }}",
    "a change": "{{ messages.append(1) }}",
    "an attribute": "{{ messages.__class__.__mro__ }}",
    "nothing there": "{{ messages[0].x.y }}",
    "no template": "{% if %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_writes_here_what_it_writes_in_transformers(name: str) -> None:
    render = processor_of(TEMPLATES[name]).apply_chat_template
    choices = {"add_generation_prompt": True, "extra": {"a": [1, 2.5, None, "\ud83d\ude00"]}}
    found = []
    for each in (render, bounded(render, "a model")):
        try:
            found.append(each(MESSAGES, **choices))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}".replace("chat templates", "").split(" ")[0])
    assert found[0] == found[1]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "idefics3", "gemma3"])
def test_processors_write_here_what_they_write_in_transformers(
    family: str, tiny: Callable[[str], Path]
) -> None:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny(family))
    content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    asked = [{"role": "user", "content": content}]
    answered = [*asked, {"role": "assistant", "content": [{"type": "text", "text": "A cat"}]}]
    ours = bounded(processor.apply_chat_template, family)
    for messages, choices in (
        (asked, {"add_generation_prompt": True}),
        (answered, {"continue_final_message": True}),
        (answered, {}),
    ):
        assert ours(messages, tokenize=False, **choices) == processor.apply_chat_template(
            messages, tokenize=False, **choices
        )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_process_that_is_gone_is_started_again() -> None:
    process = rendering._process()
    assert process.ask({"source": "{{ a }}", "variables": {"a": 1}}) == "1"
    assert process._running is not None
    os.kill(process._running.pid, signal.SIGKILL)
    with pytest.raises(UnboundedTemplateError, match="ends the process"):
        process.ask({"source": "{{ a }}", "variables": {"a": 2}})
    assert process.ask({"source": "{{ a }}", "variables": {"a": 3}}) == "3"
