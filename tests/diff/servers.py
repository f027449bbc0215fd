"""A GitHub and a GitLab of our own, as far as comments are concerned: a list of them, and a record of requests."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"


@dataclass
class Forge:
    """What the server knows: comments (id, body, author), who may write, and every request."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    read_only: bool = False
    refuse_reading: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def add(self, body: str, author: str = BOT) -> int:
        """Another comment; returns its id."""
        number = 1000 + len(self.comments)
        self.comments.append({"id": number, "body": body, "user": {"login": author}, "author": {"id": len(author)}})
        return number

    def bodies(self) -> list[str]:
        """The text of every comment."""
        return [str(item["body"]) for item in self.comments]


def _handler(forge: Forge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Silent."""

        def _answer(self, status: int, content: Any) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _body(self) -> str:
            raw = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            if (self.headers["Content-Type"] or "").startswith("application/x-www-form-urlencoded") and raw[:1] != "{":
                return parse_qs(raw)["body"][0]
            return str(json.loads(raw)["body"])

        def _note(self) -> str:
            parts = urlsplit(self.path)
            forge.requests.append((self.command, parts.path))
            forge.tokens.add(str(self.headers["Authorization"] or self.headers["PRIVATE-TOKEN"]))
            return parts.path

        def do_GET(self) -> None:
            path = self._note()
            if path == "/user":
                self._answer(200, {"id": len(BOT)})
                return
            if forge.refuse_reading:
                self._answer(forge.refuse_reading, {})
                return
            page = int(parse_qs(urlsplit(self.path).query)["page"][0])
            self._answer(200, forge.comments[(page - 1) * 100 : page * 100])

        def _write(self) -> None:
            path, body = self._note(), self._body()
            if forge.read_only:
                self._answer(403, {"message": "Resource not accessible by integration"})
            elif self.command == "POST":
                forge.add(body)
                self._answer(201, {})
            else:
                number = int(re.findall(r"\d+$", path)[0])
                next(item for item in forge.comments if item["id"] == number)["body"] = body
                self._answer(200, {})

        do_POST = do_PATCH = do_PUT = _write  # noqa: N815 (names that http.server calls)

    return Handler


@contextmanager
def forge() -> Iterator[Forge]:
    """A running server."""
    state = Forge()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
