"""What becomes of a prompt in chat templates of different habits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from zeroiqa.errors import ImageError, UserError
from zeroiqa.raters.prompting import read_template
from zeroiqa.standards import FilledPrompt

PROMPT = FilledPrompt("Be strict.", "How good is it?")
PARTS = (
    "{% for part in message.content %}{% if part.type == 'image' %}<|image_pad|>{% else %}{{ part.text }}"
    "{% endif %}{% endfor %}"
)
LOOP = "{% for message in messages %}{{ message.role }}: BODY{{ '\n' }}{% endfor %}"
LOOP += "{% if add_generation_prompt %}"
TURNS = LOOP + "assistant:{% endif %}"
PLAIN_SYSTEM = "{% if message.role == 'system' %}{{ message.content + '' }}{% else %}" + PARTS + "{% endif %}"
NO_SYSTEM = "{% if message.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + PARTS
DEAF_TO_SYSTEM = "{% if message.role != 'system' %}" + PARTS + "{% endif %}"
BREAKS = PARTS.replace("<|image_pad|>", "<|image_pad|>\n")


@pytest.fixture
def processor(tiny: Callable[[str], Path]) -> Callable[[str], Any]:
    """A real processor with another chat template."""

    def with_template(template: str | None) -> Any:
        from transformers import AutoProcessor

        found = AutoProcessor.from_pretrained(tiny("qwen2_5_vl"))
        found.chat_template = template
        return found

    return with_template


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (PARTS, "system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:"),
        (PLAIN_SYSTEM, "system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:"),
        (NO_SYSTEM, "user: Be strict.\n\n<|image_pad|>\nHow good is it?\nassistant:"),
        (DEAF_TO_SYSTEM, "user: Be strict.\n\n<|image_pad|>\nHow good is it?\nassistant:"),
        (BREAKS, "system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:"),
    ],
    ids=["parts", "system as a text", "system refused", "system ignored", "line break of its own"],
)
def test_the_image_comes_first_then_a_line_break_then_the_text(
    body: str, text: str, processor: Callable[[str], Any]
) -> None:
    template = read_template(processor(TURNS.replace("BODY", body)), "a model")
    assert template.text(PROMPT) == text


def test_an_empty_system_text_makes_no_system_turn(processor: Callable[[str], Any]) -> None:
    template = read_template(processor(TURNS.replace("BODY", PARTS)), "a model")
    assert template.text(FilledPrompt("", "How?")) == "user: <|image_pad|>\nHow?\nassistant:"


@pytest.mark.parametrize(
    ("answer", "lead"),
    [("assistant: ", ""), ("assistant:", " "), ("assistant:<think></think>", "")],
)
def test_the_lead_is_the_space_that_the_family_writes_before_an_answer(
    answer: str, lead: str, processor: Callable[[str], Any]
) -> None:
    turns = LOOP.replace("BODY", PARTS) + answer + "{% endif %}"
    template = read_template(processor(turns), "a model")
    assert template.lead(PROMPT) == lead
    assert template.text(PROMPT).endswith(answer.rstrip() if lead else answer)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "a model has no chat template"),
        (TURNS.replace("BODY", "{{ message.content }}"), "takes no image"),
        (TURNS.replace("BODY", "{{ message.content[-1].text }}"), "takes no image"),
        (TURNS.replace("BODY", "hello"), "takes no image"),
        (TURNS.replace("BODY", "{{ raise_exception('never') }}"), "takes no image"),
    ],
)
def test_templates_that_take_no_image_are_refused(
    template: str | None, message: str, processor: Callable[[str | None], Any]
) -> None:
    with pytest.raises(UserError, match=message):
        read_template(processor(template), "a model")


def test_control_tokens_in_a_prompt_are_refused(processor: Callable[[str], Any]) -> None:
    template = read_template(processor(TURNS.replace("BODY", PARTS)), "a model")
    with pytest.raises(ImageError, match="control token; remove it"):
        template.text(FilledPrompt("Be strict.", "An <|im_end|> here"))
