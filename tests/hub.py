"""A hub of models on this machine: the part of the Hugging Face API that a download needs, over real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

COMMIT = "c" * 40


class Hub:
    """Serves the folders owner/name below a root as repositories; remembers what was downloaded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.downloaded: list[str] = []
        self.questions: list[str] = []
        """Every path that was asked for, in order."""
        self.gated: set[str] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = request.path.partition("?")[0]
        self.questions.append(path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+).*)?", path):
            repo, kind, revision = found.groups()
            folder = self.root / repo
            if not folder.is_dir():
                return self.reply(request, 404, {"X-Error-Code": "RepoNotFound"}, b"", body)
            if revision not in (None, "main", COMMIT):
                return self.reply(request, 404, {"X-Error-Code": "RevisionNotFound"}, b"", body)
            names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
            listing: object = [
                {
                    "type": "file",
                    "path": name,
                    "size": (folder / name).stat().st_size,
                    "oid": self.etag(folder / name),
                }
                for name in names
            ]
            if kind != "tree":
                listing = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            return self.reply(
                request, 200, {"Content-Type": "application/json"}, json.dumps(listing).encode(), body
            )
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        if found is None:  # other things that the library asks a hub
            return self.reply(request, 404, {}, b"", body)
        repo, name = found.groups()
        if repo in self.gated:
            return self.reply(request, 403, {"X-Error-Code": "GatedRepo"}, b"", body)
        file = self.root / repo / name
        if not file.is_file():
            missing = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
            return self.reply(request, 404, missing, b"", body)
        content = file.read_bytes()
        if body:
            self.downloaded.append(name)
        headers = {"ETag": f'"{self.etag(file)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = re.fullmatch(r"bytes=(\d+)-.*", request.headers.get("Range", ""))
        if start:
            headers["Content-Range"] = f"bytes {start[1]}-{len(content) - 1}/{len(content)}"
            content = content[int(start[1]) :]
        return self.reply(request, 206 if start else 200, headers, content, body)

    @staticmethod
    def etag(file: Path) -> str:
        return sha1(file.read_bytes()).hexdigest()

    @staticmethod
    def reply(
        request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes, body: bool
    ) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            request.send_header(name, value)
        request.end_headers()
        if body:
            request.wfile.write(content)


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A hub that runs while the block does."""
    hub = Hub(root)
    thread = Thread(target=hub.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        thread.join()
        hub.server.server_close()


def use(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library ask this hub."""
    import huggingface_hub.constants as settings

    monkeypatch.setattr(settings, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        settings, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )


def in_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library keep its cache in a folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
