"""Finds hosts in free text: URLs and DSNs, cluster names, ``host:port``, keyed hosts, commands that wait."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_URL = re.compile(
    r"\b([a-z][a-z0-9+.\-]{0,30})://(?:[^\s/@'\"`]*@)?(\[[0-9a-f:]+\]|[a-z0-9_](?:[\w.\-]*\w)?\.?)"
    r"(?::(\d{1,5}))?([^\s'\"<>`)\]},;]*)",
    re.IGNORECASE,
)
_CLUSTER = re.compile(
    r"(?<![\w.\-/@$}])((?:[a-z0-9_](?:[\w\-]*\w)?\.)+svc(?:\.[a-z][a-z0-9\-]*)*)\.?(?::(\d{1,5}))?(?![\w\-])",
    re.IGNORECASE,
)
_HOST_PORT = re.compile(r"(?<![\w.\-/:@$}])([a-z0-9](?:[a-z0-9.\-]*[a-z0-9])?):(\d{2,5})(?![\w.:])")
_KEYED = re.compile(
    r"\b[\w.\-]*(?:host(?:name)?|server|addr(?:ess)?|endpoint|upstream|url)['\"\]]*\s*(?:=>|=|:)\s*['\"]?"
    r"([a-z0-9](?:[a-z0-9.\-]*[a-z0-9])?)(?::(\d{1,5}))?(?=['\"\s,;)]|$)",
    re.IGNORECASE,
)
_NAMED = r"['\"]?([a-z0-9][\w.\-]*)['\"]?"
_COMMANDS = (
    re.compile(rf"\b(?:nc|ncat|netcat|telnet)\s+(?:-\w+\s+(?:\d+\s+)?)*{_NAMED}\s+['\"]?(\d{{1,5}})\b", re.IGNORECASE),
    re.compile(r"/dev/tcp/([a-z0-9][\w.\-]*)/(\d{1,5})\b", re.IGNORECASE),
    re.compile(rf"\b(?:nslookup|getent hosts|ping(?: -\w+(?: \d+)?)*)\s+{_NAMED}()", re.IGNORECASE),
    re.compile(rf"\b(?:until|while\s+!)\s+(?:host|dig)\s+{_NAMED}()", re.IGNORECASE),
    re.compile(rf"(?:^|\s)(?:-h|--host(?:name)?)[\s=]+{_NAMED}()", re.IGNORECASE),
)
_COMMENT = re.compile(r"^\s*(?:#|//|;|--\s).*$", re.MULTILINE)
_SHELL_VARIABLE = re.compile(r"\$(?:\((\w+)\)|\{(\w+)(?::?-([^{}]*))?\}|(\w+))")
_CUT_OFF = re.compile(r"[.\-]*\$[{(\w]")
"""What follows a host whose rest is a variable: nobody here knows the whole name."""
_LIMIT = 200_000


@dataclass(frozen=True)
class Mention:
    """A host that a text names. ``how``: "url", "cluster", "host:port", "key" or "command"; ``text`` as written."""

    host: str
    port: int | None
    scheme: str
    path: str
    how: str
    text: str

    @property
    def confidence(self) -> float:
        """How sure it is that this really is a host."""
        return {"cluster": 1.0, "url": 0.95, "host:port": 0.8, "command": 0.8, "key": 0.7}[self.how]


def mentions(text: str, *, strip_comments: bool = True) -> Iterator[Mention]:
    """Every host in ``text``, the surest reading of each place first; at most the first 200 kB are read."""
    text = text[:_LIMIT]
    if strip_comments and "\n" in text:
        text = _COMMENT.sub("", text)
    taken: list[tuple[int, int]] = []

    def free(match: re.Match[str]) -> bool:
        return not any(start < match.end() and match.start() < end for start, end in taken)

    if "://" in text:
        for match in _URL.finditer(text):
            taken.append(match.span())
            if not match[3] and ".svc" not in match[2] and _CUT_OFF.match(match[4] or ""):
                continue
            port = _port(match[3]) or _scheme_port(match[1])
            yield Mention(match[2], port, match[1].lower(), match[4] or "", "url", _shown(match))
    for pattern in _COMMANDS:
        for match in pattern.finditer(text):
            if free(match):
                taken.append(match.span())
                how = "cluster" if ".svc" in match[1] else "command"
                yield Mention(match[1].rstrip("."), _port(match[2]), "", "", how, match[0].strip())
    if ".svc" in text:
        for match in _CLUSTER.finditer(text):
            if free(match):
                taken.append(match.span())
                yield Mention(match[1], _port(match[2]), "", "", "cluster", match[0])
    if ":" in text:
        for match in _HOST_PORT.finditer(text):
            if free(match) and not match[1].replace(".", "").isdigit():
                taken.append(match.span())
                yield Mention(match[1], _port(match[2]), "", "", "host:port", match[0])
    for match in _KEYED.finditer(text):
        if free(match):
            yield Mention(match[1], _port(match[2]), "", "", "key", match[0].strip())


def expand(text: str, values: Mapping[str, str]) -> str:
    """``$(NAME)`` as the kubelet expands it, ``$NAME`` and ``${NAME:-default}`` as a shell does; unknown names stay."""
    if "$" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1] or match[2] or match[4])
        return found if found is not None else (match[3] or match[0])

    return _SHELL_VARIABLE.sub(value, text)


def _port(text: str | None) -> int | None:
    return int(text) if text and 0 < int(text) < 65536 else None


def _scheme_port(scheme: str) -> int | None:
    return _SCHEME_PORTS.get(scheme.lower().partition("+")[0])


_SCHEME_PORTS = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "mongodb": 27017,
    "redis": 6379,
    "rediss": 6379,
    "amqp": 5672,
    "nats": 4222,
    "memcached": 11211,
    "ldap": 389,
    "ldaps": 636,
    "smtp": 25,
    "mqtt": 1883,
}


def _shown(match: re.Match[str]) -> str:
    """A URL without its user information: a password there is nobody's business."""
    port = f":{match[3]}" if match[3] else ""
    return f"{match[1]}://{match[2]}{port}{(match[4] or '').partition('?')[0]}"
