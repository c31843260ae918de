"""No part of a key is ever shown, however a server writes it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from tests.servers.hostile import BODY, hostile_server, whole
from zeroiqa.errors import UserError
from zeroiqa.raters import build_rater
from zeroiqa.raters.endpoint.secrets import holds_secret, without_secrets

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

KEY = "sk-veRy-s3cret-0123456789+/x"
WAYS: dict[str, Callable[[str], str]] = {
    "whole": str,
    "the beginning": lambda key: key[:8],
    "the end": lambda key: key[-8:],
    "the middle": lambda key: key[5:14],
    "upper case": str.upper,
    "in words": lambda key: f"abc{key}def",
    "in percent signs": lambda key: quote(key, safe=""),
    "all in percent signs": lambda key: "".join(f"%{ord(letter):02x}" for letter in key),
    "hexadecimal": lambda key: key.encode().hex(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "a header in base64": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "a login in base64": lambda key: base64.urlsafe_b64encode(f"me:{key}:x".encode()).decode(),
    "escapes": lambda key: "".join(f"\\u00{ord(letter):02x}" for letter in key),
    "entities": lambda key: "".join(f"&#{ord(letter)};" for letter in key),
    "letter by letter": " ".join,
    "with invisible signs": "\u200b".join,
    "over two lines": lambda key: f"{key[:10]}\n{key[10:]}",
    "backwards": lambda key: key[::-1],
}


def runs(text: str) -> set[str]:
    letters = "".join(filter(str.isalnum, text.lower()))
    return {letters[at : at + 8] for at in range(len(letters) - 7)}


NO_SECRET = runs("QmVhcmVyIH")  # "Bearer " in base64


@pytest.mark.parametrize("way", WAYS)
def test_a_key_is_hidden_in_whatever_way_it_is_written(way: str) -> None:
    written = WAYS[way](KEY)
    shown = without_secrets(f"the words {written} are no good", [KEY])
    assert not runs(shown) & (runs(written) | runs(KEY)) - NO_SECRET
    assert "[key]" in shown


def test_other_words_stay_as_they_are() -> None:
    said = f"7 of 7 words: {KEY[:7]}, {KEY[-7:]} and \u0130stanbul"
    assert without_secrets(said, [KEY, ""]) == said
    assert not holds_secret(said, [KEY]) and holds_secret(f"x{KEY[3:11]}", [KEY])


def test_a_short_key_is_hidden_where_it_stands_alone() -> None:
    assert (
        without_secrets("the empty key EMPTY is EMPTY-ish", ["EMPTY"]) == "the empty key [key] is [key]-ish"
    )
    assert not holds_secret("EMPTY", ["EMPTY"])


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("see http://me:pass@host/a", "see http://[key]@host/a"),
        ("see https://host/a?token=abc&x=1 now", "see https://host/a?[key] now"),
    ],
)
def test_logins_and_queries_of_addresses_are_secrets_of_others(said: str, shown: str) -> None:
    assert without_secrets(said, []) == shown


def test_a_long_text_is_cut() -> None:
    assert len(without_secrets("://a@" * 100_000, [KEY])) < 20_000


@pytest.mark.parametrize("place", ["http://host/{}/v1", "http://host/v1#{}"])
def test_an_address_that_holds_a_part_of_the_key_is_refused(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROIQA_API_KEY", KEY)
    with pytest.raises(UserError, match="holds a part of the key") as caught:
        build_rater(f"openai:{place.format(KEY[2:12])}")
    assert not runs(str(caught.value)) & runs(KEY)


def echoing(way: str) -> list[bytes]:
    """Answers that hold the key wherever there is a string."""
    written = WAYS[way](KEY)

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list) else written

    good = json.loads(BODY)
    thinks = json.loads(BODY)
    thinks["choices"][0]["message"] = {"content": "", "reasoning_content": written}
    odd = json.loads(BODY)
    odd["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]["token"] = written
    odd["data"] = [{"id": written}]
    said = json.loads(BODY)
    said["choices"][0]["logprobs"]["content"][0]["token"] = f"{written}\ud800"
    said["data"] = [{"id": said["model"]}]  # so that it rates
    named = good | {"model": written}
    return [json.dumps(each).encode() for each in (filled(good), thinks, odd, said, named)] + [
        written.encode()
    ]


@pytest.mark.parametrize("way", ["whole", "a header in base64", "letter by letter"])
def test_a_server_that_repeats_the_key_everywhere_leaves_nothing_of_it_in_a_run(
    way: str, tmp_path: Path, give: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROIQA_API_KEY", KEY)
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")
    Image.fromarray(np.full((24, 24, 3), 99, np.uint8)).save(tmp_path / "a.png")
    written = WAYS[way](KEY)
    secret = (runs(written) | runs(KEY)) - NO_SECRET
    for number, body in enumerate(echoing(way)):
        for status in ("200 OK", "400 Bad"):
            with hostile_server(whole(body, status=status)) as server:
                folder = f"run-{number}-{status[:3]}"
                options = ("--rater", f"openai:{server.url}", "--segmenter", "grid:1x1", "--workers", 1)
                done = give(tmp_path, "score", "a.png", *options, "-o", folder)
            texts = [done.stdout, done.stderr]
            for path in (tmp_path / folder).rglob("*"):
                if path.is_file():
                    texts.append(path.read_bytes().decode("latin-1"))
            assert "Traceback" not in done.stderr
            for text in texts:
                assert not runs(text) & secret, text
