"""The bjw-s common library (chart app-template), versions 1 to 5: controllers, services, persistence, routes.

Verified against ``charts/library/common/templates`` of bjw-s-labs/helm-charts (and bjw-s/helm-charts before 4.0) and
against the literal expectations of its own unit tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from models.charts.apptemplate.names import Names, full_name
from models.charts.apptemplate.older import modern
from models.charts.apptemplate.release import Release
from models.charts.apptemplate.resources import resources
from models.charts.scope import Scope, merge_values
from models.objects import Manifest, dig

NEWEST = 5


def objects(scope: Scope, part: Mapping[str, Any]) -> Iterator[Manifest]:
    """The objects of one use of the library.

    ``part["app-template"]`` names the map of values ("" for all of them); ``merge`` lays that map over all the values,
    as charts that use the library once per component do; ``name`` is the component, ``hard`` what the chart fixes,
    ``library`` the library's major version, when it is not the chart's own.
    """
    path = str(part["app-template"])
    values: dict[str, Any] = dict(scope.values)
    own = scope.get(path) if path else None
    if part.get("merge"):
        values = merge_values(values, own if isinstance(own, dict) else {})
        # What the chart itself fixes gives way to what the values say.
        values = merge_values(scope.fill(part.get("hard") or {}), values)
    elif isinstance(own, dict):
        values = own
    major = int(part.get("library") or _major(str(scope.facts.get("version") or "")))
    if scope.facts.get("chart") == "app-template" and re.match(r"\D*0\.", str(scope.facts.get("version") or "")):
        # The few releases before 1.0 had the values of the first version.
        major = 1
    component = part.get("name")
    if component:
        values = {**values, "global": {**(dig(values, "global") or {}), "nameOverride": str(component)}}
    name, fullname = full_name(scope, values, str(scope.facts["release"]))
    values = modern(values, major, str(scope.facts["release"]))
    inner = Scope(values, {**scope.facts, "name": name, "fullname": fullname})
    always = bool(dig(values, "global", "alwaysAppendIdentifierToResourceName"))
    yield from resources(Release(inner, values, name, Names(inner, fullname, major, always)))


def _major(version: str) -> int:
    """The major version that a version or a range (``^4.1``, ``>= 3.0``) begins with; unknown is the newest."""
    found = re.search(r"\d+", version)
    return min(int(found[0]), NEWEST) if found and int(found[0]) else NEWEST
