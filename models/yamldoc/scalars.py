"""What a scalar in a YAML file means to Kubernetes' tools.

Two dialects are in use upstream. Manifests and patches go through go-yaml v3 (``yes`` and ``on`` stay text, ``0o17``
is a number, dates become RFC 3339 time stamps); ``kustomization.yaml``, plugin configurations and JSON patches go
through go-yaml v2 (YAML 1.1 booleans, dates stay text). Source: ``resolve.go`` in ``sigs.k8s.io/yaml`` v1.4.0,
``goyaml.v3`` and ``goyaml.v2``.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

import yaml

NULL, BOOL, STR, INT, FLOAT, TIMESTAMP = "!!null", "!!bool", "!!str", "!!int", "!!float", "!!timestamp"
BINARY, MERGE = "!!binary", "!!merge"
_RESOLVABLE = frozenset({STR, BOOL, INT, FLOAT, NULL, TIMESTAMP})
_LONG_PREFIX = "tag:yaml.org,2002:"

_WORDS: dict[str, tuple[str, Any]] = {
    **dict.fromkeys(("true", "True", "TRUE"), (BOOL, True)),
    **dict.fromkeys(("false", "False", "FALSE"), (BOOL, False)),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (NULL, None)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), (FLOAT, math.nan)),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (FLOAT, math.inf)),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (FLOAT, -math.inf)),
}
_WORDS_1_1: dict[str, tuple[str, Any]] = {
    **_WORDS,
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), (BOOL, True)),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), (BOOL, False)),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(
    r"[-+]?(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO](?P<oct>[0-7]+)"
    r"|0(?P<old>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "old": 8, "dec": 10}
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:(?:([Tt])|( ))(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?(Z|[-+]\d\d:\d\d)?)?"
)


class Quoted(str):
    """A string that stands in quotes (or in a block): whatever replaces its text stays a string."""

    __slots__ = ()


class Folded(Quoted):
    """A string in a folded block (``>``). Upstream writes it out and reads it again; see :func:`refolded`."""

    __slots__ = ()


class OddKey(str):
    """A map key that is not a string (``8080: http``); the tools refuse it in a finished object."""

    __slots__ = ()


class Scalar:
    """A scalar that is not simply a string: its tag ("" when it must still be found out), text and quoting."""

    __slots__ = ("quoted", "tag", "text")

    def __init__(self, tag: str, text: str, quoted: bool = False) -> None:
        self.tag = tag
        self.text = text
        self.quoted = quoted

    def __repr__(self) -> str:
        return f"Scalar({self.tag!r}, {self.text!r})"


class Shared(Scalar):
    """A string that stands in several places of one object at once; a change in one place shows in all of them.

    Upstream writes one node into every map that a label goes to, so that a later patch of ``metadata.labels.app``
    changes the selector, too.
    """

    __slots__ = ()

    def assign(self, value: str | Scalar) -> None:
        """Take the tag, the text and the quoting of ``value``."""
        if isinstance(value, Scalar):
            self.tag, self.text, self.quoted = value.tag, value.text, value.quoted
        else:
            self.tag, self.text, self.quoted = STR, str(value), isinstance(value, Quoted)


def short_tag(tag: str) -> str:
    """``tag:yaml.org,2002:int`` as ``!!int``; other tags unchanged."""
    return "!!" + tag[len(_LONG_PREFIX) :] if tag.startswith(_LONG_PREFIX) else tag


_LONGEST_NUMBER = 1000
"""More characters than any number has; what is longer overflows and is text, as in Go."""


def _number(text: str) -> tuple[str, Any] | None:
    plain = text.replace("_", "")
    if len(plain) > _LONGEST_NUMBER:
        return None
    match = _INT.fullmatch(plain)
    if match and match.lastgroup:
        value = int(match[match.lastgroup], _BASES[match.lastgroup])
        value = -value if plain[0] == "-" else value
        # strconv.ParseInt, then ParseUint (which takes no sign)
        if -(2**63) <= value < 2**63 or (plain[0] not in "+-" and value < 2**64):
            return INT, value
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        return None if math.isinf(number) else (FLOAT, number)
    return None


def _timestamp(text: str) -> str | None:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, letter, blank, hour, minute, second, fraction, zone = match.groups()
    if (letter and not zone) or (blank and zone):
        return None
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return None
    head = f"{year}-{int(month):02}-{int(day):02}"
    if hour is None:
        return f"{head}T00:00:00Z"
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        return None
    fraction = (fraction or "").rstrip("0")
    zone = "Z" if zone in (None, "+00:00", "-00:00") else zone
    return f"{head}T{int(hour):02}:{int(minute):02}:{int(second):02}{'.' + fraction if fraction else ''}{zone}"


@lru_cache(maxsize=65536)
def resolve(text: str, yaml_1_1: bool = False) -> tuple[str, Any]:
    """The tag and the value of a plain scalar. A time stamp's value is its RFC 3339 text."""
    found = (_WORDS_1_1 if yaml_1_1 else _WORDS).get(text)
    if found is not None:
        return found
    first = text[0]
    if first not in "0123456789+-.":
        return STR, text
    if first == ".":
        match = re.fullmatch(r"\.[0-9_]*[0-9][0-9_]*([eE][-+]?[0-9]+)?", text)
        # strconv.ParseFloat takes no underscores here
        return (FLOAT, float(text)) if match and "_" not in text else (STR, text)
    stamp = _timestamp(text)
    if stamp is not None:
        return (STR, text) if yaml_1_1 else (TIMESTAMP, stamp)
    return _number(text) or (STR, text)


def value_of(tag: str, text: str, quoted: bool = False) -> Any:
    """The plain value of a scalar with a ``tag`` (short form), or of a plain one when ``tag`` is "".

    A quoted scalar whose tag is the one that its text would have without the quotes is a string: that is how a number
    comes out that was written over a quoted one, because the tag is left out and the quotes stay.

    Raises:
        ValueError: the text cannot be read as the tag says (``!!int abc``).
    """
    if tag == "" and not quoted:
        return resolve(text)[1]
    if tag == BINARY:
        try:
            return base64.b64decode(text, validate=False).decode("utf-8", "replace")
        except binascii.Error as error:
            raise ValueError(f"!!binary value contains invalid base64 data: {error}") from error
    if tag not in _RESOLVABLE or tag == STR:
        return text
    found, value = resolve(text)
    if found == tag:
        return text if quoted else value
    if tag == FLOAT and found == INT:
        return float(value)
    raise ValueError(f"cannot decode {found} `{text}` as a {tag}")


def refolded(text: str) -> str:
    """What is left of a folded block's text after go-yaml wrote it and read it again.

    Its writer (``yaml_emitter_write_folded_scalar`` in ``emitterc.go``) puts an empty line behind every line that does
    not start with a blank, whatever follows: in front of an indented line, and at the end of a text that keeps its
    last line breaks, that is one break too many. When the text starts with a blank, it never puts any.

    Raises:
        ValueError: what it writes cannot be read again.
    """
    if "\n" not in text or text.endswith(" ") or " \n" in text or _UNFOLDABLE.search(text):
        return text
    start = text.lstrip("\n")
    spread = start != "" and start[0] not in " \t"
    body: list[str] = []
    breaks = leading = True
    for character in text:
        if character == "\n":
            body.append("\n\n" if spread and not breaks and not leading else "\n")
            breaks = True
            continue
        if breaks:
            body.append("  ")
            leading = character in " \t"
        body.append(character)
        breaks = False
    hint = "2" if text[0] in " \n" else ""
    chomping = "" if text.endswith("\n") else "-"
    if text.endswith("\n\n") or text == "\n":
        chomping = "+"
    written = "".join(body)
    ending = "" if written.endswith("\n") else "\n"
    try:
        read = yaml.load(f"a: >{hint}{chomping}\n{written}{ending}", _TEXT_LOADER)
    except yaml.YAMLError as error:
        raise ValueError("a folded block that starts with a tab cannot be written") from error
    return str(read["a"])


_TEXT_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_UNFOLDABLE = re.compile(r"[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
"""Characters for which the writer takes double quotes, or that break lines."""


def json_number(value: Any) -> Any:
    """A number as it comes out of a round trip through JSON: a float with an integral value becomes an integer."""
    if isinstance(value, float):
        if math.isinf(value) or math.isnan(value):
            raise ValueError(f"json: unsupported value: {value}")
        if value.is_integer() and abs(value) < 1e21:
            # the shortest digits that mean this float, as Go writes it
            return int(Decimal(repr(value)))
    return value
