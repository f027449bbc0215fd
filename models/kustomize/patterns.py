r"""Regular expressions of Go (RE2 syntax), matched in time linear in the text whatever the expression is.

Python's own engine knows other syntax (look-ahead, back references) and can take exponential time, so the expression
is parsed here and its states are followed all at once (Thompson 1968; https://swtch.com/~rsc/regexp/regexp1.html).
Syntax: https://github.com/google/re2/wiki/Syntax, without Unicode classes other than single letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache

MAX_STATES = 20_000
"""Most states of one expression; Go refuses repetitions above 1000, which keeps real ones far below."""
MAX_REPEAT = 1000
Test = Callable[[str], bool]
_PERL = {
    "d": "0-9",
    "s": "\t\n\f\r ",
    "w": "0-9A-Za-z_",
}
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\x00-\x7f",
    "blank": "\t ",
    "cntrl": "\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@[-`{-~",
    "space": "\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_CONTROL = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}

START, END, LINE_START, LINE_END, WORD, NO_WORD = range(6)
# A program: each state is (kind, value, next, other next).
_CHAR, _SPLIT, _ASSERT, _MATCH = range(4)


class Pattern:
    """A compiled expression."""

    def __init__(self, program: list[tuple[int, object, int, int]], start: int) -> None:
        self._program = program
        self._start = start

    def search(self, text: str) -> bool:
        """Whether the expression matches anywhere in ``text``. Time: O(len(text) * states)."""
        current: set[int] = set()
        for position in range(len(text) + 1):
            if self._follow(current, [self._start], text, position):
                return True
            if position == len(text):
                return False
            character = text[position]
            following = [
                self._program[state][2]
                for state in current
                if self._program[state][0] == _CHAR and self._program[state][1](character)  # type: ignore[operator]
            ]
            current = set()
            if self._follow(current, following, text, position + 1):
                return True
        return False

    def _follow(self, states: set[int], stack: list[int], text: str, position: int) -> bool:
        """Add all states that need no character; True when one of them is the end."""
        stack = list(stack)
        while stack:
            state = stack.pop()
            if state in states:
                continue
            states.add(state)
            kind, value, following, other = self._program[state]
            if kind == _MATCH:
                return True
            if kind == _SPLIT:
                stack += [following, other]
            elif kind == _ASSERT and _holds(value, text, position):
                stack.append(following)
        return False


def _word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def _holds(what: object, text: str, position: int) -> bool:
    before, after = text[position - 1 : position] if position else "", text[position : position + 1]
    if what == START:
        return position == 0
    if what == END:
        return position == len(text)
    if what == LINE_START:
        return before in ("", "\n")
    if what == LINE_END:
        return after in ("", "\n")
    boundary = (before != "" and _word(before)) != (after != "" and _word(after))
    return boundary is (what == WORD)


@lru_cache(maxsize=2048)
def compile_pattern(expression: str) -> Pattern:
    """Compile an expression. Raises ValueError when Go would refuse it, too."""
    parser = _Parser(expression)
    node = parser.alternatives()
    if parser.at < len(expression):
        raise ValueError(f"error parsing regexp: unexpected ): `{expression}`")
    builder = _Builder()
    end = builder.add(_MATCH, None, 0, 0)
    return Pattern(builder.program, builder.build(node, end))


# A syntax tree: ("char", test) | ("assert", what) | ("seq", nodes) | ("any of", nodes) | ("repeat", node, least, most)
Node = tuple[object, ...]


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.fold = self.multiline = self.dot_all = False
        self.depth = 0

    def _fail(self, what: str, part: str) -> ValueError:
        return ValueError(f"error parsing regexp: {what}: `{part}`")

    def _peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def _take(self, what: str) -> bool:
        if self.text.startswith(what, self.at):
            self.at += len(what)
            return True
        return False

    def alternatives(self) -> Node:
        flags = (self.fold, self.multiline, self.dot_all)
        self.depth += 1
        if self.depth > 200:
            raise self._fail("expression nests too deeply", self.text[:40])
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        self.depth -= 1
        self.fold, self.multiline, self.dot_all = flags
        return branches[0] if len(branches) == 1 else ("any of", branches)

    def _sequence(self) -> Node:
        nodes: list[Node] = []
        while self.at < len(self.text) and self._peek() not in "|)":
            start = self.at
            node = self._atom()
            if node is not None:
                nodes.append(self._repeated(node, start))
        return ("seq", nodes)

    def _repeated(self, node: Node, start: int) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return node
        self._take("?")
        if self._peek() in ("*", "+", "?") or self._braces() is not None:
            raise self._fail("invalid nested repetition operator", self.text[start : self.at + 1])
        return ("repeat", node, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, found in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return found
        braces = self._braces()
        if braces is None:
            return None
        least, most, self.at = braces
        if least > MAX_REPEAT or (most is not None and (most > MAX_REPEAT or most < least)):
            raise self._fail("invalid repeat count", self.text[: self.at])
        return least, most

    def _braces(self) -> tuple[int, int | None, int] | None:
        """``{n}``, ``{n,}`` or ``{n,m}`` here, and where it ends; anything else in braces is plain text."""
        end = self.text.find("}", self.at)
        if self._peek() != "{" or end < 0:
            return None
        low, comma, high = self.text[self.at + 1 : end].partition(",")
        if not (low.isascii() and low.isdigit() and len(low) < 6):
            return None
        if not comma:
            return int(low), int(low), end + 1
        if not high:
            return int(low), None, end + 1
        return (int(low), int(high), end + 1) if high.isascii() and high.isdigit() and len(high) < 6 else None

    def _atom(self) -> Node | None:
        character = self._peek()
        if character in "*+?":
            raise self._fail("missing argument to repetition operator", character)
        if character == "(":
            return self._group()
        if character == "[":
            return ("char", self._class())
        self.at += 1
        if character == ".":
            return ("char", _anything if self.dot_all else _no_line_break)
        if character == "^":
            return ("assert", LINE_START if self.multiline else START)
        if character == "$":
            return ("assert", LINE_END if self.multiline else END)
        return self._escape() if character == "\\" else ("char", self._one(character))

    def _one(self, character: str) -> Test:
        if self.fold:
            variants = {character, character.lower(), character.upper()}
            return lambda found: found in variants
        return lambda found: found == character

    def _group(self) -> Node | None:
        start = self.at
        self.at += 1
        flags = (self.fold, self.multiline, self.dot_all)
        if self._take("?") and not self._named():
            closed = self._flags(start)
            if closed:
                return None
        node = self.alternatives()
        if not self._take(")"):
            raise self._fail("missing closing )", self.text)
        self.fold, self.multiline, self.dot_all = flags
        return node

    def _named(self) -> bool:
        if self._take("P<") or (self._peek() == "<" and self._peek(2) not in ("<=", "<!") and self._take("<")):
            end = self.text.find(">", self.at)
            name = self.text[self.at : end]
            if end < 0 or not name or not all(map(_word, name)):
                raise self._fail("invalid named capture", self.text[self.at - 3 :])
            self.at = end + 1
            return True
        return False

    def _flags(self, start: int) -> bool:
        """Read ``(?i)`` or ``(?i:``; True for the first, whose flags hold until the group around it ends."""
        value = True
        while (character := self._peek()) not in (")", ":"):
            self.at += 1
            if character == "-" and value:
                value = False
            elif character == "i":
                self.fold = value
            elif character == "m":
                self.multiline = value
            elif character == "s":
                self.dot_all = value
            elif character != "U":
                raise self._fail("invalid or unsupported Perl syntax", self.text[start : self.at])
        self.at += 1
        return character == ")"

    def _escape(self) -> Node:
        character = self._peek()
        self.at += 1
        anchors = {"A": START, "z": END, "b": WORD, "B": NO_WORD}
        if character in anchors:
            return ("assert", anchors[character])
        if character == "Q":
            end = self.text.find("\\E", self.at)
            literal = self.text[self.at : end if end >= 0 else len(self.text)]
            self.at = end + 2 if end >= 0 else len(self.text)
            return ("seq", [("char", self._one(one)) for one in literal])
        ranges = self._perl(character)
        return ("char", ranges if ranges is not None else self._one(self._character(character)))

    def _perl(self, character: str) -> Test | None:
        """``\\d``, ``\\S``, ``\\pL`` and the like, whose letter was just read."""
        if character and character.lower() in _PERL:
            inside = _ranges(_PERL[character.lower()])
            return inside if character.islower() else lambda found: not inside(found)
        if character in ("p", "P"):
            name = self._peek()
            self.at += 1
            if name == "{":
                end = self.text.find("}", self.at)
                name, self.at = self.text[self.at : end], end + 1
            wanted = character == "p"
            if name.startswith("^"):
                name, wanted = name[1:], not wanted
            if len(name) not in (1, 2) or name[0] not in "LMNPSZC":
                raise self._fail("invalid character class range", f"\\{character}{{{name}}}")
            return lambda found: unicodedata.category(found).startswith(name) is wanted
        return None

    def _character(self, character: str) -> str:
        """The character that an escape stands for; its first letter was just read."""
        if character in _CONTROL:
            return _CONTROL[character]
        if character == "x":
            if self._take("{"):
                end = self.text.find("}", self.at)
                digits, self.at = self.text[self.at : end], end + 1
            else:
                digits = self._peek(2)
                self.at += 2
            try:
                return chr(int(digits, 16))
            except (ValueError, OverflowError):
                raise self._fail("invalid escape sequence", f"\\x{digits}") from None
        if character == "0" or (character in "1234567" and self._peek() and self._peek() in "01234567"):
            digits = character
            while len(digits) < 3 and self._peek() and self._peek() in "01234567":
                digits += self._peek()
                self.at += 1
            return chr(int(digits, 8))
        if not character:
            raise self._fail("trailing backslash at end of expression", "")
        if character.isascii() and not character.isalnum():
            return character
        raise self._fail("invalid escape sequence", f"\\{character}")

    def _class(self) -> Test:
        start = self.at
        self.at += 1
        negated = self._take("^")
        tests: list[Test] = []
        first = True
        while first or self._peek() != "]":
            if self.at >= len(self.text):
                raise self._fail("missing closing ]", self.text[start:])
            first = False
            tests.append(self._class_item(start))
        self.at += 1
        if self.fold:
            folded = list(tests)
            tests = [lambda found: any(test(one) for test in folded for one in (found, found.lower(), found.upper()))]
        return lambda found: any(test(found) for test in tests) is not negated

    def _class_item(self, start: int) -> Test:
        if self._peek(2) == "[:":
            end = self.text.find(":]", self.at)
            name = self.text[self.at + 2 : end] if end >= 0 else ""
            if name.lstrip("^") in _POSIX:
                self.at = end + 2
                inside = _ranges(_POSIX[name.lstrip("^")])
                return (lambda found: not inside(found)) if name.startswith("^") else inside
            raise self._fail("invalid character class range", self.text[self.at : end + 2])
        low = self._class_character()
        if not isinstance(low, str):
            return low
        if self._peek() == "-" and self._peek(2) not in ("-]", "-"):
            self.at += 1
            high = self._class_character()
            if not isinstance(high, str) or high < low:
                raise self._fail("invalid character class range", self.text[start : self.at])
            return lambda found: low <= found <= high
        return lambda found: found == low

    def _class_character(self) -> str | Test:
        character = self._peek()
        self.at += 1
        if character != "\\":
            return character
        character = self._peek()
        self.at += 1
        return self._perl(character) or self._character(character)


def _anything(_found: str) -> bool:
    return True


def _no_line_break(found: str) -> bool:
    return found != "\n"


def _ranges(text: str) -> Test:
    characters: set[str] = set()
    spans: list[tuple[str, str]] = []
    index = 0
    while index < len(text):
        if text[index + 1 : index + 2] == "-" and index + 2 < len(text):
            spans.append((text[index], text[index + 2]))
            index += 3
        else:
            characters.add(text[index])
            index += 1
    return lambda found: found in characters or any(low <= found <= high for low, high in spans)


class _Builder:
    def __init__(self) -> None:
        self.program: list[tuple[int, object, int, int]] = []

    def add(self, kind: int, value: object, following: int, other: int) -> int:
        if len(self.program) >= MAX_STATES:
            raise ValueError("error parsing regexp: expression is too large")
        self.program.append((kind, value, following, other))
        return len(self.program) - 1

    def build(self, node: Node, following: int) -> int:
        """The first state of ``node``, after which ``following`` comes."""
        kind = node[0]
        if kind == "char":
            return self.add(_CHAR, node[1], following, 0)
        if kind == "assert":
            return self.add(_ASSERT, node[1], following, 0)
        if kind == "seq":
            for part in reversed(node[1]):  # type: ignore[call-overload]
                following = self.build(part, following)
            return following
        if kind == "any of":
            starts = [self.build(branch, following) for branch in node[1]]  # type: ignore[attr-defined]
            state = starts[-1]
            for start in reversed(starts[:-1]):
                state = self.add(_SPLIT, None, start, state)
            return state
        _, inner, least, most = node
        return self._repeat(inner, least, most, following)  # type: ignore[arg-type]

    def _repeat(self, inner: Node, least: int, most: int | None, following: int) -> int:
        if most is None:
            loop = self.add(_SPLIT, None, following, following)
            start = self.build(inner, loop)
            self.program[loop] = (_SPLIT, None, start, following)
            state = loop
        else:
            state = following
            for _ in range(most - least):
                state = self.add(_SPLIT, None, self.build(inner, state), following)
        for _ in range(least):
            state = self.build(inner, state)
        return state
