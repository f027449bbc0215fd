"""Functions of Go templates: those of ``text/template``, the common ones of sprig v3, and Argo CD's own.

Sources: https://pkg.go.dev/text/template#hdr-Functions, https://masterminds.github.io/sprig/,
``applicationset/utils/template_functions.go`` of Argo CD.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from models.documents import parse_documents
from models.errors import InputError


class TemplateError(ValueError):
    """A template cannot be carried out; the text says why."""


def is_true(value: Any) -> bool:
    """Whether a value counts as true: not zero, not empty, not nil."""
    return bool(value)


def go_text(value: Any) -> str:
    """A value as ``{{ }}`` prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_text, value)) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        return str(int(value))
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list | str) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = value[key]
        elif value is None:
            raise TemplateError("index of untyped nil")
        else:
            raise TemplateError(f"can't index item of type {type(value).__name__}")
    return value


def _slice(value: Any, start: int = 0, end: int | None = None) -> Any:
    return value[start : len(value) if end is None else end]


def _printf(form: str, *values: Any) -> str:
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not rest:
            return f"%!{match[2]}(MISSING)"
        value = rest.pop(0)
        if match[2] in "vs":
            text = go_text(value) if value is not None else "<nil>"
        elif match[2] == "q":
            text = _quoted(str(value))
        elif match[2] == "t":
            text = go_text(bool(value))
        else:
            return str(f"%{match[1]}{match[2]}" % value)
        width = int(match[1].lstrip("-0") or 0) if match[1].lstrip("-0").isdigit() else 0
        return text.ljust(min(width, 1000)) if match[1].startswith("-") else text.rjust(min(width, 1000))

    return re.sub(r"%([-+0 ]*\d{0,3}(?:\.\d{1,2})?)([vsqtdxXfgceb%])", one, form)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _equal(first: Any, *others: Any) -> bool:
    return any(type(first) is type(other) and first == other for other in others)


def _replace(old: str, new: str, text: str) -> str:
    if len(text) * max(1, len(new)) > 10_000_000:
        raise TemplateError("the text grows too long")
    return str(text).replace(old, new)


def _substr(start: int, end: int, text: str) -> str:
    return text[max(start, 0) :] if end < start or end > len(text) else text[max(start, 0) : end]


def _trunc(length: int, text: str) -> str:
    return text[length:] if length < 0 else text[:length]


def _indent(width: int, text: str) -> str:
    space = " " * min(width, 200)
    return space + text.replace("\n", "\n" + space)


def _dict(*pairs: Any) -> dict[str, Any]:
    return {str(pairs[at]): pairs[at + 1] if at + 1 < len(pairs) else "" for at in range(0, len(pairs), 2)}


def _list_of(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TemplateError(f"a list is needed, not {value!r}")
    return value


def _normalize(text: str) -> str:
    """A name that DNS takes (``SanitizeName``): lower case, no other characters than letters, digits, - and ."""
    kept = re.sub(r"[^a-z0-9.-]", "-", str(text).lower())[:253]
    return kept.strip("-.")


def _slugify(*arguments: Any) -> str:
    text = str(arguments[-1])
    longest = next((one for one in arguments[:-1] if isinstance(one, int) and not isinstance(one, bool)), 50)
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")


def _from_yaml(text: str) -> Any:
    try:
        documents = parse_documents(text, file="template")
    except InputError as error:
        raise TemplateError(error.problems[0].what) from error
    return documents[0].value if documents else {}


def _to_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=False, sort_keys=True).removesuffix("\n").removesuffix("\n...")


def _to_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _int(value: Any) -> int:
    try:
        return int(float(value)) if not isinstance(value, str) else int(value, 10)
    except (TypeError, ValueError):
        return 0


def _or(*values: Any) -> Any:
    return next((value for value in values if is_true(value)), values[-1])


def _and(*values: Any) -> Any:
    return next((value for value in values if not is_true(value)), values[-1])


def _fail(text: str) -> str:
    raise TemplateError(str(text))


def _repeat(count: int, text: str) -> str:
    if count * len(text) > 100_000:
        raise TemplateError("the text grows too long")
    return text * max(count, 0)


def _upto(count: int) -> list[int]:
    return list(range(min(count, 10_000)))


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "index": _index,
    "slice": _slice,
    "len": lambda value: len(value),
    "print": lambda *values: "".join(map(go_text, values)),
    "println": lambda *values: " ".join(map(go_text, values)) + "\n",
    "printf": _printf,
    "default": lambda other, *value: value[0] if value and is_true(value[0]) else other,
    "empty": lambda value: not is_true(value),
    "coalesce": lambda *values: next((value for value in values if is_true(value)), None),
    "ternary": lambda yes, no, condition: yes if condition else no,
    "required": lambda text, value: value if value not in (None, "") else _fail(text),
    "fail": _fail,
    "lower": lambda text: str(text).lower(),
    "upper": lambda text: str(text).upper(),
    "title": lambda text: re.sub(r"(^|\s)(\S)", lambda one: one[1] + one[2].upper(), text),
    "trim": lambda text: str(text).strip(),
    "trimAll": lambda cut, text: str(text).strip(cut),
    "trimSuffix": lambda end, text: str(text).removesuffix(end),
    "trimPrefix": lambda start, text: str(text).removeprefix(start),
    "replace": _replace,
    "contains": lambda part, text: part in str(text),
    "hasPrefix": lambda start, text: str(text).startswith(start),
    "hasSuffix": lambda end, text: str(text).endswith(end),
    "quote": lambda *values: " ".join(_quoted(go_text(one)) for one in values if one is not None),
    "squote": lambda *values: " ".join(f"'{go_text(one)}'" for one in values if one is not None),
    "cat": lambda *values: " ".join(go_text(one) for one in values if one is not None),
    "nospace": lambda text: re.sub(r"\s", "", text),
    "indent": _indent,
    "nindent": lambda width, text: "\n" + _indent(width, text),
    "substr": _substr,
    "trunc": _trunc,
    "repeat": _repeat,
    "join": lambda sign, values: sign.join(map(go_text, _list_of(values))),
    "splitList": lambda sign, text: str(text).split(sign) if sign else list(str(text)),
    "split": lambda sign, text: {f"_{at}": part for at, part in enumerate(str(text).split(sign))},
    "toString": go_text,
    "toStrings": lambda values: [go_text(one) for one in _list_of(values)],
    "int": _int,
    "int64": _int,
    "atoi": _int,
    "float64": lambda value: float(value),
    "add": lambda *values: sum(map(_int, values)),
    "add1": lambda value: _int(value) + 1,
    "sub": lambda one, other: _int(one) - _int(other),
    "mul": lambda one, other: _int(one) * _int(other),
    "div": lambda one, other: int(_int(one) / _int(other)) if _int(other) else _fail("integer divide by zero"),
    "mod": lambda one, other: _int(one) % _int(other) if _int(other) else _fail("integer divide by zero"),
    "max": lambda *values: max(map(_int, values)),
    "min": lambda *values: min(map(_int, values)),
    "list": lambda *values: list(values),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "rest": lambda values: values[1:],
    "initial": lambda values: values[:-1],
    "append": lambda values, one: [*_list_of(values), one],
    "prepend": lambda values, one: [one, *_list_of(values)],
    "concat": lambda *lists: [one for values in lists for one in _list_of(values)],
    "has": lambda one, values: one in _list_of(values),
    "without": lambda values, *others: [one for one in _list_of(values) if one not in others],
    "uniq": lambda values: [one for at, one in enumerate(values) if one not in values[:at]],
    "compact": lambda values: [one for one in _list_of(values) if is_true(one)],
    "reverse": lambda values: values[::-1],
    "sortAlpha": lambda values: sorted(map(go_text, _list_of(values))),
    "until": _upto,
    "dict": _dict,
    "get": lambda value, key: value.get(key, ""),
    "hasKey": lambda value, key: key in value,
    "keys": lambda *values: [key for value in values for key in value],
    "values": lambda value: list(value.values()),
    "dig": lambda *keys: _dig(keys),
    "kindIs": lambda kind, value: _kind(value) == kind,
    "kindOf": lambda value: _kind(value),
    "toJson": _to_json,
    "toRawJson": lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
    "fromJson": lambda text: json.loads(text),
    "toYaml": _to_yaml,
    "fromYaml": _from_yaml,
    "fromYamlArray": _from_yaml,
    "b64enc": lambda text: base64.b64encode(str(text).encode()).decode(),
    "b64dec": lambda text: base64.b64decode(text).decode("utf-8", "replace"),
    "sha256sum": lambda text: hashlib.sha256(str(text).encode()).hexdigest(),
    "base": lambda path: str(path).rstrip("/").rpartition("/")[2] or ".",
    "dir": lambda path: str(path).rpartition("/")[0] or ".",
    "normalize": _normalize,
    "slugify": _slugify,
}
"""Every function that a template may call. Those that read the clock, the environment or chance are left out."""


def _dig(arguments: tuple[Any, ...]) -> Any:
    *keys, other, value = arguments
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return other
        value = value[key]
    return value


def _kind(value: Any) -> str:
    names = ((bool, "bool"), (int, "int"), (float, "float64"), (str, "string"), (Mapping, "map"), (list, "slice"))
    return next((name for kind, name in names if isinstance(value, kind)), "invalid")
