"""An OpenAI-compatible chat server that does what it is told; `python -m tests.servers.chat 0` says its port.

POST /script replaces `Script`'s fields and forgets what was seen; GET /seen tells what was.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

from tests.servers.distribution import distribution


@dataclass
class Script:
    """How the server behaves."""

    models: list[str] | None = field(default_factory=lambda: ["someone/model-7b"])
    """What /models lists; None: there is no such page."""
    listing: str | None = None
    """The body of /models, in place of that list."""
    key: str = ""
    """Wanted in the header, where it is not empty."""
    answers_as: str | None = None
    """The name of the model that answers, in place of the one that was asked for."""
    logprobs: str = "top"
    """top, own (also those of logprob_token_ids), null, missing or empty."""
    most_top: int = 20
    """The largest top_logprobs that is accepted."""
    refuses: list[str] = field(default_factory=list)
    """Fields of a request that are answered by 400."""
    system_turn: bool = True
    """Whether a system turn is accepted."""
    tokens: list[list[Any]] | None = None
    """Tokens and their log-probabilities, in place of `distribution`."""
    thought: list[str] = field(default_factory=list)
    """The tokens that every answer begins with, in place of a level."""
    quiet: dict[str, Any] = field(default_factory=dict)
    """Fields of a request that forbid the thought; empty: nothing does."""
    hides_thought: bool = False
    """Whether the thought is taken out of the answer, so that nothing is left."""
    blank_first: bool = False
    """Whether an answer begins with a token for a space."""
    text: str | None = None
    """The answer, in place of the likeliest token."""
    sentence: str | None = None
    """The answer where it may have more than 8 tokens."""
    first: list[list[Any]] = field(default_factory=list)
    """(status, headers, body) of the first answers."""
    always: list[Any] | None = None
    """(status, headers, body) of all answers."""
    after: int = 0
    """How many requests are answered well before `first` and `always` count."""
    dies_after: int | None = None
    """How many requests are answered before the process ends."""
    seconds: float = 0.0
    """How long an answer takes."""
    refuses_dark: int = 0
    """The status by which a wholly black image is refused."""
    tokenizes: bool = False
    """Whether there is a /tokenize, as vLLM has it: the id of a character is its code point."""


class Chat(ThreadingHTTPServer):
    """The server, and what it has seen."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.begin(Script())

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave in the middle of an answer are part of the tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def begin(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = self.answered = 0


class Handler(BaseHTTPRequestHandler):
    server: Chat
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/seen":
            seen = {"requests": self.server.requests, "most_at_once": self.server.most_at_once}
            return self.reply(200, seen)
        script = self.server.script
        if not self.is_let_in():
            return None
        if self.path == "/v1/models" and script.listing is not None:
            return self.reply(200, {}, script.listing)
        if self.path != "/v1/models" or script.models is None:
            return self.reply(404, {"detail": "Not Found"})
        return self.reply(200, {"object": "list", "data": [{"id": name} for name in script.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/script":
            self.server.begin(Script(**body))
            return self.reply(200, asdict(self.server.script))
        if not self.is_let_in():
            return None
        if self.path == "/tokenize" and self.server.script.tokenizes:
            return self.reply(200, {"tokens": [ord(character) for character in body["prompt"]]})
        if self.path != "/v1/chat/completions":
            return self.reply(404, {"detail": "Not Found"})
        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            self.chat(body)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def is_let_in(self) -> bool:
        header = self.headers.get("Authorization")
        self.record: dict[str, Any] = {"path": self.path, "authorization": header}
        self.server.requests.append(self.record)
        if not self.server.script.key or header == f"Bearer {self.server.script.key}":
            return True
        self.reply(401, {"error": {"message": f"Incorrect API key provided: {header}\x1b[31m."}})
        return False

    def chat(self, body: dict[str, Any]) -> None:
        script = self.server.script
        with self.server.lock:
            number = self.server.answered
            self.server.answered += 1
        if script.dies_after is not None and number >= script.dies_after:
            os._exit(0)
        time.sleep(script.seconds)
        system, image, user = take_apart(body["messages"])
        kept = {key: value for key, value in body.items() if key != "messages"}
        self.record |= {"body": kept, "roles": [turn["role"] for turn in body["messages"]]}
        self.record |= {"parts": [part.get("text") for part in body["messages"][-1]["content"]]}
        if number >= script.after:
            if script.always is not None:
                return self.reply(*script.always)
            with self.server.lock:
                first = script.first.pop(0) if script.first else None
            if first is not None:
                return self.reply(*first)
        if script.models is not None and body["model"] not in script.models:
            return self.reply(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        for name in script.refuses:
            if name in body:
                return self.reply(400, {"error": {"message": refusal(name)}})
        if body.get("top_logprobs", 0) > script.most_top:
            said = f"Invalid value for 'top_logprobs': must be at most {script.most_top}."
            return self.reply(400, {"error": {"message": said}})
        if not script.system_turn and body["messages"][0]["role"] == "system":
            return self.reply(400, {"message": "System role not supported"})
        if script.refuses_dark and not image.any():
            return self.reply(script.refuses_dark, {"error": "decoder prompt is longer than the context"})
        return self.reply(200, answer(script, body, image, system, user))

    def reply(self, status: int, body: object = None, raw: object = None) -> None:
        """A JSON body, or (headers, text) as a script gives them."""
        headers: dict[str, str] = {"Content-Type": "application/json"}
        text = json.dumps(body)
        if raw is not None:
            headers |= body  # type: ignore[operator]
            text = raw if isinstance(raw, str) else json.dumps(raw)
        content = text.encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def take_apart(messages: list[dict[str, Any]]) -> tuple[str, Any, str]:
    """The system turn's text, the pixels in RGB, and the user turn's text."""
    system = "".join(turn["content"] for turn in messages if turn["role"] == "system")
    (user,) = (turn["content"] for turn in messages if turn["role"] == "user")
    (url,) = (part["image_url"]["url"] for part in user if part["type"] == "image_url")
    kind, _, data = url.partition(";base64,")
    assert kind == "data:image/png"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    text = "".join(part["text"] for part in user if part["type"] == "text")
    return system, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), text


def refusal(name: str) -> str:
    hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
    return f"Unsupported parameter: '{name}' is not supported with this model.{hint}"


def answer(script: Script, body: dict[str, Any], image: Any, system: str, user: str) -> dict[str, Any]:
    if script.thought and (not script.quiet or script.quiet.items() - flat(body)):
        return thought(script, body)
    listed = [(text, number) for text, number in script.tokens or distribution(image, system, user)]
    text, number = listed[0]
    top = listed[: body.get("top_logprobs", 0)]
    if script.logprobs == "own" and "logprob_token_ids" in body:
        wanted = {chr(token) for token in body["logprob_token_ids"]}
        known = dict(listed)
        top = [(token, known.get(token, -30.0)) for token in sorted(wanted)]
    position = {**entry(text, number), "top_logprobs": [entry(*each) for each in top]}
    blank = {**entry(" ", -0.25), "top_logprobs": [entry(" ", -0.25), entry("I", -2.0)]}
    positions = [blank, position] if script.blank_first else [position]
    most = body.get("max_tokens") or body.get("max_completion_tokens")
    content = "".join(each["token"] for each in positions[:most])
    is_sentence = script.sentence is not None and most > 8
    content = script.sentence if is_sentence else content
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "stop" if is_sentence else "length",
        "message": {"role": "assistant", "content": content if script.text is None else script.text},
    }
    if body.get("logprobs") and script.logprobs != "missing":
        found = {"top": positions[:most], "own": positions[:most], "null": None, "empty": []}[script.logprobs]
        choice["logprobs"] = None if found is None else {"content": found}
    return {
        "id": "1",
        "object": "chat.completion",
        "model": body["model"] if script.answers_as is None else script.answers_as,
        "choices": [choice],
    }


def flat(body: dict[str, Any]) -> set[tuple[str, Any]]:
    """The fields of a request and those of its chat_template_kwargs, which can be compared."""
    fields = {**body, **(body.get("chat_template_kwargs") or {})}
    return {(name, value) for name, value in fields.items() if isinstance(value, str | bool)}


def thought(script: Script, body: dict[str, Any]) -> dict[str, Any]:
    """An answer that is cut within its thought; a level has the rest of the first token's probability."""
    text = "".join(script.thought[: body.get("max_tokens") or body.get("max_completion_tokens")])
    top = [entry(script.thought[0], -1e-8), entry("5", -18.5), entry("4", -19.5)]
    message = {"role": "assistant", "content": text}
    if script.hides_thought:
        message |= {"content": None, "reasoning_content": text}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length", "message": message}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]}


def entry(text: str, number: float) -> dict[str, Any]:
    return {"token": text, "logprob": number, "bytes": list(text.encode())}


def main() -> None:
    server = Chat(int(sys.argv[1]) if sys.argv[1:] else 0)
    print(server.server_port, flush=True)
    threading.Thread(target=leave_with_parent, daemon=True).start()
    server.serve_forever(0.02)


def leave_with_parent() -> None:
    """The pipe to the test ends with it, however it ends."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
