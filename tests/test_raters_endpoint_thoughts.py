"""Servers whose model begins with something else than a level: a thought, or words."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.servers.process import ChatServer
from tests.servers.rating import WORDS, make_views, rate_one, rater, shares
from zeroiqa.cli import cli
from zeroiqa.errors import UserError

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

WORDY = [["**", -0.1], ["Score", -2.5], ["5", -18.0], ["4", -19.0], ["The", -24.0], ["x", -25.0]]


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "begun", [["<think>"], ["<", "think", ">\n"], ["[THINK]"], ["<|channel|>", "analysis"]]
)
def test_a_server_that_thinks_whatever_is_asked_is_refused(
    server: ChatServer, begun: list[str], hidden: bool
) -> None:
    server.script(thought=begun, hides_thought=hidden)
    with pytest.raises(UserError, match="begins its answers with a thought .*start it without reasoning"):
        rater(server, digits=True).check(WORDS)
    with pytest.raises(UserError, match="begins its answers with a thought"):
        _ = rater(server).id


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    ("quiet", "said"),
    [
        ({"thinking": False}, '{"chat_template_kwargs": {"enable_thinking": false, "thinking": false}}'),
        ({"reasoning_effort": "none"}, '"reasoning_effort": "none"}}'),
        ({"reasoning_effort": "minimal"}, '{"reasoning_effort": "minimal"}'),
    ],
)
def test_what_forbids_a_thought_is_found_by_trying_and_is_part_of_the_id(
    server: ChatServer,
    quiet: dict[str, object],
    said: str,
    hidden: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script(thought=["<think>"], quiet=quiet, hides_thought=hidden)
    ours, (view,) = rater(server), make_views(1)
    rating = rate_one(ours, view)
    assert rating is not None and rating.mass == pytest.approx(sum(shares(view)))
    assert ours.id.endswith(said) and "top 20 with {" in ours.id
    (record,) = caplog.records
    assert "begins with a thought ('<think>'); with " in record.getMessage()
    assert "the mass on the levels is 0.61, not " in record.getMessage()


def test_a_server_that_takes_the_usual_field_is_asked_no_more_than_once(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(thought=["<think>"], quiet={"enable_thinking": False})
    assert rater(server).id.endswith("distributions within the top 20")
    assert len(server.requests()) == 1
    assert not caplog.records


def test_fields_are_tried_where_the_usual_one_is_refused(server: ChatServer) -> None:
    server.script(
        thought=["<think>"], quiet={"reasoning_effort": "none"}, refuses=["chat_template_kwargs", "thinking"]
    )
    assert rater(server).id.endswith('top 20 without chat_template_kwargs with {"reasoning_effort": "none"}')


def test_a_thought_in_the_middle_of_a_run_is_no_rating(server: ChatServer) -> None:
    ours = rater(server)
    ours.check(WORDS)
    server.script(thought=["5"], hides_thought=True)
    assert rate_one(ours, make_views(1)[0]) is None


def test_a_server_that_says_other_words_is_warned_of(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(tokens=WORDY)
    rater(server).check(WORDS)
    (record,) = caplog.records
    assert "rarely answers by a level: 2.1e-08 of its answer" in record.getMessage()
    assert "likeliest are '**' 0.9, 'Score' 0.082, '5' 1.5e-08, " in record.getMessage()


@pytest.mark.parametrize("own", [False, True])
def test_models_check_shows_the_mass_and_the_likeliest_tokens(server: ChatServer, own: bool) -> None:
    server.script(tokens=WORDY, tokenizes=own, logprobs="own" if own else "top")
    command = ["models", "check", f"openai:{server.url}", "--standard", "quality-word-7"]
    shown = CliRunner().invoke(cli, [*command, "--standard", "quality-number-7"])
    assert shown.exit_code == 0, shown.output
    lines = [line for line in shown.stdout.splitlines() if line.startswith("picture ")]
    tokens = "'**' 0.9, 'Score' 0.082, '5' 1.5e-08, '4' 5.6e-09, 'The' 3.8e-11"
    assert lines == [f"picture {number}     mass 2.1e-08; likeliest {tokens}" for number in (1, 2, 3)] * 2


def test_models_check_shows_what_a_server_without_probabilities_says(server: ChatServer) -> None:
    server.script(logprobs="missing", tokens=[["Score", -0.1]])
    shown = CliRunner().invoke(cli, ["models", "check", f"openai:{server.url}"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("mass 0; likeliest 'Score'\n") == 3
