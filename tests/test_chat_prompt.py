"""What becomes of a prompt in chat templates of different habits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from zeroiqa.chat.prompt import read_template
from zeroiqa.errors import ImageError, UserError
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
NEEDS_IMAGE = "{% if message.role == 'user' and message.content[0].type != 'image' %}"
NEEDS_IMAGE += "{{ raise_exception('no image') }}{% endif %}" + PARTS
NO_SYSTEM = "{% if message.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + PARTS
DEAF_TO_SYSTEM = "{% if message.role != 'system' %}" + PARTS + "{% endif %}"
UNTITLED = "{% if message.role != 'system' or message.content is string %}" + PLAIN_SYSTEM + "{% endif %}"
TRIMMED = "{% if message.role == 'system' %}{{ message.content | trim }}{% else %}" + PARTS + "{% endif %}"
TWICE = "{% if message.role == 'system' and message.content is not string %}{{ message.content[0].text }} "
TWICE += "{% endif %}" + PLAIN_SYSTEM
IMAGE_LAST = "{% for part in message.content | sort(attribute='type', reverse=true) %}"
IMAGE_LAST += "{% if part.type == 'image' %}<|image_pad|>{% else %}{{ part.text }}{% endif %}{% endfor %}"
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
        (NEEDS_IMAGE, "system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:"),
        (TRIMMED, "system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:"),
        (UNTITLED, "system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:"),
        (TWICE, "system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:"),
        (IMAGE_LAST, "system: Be strict.\nuser: \nHow good is it?<|image_pad|>\nassistant:"),
    ],
    ids=[
        "parts",
        "system as a text",
        "system refused",
        "system ignored",
        "line break of its own",
        "an image required",
        "list trimmed as a text",
        "system ignored unless a text",
        "system twice unless a text",
        "image last",
    ],
)
def test_the_image_comes_first_then_a_line_break_then_the_text(
    body: str, text: str, processor: Callable[[str], Any]
) -> None:
    template = read_template(processor(TURNS.replace("BODY", body)), "a model")
    assert template.text(PROMPT) == text


def test_an_empty_system_text_makes_no_system_turn(processor: Callable[[str], Any]) -> None:
    template = read_template(processor(TURNS.replace("BODY", PARTS)), "a model")
    assert template.text(FilledPrompt("", "How?")) == "user: <|image_pad|>\nHow?\nassistant:"


BEFORE = FilledPrompt("", "How good is it?", "\n  ", before_image=" Levels: 1, 2.\n  ")


@pytest.mark.parametrize("body", [PARTS, BREAKS, NO_SYSTEM, PLAIN_SYSTEM])
def test_text_before_the_image_is_placed_byte_for_byte(body: str, processor: Callable[[str], Any]) -> None:
    template = read_template(processor(TURNS.replace("BODY", body)), "a model")
    text = template.text(BEFORE)
    assert text == "user:  Levels: 1, 2.\n  <|image_pad|>\n  How good is it?\nassistant:"
    assert not template.misplaced(BEFORE, text) and template.keeps_space(BEFORE, text)


def test_without_a_system_turn_its_text_goes_ahead_of_the_text_before_the_image(
    processor: Callable[[str], Any],
) -> None:
    template = read_template(processor(TURNS.replace("BODY", NO_SYSTEM)), "a model")
    assert template.text(BEFORE._replace(system="Be strict.")).startswith(
        "user: Be strict.\n\n Levels: 1, 2.\n"
    )


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


CONTENT = "{{ message.content if message.content is string else message.content[0].text }}"
QWEN = "<think>\n{{ message.reasoning_content | default('') | trim }}\n</think>\n\n" + CONTENT
FORGETS = CONTENT.replace(" }}", ").split('</think>')[-1] }}").replace("{{ ", "{{ (")
CHANNELS = "{% if message.thinking %}<|channel|>analysis<|message|>{{ message.thinking }}<|end|>assistant:"
CHANNELS += "{% endif %}<|channel|>final<|message|>" + CONTENT
MISTRAL = (
    "{% if message.reasoning_content %}[THINK]{{ message.reasoning_content }}[/THINK]{% endif %}" + CONTENT
)


def thinking(begun: str, answer: str = CONTENT) -> str:
    """A template that ends in `begun`, and writes an assistant's answer in its own way."""
    turn = "{% if message.role == 'assistant' %}" + answer + "{% else %}" + PARTS + "{% endif %}"
    return (
        "{% for message in messages %}{{ message.role }}:{{ '' if message.role == 'assistant' else ' ' }}"
        + turn
        + "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant:"
        + begun
        + "{% endif %}"
    )


def unless(condition: str, begun: str, otherwise: str = "") -> str:
    return "{% if " + condition + " %}" + otherwise + "{% else %}" + begun + "{% endif %}"


LOW = "{% if reasoning_effort is defined and reasoning_effort not in ['low', 'high'] %}"
LOW += "{{ raise_exception('no such effort') }}{% endif %}"
EMPTY = "<think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (thinking(unless("enable_thinking is false", "<think>\n", EMPTY)), EMPTY),
        (thinking(unless("enable_thinking is false", "", EMPTY)), EMPTY),
        (thinking(unless("thinking is defined and not thinking", "<think>", "</think>")), "</think>"),
        (thinking(unless("a_thought is false and b_thought is false", "<think>")), ""),
        (thinking(unless("no_thinking", "<think>\n")), ""),
        (thinking(unless("reasoning_effort == 'none'", "[THINK]")), ""),
        (thinking(LOW + unless("reasoning_effort == 'low'", "<reasoning>")), ""),
        (thinking("<think>\n", QWEN), EMPTY),
        (thinking("", QWEN), EMPTY),
        (thinking("<think>\n", FORGETS), EMPTY),
        (thinking("<think>", FORGETS), "<think></think>"),
        (thinking("[THINK]", MISTRAL), "[THINK][/THINK]"),
        (thinking("<scratch>\n", FORGETS.replace("think", "scratch")), EMPTY.replace("think", "scratch")),
        (
            thinking("<|channel|>analysis<|message|>", CHANNELS),
            "<|channel|>analysis<|message|><|end|>assistant:<|channel|>final<|message|>",
        ),
        (thinking("", CHANNELS), "<|channel|>final<|message|>"),
        (thinking(EMPTY), EMPTY),
        (thinking("{{ reasoning_effort | default('') }}"), ""),
        (thinking("{% generation %}{% endgeneration %}<think>\n", FORGETS), EMPTY),
    ],
)
def test_a_thought_is_closed_as_the_template_knows_how(
    template: str, end: str, processor: Callable[[str], Any]
) -> None:
    found = read_template(processor(template), "a model")
    words = FilledPrompt("", "How good is it?", answer="The quality is")
    assert found.text(PROMPT) == f"system: Be strict.\nuser: <|image_pad|>\nHow good is it?\nassistant:{end}"
    assert found.text(words).endswith(f"\nassistant:{end}")
    assert found.beginning(words).lstrip() == "The quality is"
    assert found.end(words) == ""


def test_a_thought_that_only_the_vocabulary_can_close(processor: Callable[[str], Any]) -> None:
    found = processor(thinking("<think>\n"))
    with pytest.raises(UserError, match=r"a model ends within a thought \('<think>'\), which no variable"):
        read_template(found, "a model")
    found.tokenizer.add_tokens(["<think>", "</think>"])
    assert read_template(found, "a model").text(PROMPT).endswith(f"assistant:{EMPTY}")


@pytest.mark.parametrize(
    "begun", ["<|deep_thought|>", "<|start_header_id|>thinking<|end_header_id|>", " Thought:"]
)
def test_a_thought_that_nothing_closes_is_refused(begun: str, processor: Callable[[str], Any]) -> None:
    with pytest.raises(UserError, match="ends within a thought .*; choose a model that answers at once"):
        read_template(processor(thinking(begun)), "a model")


def test_the_turn_of_the_assistant_is_begun_where_the_template_does_not(
    processor: Callable[[str], Any],
) -> None:
    whole = thinking("")
    cut = whole.partition("{% if add_generation_prompt %}")[0]
    assert read_template(processor(cut), "a model").text(PROMPT).endswith("\nassistant:")
    marked = "{% for message in messages %}<turn>{{ message.role }} " + PARTS + "</turn>{% endfor %}"
    marked += "{% if add_generation_prompt %}<turn>assistant {% endif %}"
    assert read_template(processor(marked), "a model").text(PROMPT).endswith("<turn>assistant ")


def test_spaces_at_the_end_are_left_to_a_digit_that_they_melt_into(processor: Callable[[str], Any]) -> None:
    found = processor(thinking(" ", " " + CONTENT))
    assert read_template(found, "a model").text(PROMPT).endswith("assistant: ")
    found.tokenizer.add_tokens([f" {digit}" for digit in range(1, 10)])
    template = read_template(found, "a model")
    assert template.text(PROMPT).endswith("assistant:")
    assert template.lead(PROMPT) == " "
    words = FilledPrompt("", "How good is it?", answer="The quality is")
    assert template.text(words) + template.beginning(words) == (
        "user: <|image_pad|>\nHow good is it?\nassistant: The quality is"
    )


@pytest.mark.parametrize(
    ("date", "written"), [("'%d %b %Y'", "26 Jul 2024"), ('format="%Y-%m-%d"', "2024-07-26")]
)
def test_a_prompt_is_the_same_every_day(date: str, written: str, processor: Callable[[str], Any]) -> None:
    template = read_template(processor("{{ strftime_now(" + date + ") }} " + thinking("")), "a model")
    assert template.text(PROMPT).startswith(f"{written} system: Be strict.")


def test_a_date_that_cannot_be_fixed_is_warned_of(
    processor: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    read_template(processor("{% set how = '%Y' %}{{ strftime_now(how) }} " + thinking("")), "a model")
    assert "The prompt of a model holds today's date" in caplog.text


def test_tools_and_documents_may_be_counted(processor: Callable[[str], Any]) -> None:
    template = "{% if tools | length or documents | length %}with tools{% endif %}" + thinking("")
    assert read_template(processor(template), "a model").text(PROMPT).startswith("system: Be strict.")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "a model has no chat template"),
        (TURNS.replace("BODY", "{{ message.content }}"), "takes no image .*writes a list of parts as if"),
        (TURNS.replace("BODY", "{{ message.content[-1].text }}"), "takes no image .*leaves the text out"),
        (TURNS.replace("BODY", "hello"), "takes no image .*it leaves the text out"),
        (TURNS.replace("BODY", PARTS.replace("<|image_pad|>", "")), "takes no image .*leaves the image out"),
        (
            TURNS.replace("BODY", PARTS.replace("<|image_pad|>", "<|image_pad|>" * 2)),
            "2 placeholders for one",
        ),
        (TURNS.replace("BODY", PARTS + "{{ message.content[-1].text }}"), "it writes the text 2 times"),
        (TURNS.replace("BODY", "{{ raise_exception('never') }}"), "it fails with TemplateError: never"),
        (TURNS.replace("BODY", "{{ message.image.url }}"), "it fails with UndefinedError: .*no attribute"),
    ],
)
def test_templates_that_take_no_image_or_text_are_refused_with_the_cause(
    template: str | None, message: str, processor: Callable[[str | None], Any]
) -> None:
    with pytest.raises(UserError, match=message):
        read_template(processor(template), "a model")


def test_a_template_that_changes_a_prompt_later_is_found_out(processor: Callable[[str], Any]) -> None:
    cuts = TURNS.replace("BODY", PARTS.replace(".text", ".text[:MOST]"))
    with pytest.raises(UserError, match="a model cannot be asked about images: The chat template changes"):
        read_template(processor(cuts.replace("MOST", "30")), "a model")
    template = read_template(processor(cuts.replace("MOST", "500")), "a model")
    with pytest.raises(ImageError, match="changes a part of the prompt .'Please rate"):
        template.text(FilledPrompt("", "Please rate this image by one digit from 1 to 7. " * 20))


def test_control_tokens_in_a_prompt_are_refused(processor: Callable[[str], Any]) -> None:
    template = read_template(processor(TURNS.replace("BODY", PARTS)), "a model")
    for prompt in (
        FilledPrompt("Be strict.", "An <|im_end|> here"),
        FilledPrompt("", "How good?", before_image="An <|image_pad|> here"),
    ):
        with pytest.raises(ImageError, match="control token; remove it"):
            template.text(prompt)
