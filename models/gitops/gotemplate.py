"""Go templates as ApplicationSets use them: actions, pipelines, conditions, loops and the common sprig functions.

Semantics: ``text/template`` of Go and ``applicationset/utils`` of Argo CD. What is not known here is refused rather
than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models.gitops.gofunctions import FUNCTIONS, TemplateError, go_text, is_true

__all__ = ["TemplateError", "expand_template"]

_TOKEN = re.compile(
    r"""\s+|(?P<text>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>[-+]?\d+(?:\.\d+)?)|(?P<assign>:=|=)"""
    r"""|(?P<name>\$?[A-Za-z_]\w*|\$)|(?P<field>\.[A-Za-z_]\w*)|(?P<sign>[().|,])"""
)
_TO_END = re.compile(r"""(?:"(?:\\.|[^"\\])*+"|`[^`]*+`|}(?!})|[^"`}])*+""", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}
MAX_TEXT = 1_000_000
"""Longest text that a template may grow to, in characters."""
MAX_STEPS = 100_000
"""Most actions that one expansion may run."""


def expand_template(text: str, values: Mapping[str, Any], *, strict: bool = False) -> str:
    """``text`` with its actions carried out.

    Args:
        values: what ``.`` stands for.
        strict: a missing key is an error (``missingkey=error``) instead of ``<no value>``.

    Raises:
        TemplateError: the template is malformed, uses an unknown function, or fails.
    """
    if "{{" not in text:
        return text
    nodes, rest = _parse(list(_pieces(text)))
    if rest:
        raise TemplateError(f"unexpected {{{{{rest[0][1]}}}}}")
    run = _Run(values, strict)
    out: list[str] = []
    run.nodes(nodes, dict(values), out)
    return "".join(out)


Piece = tuple[str, str]
"""("text", literal) or ("action", content)."""


def _pieces(text: str) -> Iterator[Piece]:
    at, trim = 0, False
    while (start := text.find("{{", at)) >= 0:
        end = _end_of_action(text, start + 2)
        content = text[start + 2 : end]
        literal = text[at:start].lstrip() if trim else text[at:start]
        before = content[:1] == "-" and content[1:2].isspace()
        trim = content[-1:] == "-" and content[-2:-1].isspace()
        yield "text", literal.rstrip() if before else literal
        yield "action", content[1 if before else 0 : -1 if trim else None].strip()
        at = end + 2
    yield "text", text[at:].lstrip() if trim else text[at:]


def _end_of_action(text: str, at: int) -> int:
    """Where the ``}}`` of an action is; quoted texts and comments may hold braces."""
    if text.startswith(("/*", "- /*"), at):
        at = text.find("*/", at)
        end = text.find("}}", at) if at >= 0 else -1
    else:
        match = _TO_END.match(text, at)
        end = match.end() if match else -1
    if end < 0 or not text.startswith("}}", end):
        raise TemplateError("unclosed action")
    return end


Node = tuple[Any, ...]
"""("text", literal) | ("do", tokens) | ("if"/"with"/"range", tokens, nodes, other nodes)."""


def _parse(pieces: list[Piece], depth: int = 0) -> tuple[list[Node], list[Piece]]:
    """The nodes up to an ``end`` or ``else`` that belongs to somebody else, and what follows."""
    if depth > 50:
        raise TemplateError("nested too deeply")
    nodes: list[Node] = []
    while pieces:
        kind, content = pieces[0]
        if kind == "text":
            nodes.append(("text", content))
            pieces = pieces[1:]
            continue
        word = content.partition(" ")[0]
        if word in ("end", "else"):
            return nodes, pieces
        pieces = pieces[1:]
        if content.startswith("/*"):
            continue
        if word in ("if", "with", "range"):
            node, pieces = _block(word, content[len(word) :], pieces, depth)
            nodes.append(node)
        elif word in ("define", "template", "block", "break", "continue"):
            raise TemplateError(f"the action {word!r} is not supported")
        else:
            nodes.append(("do", _tokens(content)))
    return nodes, []


def _block(word: str, condition: str, pieces: list[Piece], depth: int) -> tuple[Node, list[Piece]]:
    body, pieces = _parse(pieces, depth + 1)
    other: list[Node] = []
    if pieces and pieces[0][1].startswith("else"):
        rest = pieces[0][1][4:].strip()
        if rest:
            following, _, inner = rest.partition(" ")
            if following not in ("if", "with"):
                raise TemplateError(f"unexpected {rest!r} after else")
            node, pieces = _block(following, inner, pieces[1:], depth + 1)
            return (word, _tokens(condition), body, [node]), pieces
        other, pieces = _parse(pieces[1:], depth + 1)
    if not pieces or pieces[0][1] != "end":
        raise TemplateError(f"the action {word!r} has no end")
    return (word, _tokens(condition), body, other), pieces[1:]


Token = tuple[str, Any]


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at, spaced = 0, True
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise TemplateError(f"cannot read {text[at:]!r}")
        at = match.end()
        if match.lastgroup is None:
            spaced = True
            continue
        value: Any = match[0]
        kind = match.lastgroup
        if kind == "text":
            value = value[1:-1] if value[0] == "`" else re.sub(r"\\(.)", lambda one: _ESCAPES[one[1]], value[1:-1])
        elif kind == "number":
            value = float(value) if "." in value else int(value)
        elif kind == "field" and not spaced:
            kind = "step"
        found.append((kind, value))
        spaced = False
    return found


class _Run:
    def __init__(self, root: Mapping[str, Any], strict: bool) -> None:
        self.variables: dict[str, Any] = {"$": root}
        self.strict = strict
        self.steps = self.size = 0

    def nodes(self, nodes: list[Node], dot: Any, out: list[str]) -> None:
        for node in nodes:
            self.steps += 1
            if self.steps > MAX_STEPS or self.size > MAX_TEXT:
                raise TemplateError("the template does too much")
            if node[0] == "text":
                self._write(node[1], out)
            elif node[0] == "do":
                names, value = self._statement(node[1], dot)
                if not names:
                    self._write(go_text(value), out)
            elif node[0] == "range":
                self._range(node, dot, out)
            else:
                _names, value = self._statement(node[1], dot)
                inner = value if node[0] == "with" and is_true(value) else dot
                self.nodes(node[2] if is_true(value) else node[3], inner, out)

    def _write(self, text: str, out: list[str]) -> None:
        self.size += len(text)
        out.append(text)

    def _range(self, node: Node, dot: Any, out: list[str]) -> None:
        tokens: list[Token] = node[1]
        names = [str(value) for kind, value in tokens[: _assignment(tokens)] if kind == "name"]
        value = _Reader(self, tokens[_assignment(tokens) + 1 :] if names else tokens, dot).all()
        if isinstance(value, dict):
            entries: list[tuple[Any, Any]] = sorted(value.items())
        elif isinstance(value, list):
            entries = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            entries = [(number, number) for number in range(min(value, MAX_STEPS))]
        elif value is None:
            entries = []
        else:
            raise TemplateError(f"range cannot go over {value!r}")
        if not entries:
            self.nodes(node[3], dot, out)
        for key, item in entries:
            if len(names) == 1:
                self.variables[names[0]] = item
            elif len(names) == 2:
                self.variables[names[0]], self.variables[names[1]] = key, item
            self.nodes(node[2], item, out)

    def _statement(self, tokens: list[Token], dot: Any) -> tuple[list[str], Any]:
        """The variables that are set (none or one), and the value."""
        at = _assignment(tokens)
        if at < 0:
            return [], _Reader(self, tokens, dot).all()
        names = [str(value) for kind, value in tokens[:at] if kind == "name"]
        if len(names) != 1 or not names[0].startswith("$"):
            raise TemplateError("only one variable can be set")
        value = _Reader(self, tokens[at + 1 :], dot).all()
        self.variables[names[0]] = value
        return names, value


def _assignment(tokens: list[Token]) -> int:
    return next((index for index, (kind, _value) in enumerate(tokens) if kind == "assign"), -1)


class _Reader:
    """Evaluates one pipeline."""

    def __init__(self, run: _Run, tokens: list[Token], dot: Any) -> None:
        self.run, self.tokens, self.dot = run, tokens, dot
        self.at = self.depth = 0

    def all(self) -> Any:
        value = self.pipeline()
        if self.at < len(self.tokens):
            raise TemplateError(f"unexpected {self.tokens[self.at][1]!r}")
        return value

    def _is(self, kind: str, value: str | None = None) -> bool:
        if self.at >= len(self.tokens):
            return False
        found = self.tokens[self.at]
        return found[0] == kind and (value is None or found[1] == value)

    def pipeline(self) -> Any:
        self.depth += 1
        if self.depth > 50:
            raise TemplateError("nested too deeply")
        value = self._command([])
        while self._is("sign", "|"):
            self.at += 1
            value = self._command([value])
        self.depth -= 1
        return value

    def _command(self, piped: list[Any]) -> Any:
        if self.at >= len(self.tokens):
            raise TemplateError("missing value for command")
        kind, name = self.tokens[self.at]
        if kind == "name" and not name.startswith("$") and name not in ("true", "false", "nil"):
            self.at += 1
            return self._steps(self._call(name, self._arguments(), piped))
        value = self._operand()
        if piped or (self.at < len(self.tokens) and not self._is("sign", "|") and not self._is("sign", ")")):
            raise TemplateError(f"{name!r} is not a function and takes no arguments")
        return value

    def _arguments(self) -> list[Any]:
        found: list[Any] = []
        while self.at < len(self.tokens) and not self._is("sign", "|") and not self._is("sign", ")"):
            found.append(self._operand())
        return found

    def _call(self, name: str, arguments: list[Any], piped: list[Any]) -> Any:
        function: Callable[..., Any] | None = FUNCTIONS.get(name)
        if function is None:
            raise TemplateError(f'function "{name}" not defined')
        try:
            return function(*arguments, *piped)
        except TemplateError:
            raise
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError, re.error) as error:
            raise TemplateError(f"error calling {name}: {error}") from error

    def _operand(self) -> Any:
        kind, value = self.tokens[self.at]
        self.at += 1
        if kind in ("text", "number"):
            return value
        if kind == "field":
            return self._steps(self._get(self.dot, value[1:]))
        if kind == "name":
            return self._steps(self._named(value))
        if kind == "sign" and value == ".":
            return self.dot
        if kind == "sign" and value == "(":
            inner = self.pipeline()
            if not self._is("sign", ")"):
                raise TemplateError("unclosed left paren")
            self.at += 1
            return self._steps(inner)
        raise TemplateError(f"unexpected {value!r}")

    def _named(self, name: str) -> Any:
        if name in ("true", "false", "nil"):
            return {"true": True, "false": False, "nil": None}[name]
        if name.startswith("$"):
            if name not in self.run.variables:
                raise TemplateError(f"undefined variable {name!r}")
            return self.run.variables[name]
        return self._call(name, [], [])

    def _steps(self, value: Any) -> Any:
        while self._is("step"):
            value = self._get(value, self.tokens[self.at][1][1:])
            self.at += 1
        return value

    def _get(self, value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            if key not in value and self.run.strict:
                raise TemplateError(f'map has no entry for key "{key}"')
            return value.get(key)
        if value is None:
            if self.run.strict:
                raise TemplateError(f"nil pointer evaluating {key!r}")
            return None
        raise TemplateError(f"can't evaluate field {key} in {type(value).__name__}")
