"""From text to trees: hostile-safe composing with libyaml, anchors and merge keys resolved, line numbers kept.

libyaml composes recursively in C, without a guard of its own, so nesting is bounded *before* it is called; aliases are
expanded under a budget, so that a bomb of a few hundred bytes is refused instead of filling the memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from models.errors import InputError, Problem, Where
from models.yamldoc.scalars import MERGE, NULL, STR, TIMESTAMP, Folded, OddKey, Quoted, Scalar, resolve, short_tag

try:
    from yaml._yaml import CParser as _Parser

    _COMPOSED_IN_C = True
except ImportError:  # pragma: no cover - PyYAML without libyaml
    _COMPOSED_IN_C = False

MAX_BYTES = 64 * 1024 * 1024
"""Largest file that is read, in bytes."""
MAX_DEPTH = 300
"""Deepest nesting of maps and lists that is accepted."""
MAX_NODES = 1_000_000
"""Most nodes (keys, values, maps, lists) of one document; a node takes some 400 bytes while it is read."""
MAX_ALIAS_NODES = 1_000_000
"""Most nodes that all aliases of one document may expand to."""

ScalarReader = Callable[[str, str, bool], Any]
"""Makes a value of a scalar: (short tag or "", text, whether it is quoted)."""

_DEEP_PREFIX = re.compile(rf"^[ \-?]{{{MAX_DEPTH}}}", re.MULTILINE)


def _loader() -> Any:
    if not _COMPOSED_IN_C:  # pragma: no cover - PyYAML without libyaml

        class PythonComposer(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer):
            def __init__(self, stream: str) -> None:
                yaml.reader.Reader.__init__(self, stream)
                yaml.scanner.Scanner.__init__(self)
                yaml.parser.Parser.__init__(self)
                yaml.composer.Composer.__init__(self)

            def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> str:
                return ""

            def descend_resolver(self, _node: Any, _index: Any) -> None:
                return None

            def ascend_resolver(self) -> None:
                return None

        return PythonComposer

    class CComposer(_Parser):
        def __init__(self, stream: str) -> None:
            _Parser.__init__(self, stream)
            self.nodes = 0

        def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> str:
            self.nodes += 1
            if self.nodes > MAX_NODES:
                raise yaml.YAMLError(f"more than {MAX_NODES} keys and values in one text; split the file")
            return ""

        def descend_resolver(self, _node: Any, _index: Any) -> None:
            return None

        def ascend_resolver(self) -> None:
            return None

    return CComposer


_Composer = _loader()


def decode(content: bytes, file: str) -> str:
    """Text of a UTF-8 file, without a byte order mark. Raises InputError naming the line of a broken byte."""
    if len(content) > MAX_BYTES:
        raise InputError(
            Problem(
                Where(file),
                f"the file has {len(content)} bytes, more than the {MAX_BYTES} that are read",
                "split it, or leave it out of the tree that is read",
            )
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            Problem(
                Where(file, content.count(b"\n", 0, error.start) + 1),
                f"the file is not UTF-8 (byte 0x{content[error.start]:02x})",
                "save it as UTF-8",
            )
        ) from error
    return text[1:] if text.startswith("﻿") else text


def _yaml_problem(error: yaml.YAMLError, file: str, first_line: int) -> InputError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = first_line + mark.line if mark is not None else None
    what = getattr(error, "problem", None) or str(error)
    if what.startswith("exceeded maximum nesting depth"):  # newer versions of libyaml have a bound of their own
        return _too_deep(Where(file, line))
    context = getattr(error, "context", None)
    return InputError(
        Problem(
            Where(file, line),
            f"malformed YAML: {what}{f' {context}' if context else ''}",
            "mend the file; a tab, a missing quote or a wrong indentation is the usual cause",
        )
    )


def _too_deep(where: Where) -> InputError:
    what = f"nested deeper than {MAX_DEPTH} levels"
    return InputError(Problem(where, what, "no Kubernetes object needs that; check what wrote the file"))


def _refuse_deep_nesting(text: str, file: str, first_line: int) -> None:
    """Raise InputError when ``text`` (YAML or JSON) nests deeper than ``MAX_DEPTH``; YAMLError when it is neither."""
    if text.count("[") + text.count("{") < MAX_DEPTH and not _DEEP_PREFIX.search(text):
        return
    depth = 0
    parser = _Composer(text)
    while (event := parser.get_event()) is not None:
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line if event.start_mark is not None else 0
                raise _too_deep(Where(file, first_line + line))
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.events.StreamEndEvent):
            break


def compose(text: str, file: str, first_line: int = 1, *, only_first: bool = False) -> list[Any]:
    """The root nodes of the documents in ``text`` (None for an empty one); all aliases still shared.

    Args:
        text: one YAML stream.
        file: its name, for errors.
        first_line: the line of the file on which ``text`` starts.
        only_first: read just the first document, as ``kubectl kustomize`` does after splitting a file itself.
    """
    try:
        _refuse_deep_nesting(text, file, first_line)
        parser = _Composer(text)
        roots: list[Any] = []
        while parser.check_node():
            roots.append(parser.get_node())
            if only_first:
                break
        return roots
    except yaml.YAMLError as error:
        raise _yaml_problem(error, file, first_line) from error


class TreeBuilder:
    """Builds fresh ``dict``/``list`` trees from composed nodes: every alias becomes a copy, merge keys are merged."""

    def __init__(
        self,
        file: str,
        first_line: int,
        scalar: ScalarReader,
        *,
        odd_key: Callable[[str], str] = OddKey,
        last_key_wins: bool = False,
    ) -> None:
        self.file = file
        self.first_line = first_line
        self.scalar = scalar
        self.odd_key = odd_key
        self.last_key_wins = last_key_wins
        self._seen: set[int] = set()
        self._alias_nodes = 0
        self._in_alias = 0
        self._plain: dict[str, Any] = {}

    def _fail(self, node: Any, what: str, way_out: str = "") -> InputError:
        return InputError(Problem(Where(self.file, self.first_line + node.start_mark.line), what, way_out))

    def build(self, node: Any, depth: int = 0) -> Any:
        """The value of ``node``."""
        if type(node) is yaml.ScalarNode:
            if node.tag == "" and not node.style:
                text = node.value
                try:
                    return self._plain[text]
                except KeyError:
                    value = self._plain[text] = self._scalar(node)
                    return value
            return self._scalar(node)
        if depth > MAX_DEPTH:
            raise self._fail(node, f"nested deeper than {MAX_DEPTH} levels", "an alias that contains itself?")
        alias = id(node) in self._seen
        self._seen.add(id(node))
        if alias or self._in_alias:
            self._alias_nodes += len(node.value) + 1
            if self._alias_nodes > MAX_ALIAS_NODES:
                raise self._fail(
                    node,
                    f"aliases expand to more than {MAX_ALIAS_NODES} nodes",
                    "write the values out, or use fewer anchors",
                )
        self._in_alias += alias
        try:
            if type(node) is yaml.SequenceNode:
                items = [self.build(item, depth + 1) for item in node.value]
                return [_in_flow(item) for item in items] if node.flow_style else items
            result = self._mapping(node, depth)
            if node.flow_style:
                result = {key: _in_flow(value) for key, value in result.items()}
            return result
        finally:
            self._in_alias -= alias

    def _scalar(self, node: Any) -> Any:
        tag = "" if node.tag in ("", "!") else short_tag(node.tag)
        try:
            # an explicit tag counts for more than the quotes
            value = self.scalar(tag, node.value, bool(node.style) and tag in ("", STR))
            return Folded(value) if node.style == ">" and isinstance(value, Quoted) else value
        except ValueError as error:
            raise self._fail(node, str(error)) from error

    def _key(self, node: Any) -> str:
        if type(node) is not yaml.ScalarNode:
            raise self._fail(node, "a map key must be a scalar", "quote the key")
        if node.tag == "" and not node.style and (self.last_key_wins or resolve(node.value)[0] != STR):
            return self.odd_key(node.value)
        return str(node.value)

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merges: list[Any] = []
        for key_node, value_node in node.value:
            if _is_merge(key_node):
                if merges and not self.last_key_wins:
                    raise self._fail(key_node, "duplicate merge key `<<`", "list both anchors: `<<: [*a, *b]`")
                merges.append(value_node)
                if self.last_key_wins:
                    result.update(self._merged(value_node, depth))
                continue
            key = self._key(key_node)
            if key in result and not self.last_key_wins:
                raise self._fail(key_node, f'mapping key "{key}" already defined in this map', "remove one of the two")
            result[key] = self.build(value_node, depth + 1)
        if merges and not self.last_key_wins:
            return {**self._merged(merges[0], depth), **result}
        return result

    def _merged(self, node: Any, depth: int) -> dict[str, Any]:
        sources = node.value if type(node) is yaml.SequenceNode else [node]
        result: dict[str, Any] = {}
        for source in reversed(sources):
            if type(source) is not yaml.MappingNode:
                raise self._fail(node, "map merge requires map or sequence of maps as the value")
            result.update(self.build(source, depth + 1))
        return result


def _in_flow(value: Any) -> Any:
    """A member of a flow map or list as it is after go-yaml wrote it: quotes go where a plain scalar has no place."""
    if type(value) is Scalar and (
        (value.tag == NULL and not value.text) or (value.tag == TIMESTAMP and ":" in value.text)
    ):
        return Scalar(value.tag, value.text, quoted=True)
    return value


def _is_merge(node: Any) -> bool:
    if type(node) is not yaml.ScalarNode or node.value != "<<":
        return False
    return bool(short_tag(node.tag) == MERGE or (node.tag in ("", "!") and not node.style))


def manifest_scalar(tag: str, text: str, quoted: bool) -> Any:
    """A scalar of a manifest, kept so that its text and quoting survive until the object is finished."""
    if tag == "":
        if quoted:
            return Quoted(text)
        found, _value = resolve(text)
        return text if found == STR else Scalar(found, text)
    if tag == STR:
        return Quoted(text) if quoted else text
    return Scalar(tag, text, quoted)


def plain_lines(root: Any, first_line: int) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Every path below ``root`` with its 1-based line (of the key, or of the list item). Aliases are not followed."""
    stack: list[tuple[tuple[str | int, ...], Any, int]] = [((), root, root.start_mark.line)]
    seen: set[int] = set()
    while stack:
        path, node, line = stack.pop()
        yield path, first_line + line
        if type(node) is yaml.ScalarNode or id(node) in seen:
            continue
        seen.add(id(node))
        if type(node) is yaml.SequenceNode:
            stack.extend(((*path, i), item, item.start_mark.line) for i, item in enumerate(node.value))
        else:
            stack.extend(
                ((*path, key.value), value, key.start_mark.line)
                for key, value in node.value
                if type(key) is yaml.ScalarNode
            )
