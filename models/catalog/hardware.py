"""Machines and disks that home platforms run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import Field

from models.catalog.store import Entry, load_yaml

GB = 10**9


class Machine(Entry):
    """A machine of the hardware catalogue. Watts are at the wall; prices are second-hand hints in euro."""

    id: str = Field(description="key used in scenario files")
    name: str = Field(description="what it is sold as")
    form: str = Field(description="sbc, mini, nas, tower, rack or cloud")
    cpu: str = Field(description="processor")
    arch: str = Field(description="kubernetes.io/arch")
    cores: int = Field(description="physical cores")
    threads: int = Field(description="hardware threads: the CPU capacity that Kubernetes sees")
    mem_max_gb: float = Field(description="largest memory")
    mem_typical_gb: float = Field(description="memory it is usually bought with")
    disk_slots: tuple[str, ...] = Field(description="what it can hold")
    nic_gbps: tuple[float, ...] = Field(description="network ports, Gbit/s")
    idle_w: float = Field(description="idle power")
    load_w: float = Field(description="power with all cores busy")
    passmark_multi: int = Field(description="PassMark CPU Mark")
    passmark_single: int = Field(description="PassMark single thread")
    speed_single: float = Field(description="speed of one thread, 1.0 = PassMark single 2,000")
    ref_cores: float = Field(description="throughput of the whole machine in cores of an i5-8500T")
    hw_video: str = Field(description="hardware video encoder")
    ecc: bool = Field(description="ECC memory")
    remote_mgmt: str = Field(description="remote management")
    price_class: str = Field(description="free, low, mid or high")
    price_eur_hint: tuple[float, float] = Field(description="price range in euro (cloud: a month)")
    afr_whole_unit: float = Field(description="annual failure rate of the unit")
    confidence: dict[str, str] = Field(description="how sure each group of figures is")
    sources: dict[str, str] = Field(description="where each group of figures is from")
    hpl_gflops: float | None = Field(default=None, description="measured HPL result")
    notes: str = Field(default="", description="what else to know")

    @property
    def effective_cores(self) -> float:
        """Full-speed cores that together give the machine's throughput (hardware threads of one core share it)."""
        return self.ref_cores / self.speed_single


class DiskType(Entry):
    """A kind of disk. Bandwidths in MB/s, fsync in milliseconds (low, high)."""

    id: str
    type: str
    seq_read_mb_s: float
    seq_write_mb_s: float
    rand_read_iops: float
    rand_write_iops: float
    fsync_ms: tuple[float, float]
    afr: float
    confidence: str


class Encoder(Entry):
    """What a kind of hardware video encoder can do."""

    hw_video: str = Field(description="the machines' hw_video")
    sessions: int = Field(description="1080p transcodes at once in real time")
    source: str
    confidence: str


@dataclass(frozen=True)
class Hardware:
    """The hardware catalogue by key, with failure facts kept as they were written."""

    machines: Mapping[str, Machine]
    disks: Mapping[str, DiskType]
    failure_facts: Mapping[str, Mapping[str, Any]]
    encoders: Mapping[str, Encoder]

    def encoder_sessions(self, machine: Machine) -> int:
        """How many transcodes the machine's hardware encoder does at once; 0 without one."""
        found = self.encoders.get(machine.hw_video)
        return found.sessions if found is not None else 0


@cache
def load_hardware() -> Hardware:
    """The hardware catalogue that ships with the package."""
    data = load_yaml("hardware.yaml")
    return Hardware(
        machines={row["id"]: Machine.model_validate(row) for row in data["machines"]},
        disks={row["id"]: DiskType.model_validate(row) for row in data["disks"]},
        failure_facts={row["key"]: row for row in data["failure_facts"]},
        encoders={row["hw_video"]: Encoder.model_validate(row) for row in data["encoders"]},
    )
