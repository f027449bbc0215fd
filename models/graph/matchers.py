"""Traefik's router rules: ``Host(`a`) && (PathPrefix(`/x`) || Path(`/y`))`` as alternatives of hosts and paths.

Both spellings are read: v2 with several arguments per matcher, v3 with one. What only narrows a route (headers,
methods, queries, client addresses, negations) is left out: the route still exists.
Source: Traefik documentation, "HTTP routers, rule".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r"\s*(\|\||&&|!|\(|\)|,|`[^`]*`|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[A-Za-z]\w*)")
_LIMIT = 64


@dataclass(frozen=True)
class Match:
    """One way into a router: host ("*" for any) and path prefix ("/" for all)."""

    host: str = "*"
    path: str = "/"


@dataclass(frozen=True)
class _Atom:
    name: str
    values: tuple[str, ...]


_Clause = tuple[_Atom, ...]


def parse_rule(rule: str) -> tuple[Match, ...]:
    """The hosts and paths that ``rule`` lets in, in the order written; a rule that cannot be read lets in anything."""
    tokens = _TOKEN.findall(rule[:10_000])
    clauses, _ = _either(tokens, 0, 0)
    found = dict.fromkeys(match for clause in clauses for match in _matches(clause))
    return tuple(found) or (Match(),)


def _either(tokens: list[str], at: int, depth: int) -> tuple[list[_Clause], int]:
    clauses, at = _all(tokens, at, depth)
    while at < len(tokens) and tokens[at] == "||":
        more, at = _all(tokens, at + 1, depth)
        clauses = (clauses + more)[:_LIMIT]
    return clauses, at


def _all(tokens: list[str], at: int, depth: int) -> tuple[list[_Clause], int]:
    clauses, at = _one(tokens, at, depth)
    while at < len(tokens) and tokens[at] == "&&":
        more, at = _one(tokens, at + 1, depth)
        clauses = [left + right for left in clauses for right in more][:_LIMIT]
    return clauses, at


def _one(tokens: list[str], at: int, depth: int) -> tuple[list[_Clause], int]:
    if at >= len(tokens) or depth > 50:
        return [()], len(tokens)
    token = tokens[at]
    if token == "!":
        _, at = _one(tokens, at + 1, depth + 1)
        return [()], at
    if token == "(":
        clauses, at = _either(tokens, at + 1, depth + 1)
        return clauses, at + 1
    at += 1
    values: list[str] = []
    if at < len(tokens) and tokens[at] == "(":
        at += 1
        while at < len(tokens) and tokens[at] != ")":
            if tokens[at][0] in "`\"'":
                values.append(tokens[at][1:-1])
            at += 1
        at += 1
    return [(_Atom(token.lower(), tuple(values)),)], at


def _matches(clause: _Clause) -> Iterator[Match]:
    hosts = [
        value.lower() for atom in clause if atom.name in ("host", "hostsni", "hostheader") for value in atom.values
    ]
    hosts += [
        _readable(value) for atom in clause if atom.name in ("hostregexp", "hostsniregexp") for value in atom.values
    ]
    paths = [value for atom in clause if atom.name in ("path", "pathprefix") for value in atom.values]
    paths += [f"~{value}" for atom in clause if atom.name == "pathregexp" for value in atom.values]
    for host in hosts or ["*"]:
        for path in paths or ["/"]:
            yield Match(host, path or "/")


_V2_REGEXP = re.compile(r"\{[^{}]*\}")
_V3_LABEL = re.compile(r"^\^?(?:\.\+|\.\*|\[[^\]]+\]\+|\(\?:[^)]*\)\+?|\([^)]*\)\+?)\\\.")


def _readable(pattern: str) -> str:
    """A host pattern as a wildcard where it is one label and a fixed domain, otherwise as written after ``~``."""
    wild = _V3_LABEL.sub("*.", _V2_REGEXP.sub("*", pattern)).removesuffix("$").removeprefix("^").replace("\\.", ".")
    return wild if re.fullmatch(r"[\w*.\-]+", wild) else f"~{pattern}"
