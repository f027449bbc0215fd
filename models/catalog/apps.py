"""What apps demand: CPU per request, memory, start-up, what they call. Profiles are chosen by image or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal

from pydantic import Field

from models.catalog.store import Entry, load_yaml


class CallProfile(Entry):
    """A call that an operation makes. ``to`` is a role (database, cache) or a pattern of workload names."""

    to: str
    operation: str | None = Field(default=None, description="operation of the called app; default: its first")
    count: int = Field(default=1, ge=1, description="calls per request, one after the other")
    probability: float = Field(default=1.0, gt=0, le=1, description="share of requests that make them")
    soft: bool = Field(default=False, description="a failure degrades the answer instead of failing it")
    asynchronous: bool = Field(default=False, description="the request does not wait for it")
    hit_ratio: float | None = Field(
        default=None, ge=0, le=1, description="share of look-ups that a full cache answers; none: it holds no copies"
    )
    miss_calls: int = Field(default=1, ge=1, description="calls of the database that a look-up costs when it misses")
    working_set: int = Field(default=2000, ge=1, description="things that the cache holds when it is full")


class OperationProfile(Entry):
    """One kind of request: work in the app's own container, what it reads and sends, what it calls."""

    name: str
    weight: float = Field(default=1.0, gt=0, description="share in the app's default mix")
    cpu_ms: float = Field(default=0.0, ge=0, description="CPU work on a core of speed 1.0, mean")
    wait_ms: float = Field(default=0.0, ge=0, description="waiting without CPU, mean")
    request_kb: float = Field(default=1.0, ge=0, description="body sent to the app")
    reply_kb: float = Field(default=10.0, ge=0, description="body sent back")
    disk_kb: float = Field(default=0.0, ge=0, description="read from or written to the app's volume")
    fsync: int = Field(default=0, ge=0, description="flushes waited for")
    calls: tuple[CallProfile, ...] = ()


class StreamProfile(Entry):
    """Cores held by one stream."""

    direct_cores: float = 0.03
    transcode_cores: float = 3.0
    transcode_hw_cores: float = 0.2
    without_encoder: Literal["software", "refuse"] = Field(
        default="software", description="a transcode that finds no encoder session: in software, or refused (assumed)"
    )


class AppProfile(Entry):
    """Planning numbers for one app."""

    name: str
    role: Literal["app", "proxy", "auth", "database", "cache", "ml", "system", "sidecar"]
    images: tuple[str, ...] = Field(default=(), description="image repositories, shell patterns, no registry, no tag")
    names: tuple[str, ...] = Field(default=(), description="workload names, shell patterns, used when no image matches")
    idle_cpu_m: int = Field(description="CPU at rest, millicores per pod")
    idle_mem_mib: int = Field(description="memory at rest, MiB per pod")
    busy_cpu_m: int = Field(description="CPU under load, millicores per pod")
    busy_mem_mib: int = Field(description="memory under load, MiB per pod")
    workers: int = Field(default=0, ge=0, description="requests served at once per pod; 0: no bound")
    startup_s: float = Field(ge=0, description="container start to ready")
    image_mb: float = Field(ge=0, description="compressed image size")
    mem_per_request_mib: float = Field(default=0.0, ge=0, description="memory that a request in flight adds")
    mem_growth_mib_per_h: float = Field(default=0.0, ge=0, description="memory that a pod gains per hour (a leak)")
    operations: tuple[OperationProfile, ...] = ()
    streams: StreamProfile | None = None
    ref: str = Field(default="", description="key of the fact behind the demand")
    confidence: str = Field(description="measured, high, medium, derived or assumed")


@dataclass(frozen=True)
class Apps:
    """The app catalogue: profiles in order of preference and the facts behind them."""

    profiles: tuple[AppProfile, ...]
    facts: Mapping[str, Mapping[str, Any]]

    def by_name(self, name: str) -> AppProfile | None:
        """The profile of that name."""
        return next((profile for profile in self.profiles if profile.name == name), None)

    def for_image(self, image: str) -> AppProfile | None:
        """The profile whose image patterns match ``image`` (registry, tag and digest are ignored)."""
        repository = image_repository(image)
        return next((p for p in self.profiles if any(fnmatchcase(repository, pattern) for pattern in p.images)), None)

    def for_container(self, image: str, workload_name: str) -> AppProfile:
        """The profile for a container: by image, else by the workload's name, else ``unknown``."""
        found = self.for_image(image) or next(
            (p for p in self.profiles if any(fnmatchcase(workload_name, pattern) for pattern in p.names)), None
        )
        return found or self.unknown

    def for_workload(self, containers: Sequence[Mapping[str, Any]], workload_name: str) -> AppProfile:
        """The profile of a whole pod: that of its first container that is an app rather than a sidecar."""
        profiles = [self.for_container(str(c.get("image") or ""), workload_name) for c in containers]
        known = [p for p in profiles if p.role != "sidecar" and p.name != "unknown"]
        return (known or [p for p in profiles if p.role != "sidecar"] or profiles or [self.unknown])[0]

    @property
    def unknown(self) -> AppProfile:
        """What is assumed of an app that the catalogue does not know."""
        return self.profiles[-1]


def image_repository(image: str) -> str:
    """``ghcr.io/immich-app/immich-server:v2@sha256:…`` -> ``immich-app/immich-server``."""
    name = image.partition("@")[0]
    head, _, last = name.rpartition("/")
    last = last.partition(":")[0]
    first, slash, rest = head.partition("/")
    if "." in first or ":" in first or first == "localhost":
        head = rest if slash else ""
    return f"{head}/{last}" if head else last


@cache
def load_apps() -> Apps:
    """The app catalogue that ships with the package."""
    data = load_yaml("apps.yaml")
    profiles = tuple(AppProfile.model_validate(row) for row in data["profiles"])
    if profiles[-1].name != "unknown":
        raise ValueError("the last profile of apps.yaml must be 'unknown'")
    return Apps(profiles, {row["key"]: row for row in data["facts"]})
