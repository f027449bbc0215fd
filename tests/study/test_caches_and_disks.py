"""A lost cache and the disks behind databases and volumes, from the scenario file to the counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from small_studies import HOST, container, deployment, ingress, service, study

from models.catalog import load_hardware
from models.errors import InputError
from sim.program import DiskIo, Draw, Transfer, Wait
from sim.study import Study, replicate

ENGINES = pytest.mark.parametrize("engine", ["compiled", "reference"])

# ------------------------------------------------------------------------------------------------- caches

STACK: list[dict[str, Any]] = [
    deployment(
        "app",
        container(
            env=[{"name": "REDIS_HOST", "value": "redis"}, {"name": "DATABASE_HOST", "value": "db"}],
        ),
    ),
    service("app"),
    ingress("app"),
    deployment("redis", container("redis", "redis:7")),
    service("redis", 6379),
    deployment("db", container("db", "postgres:16")),
    service("db", 5432),
]
KILL = {
    "name": "redis dies",
    "type": "PodChaos",
    "action": "container-kill",
    "selector": {"workloads": ["Deployment/home/redis"]},
    "at": "1m",
    "duration": "1s",
}


def queries(folder: Path, length: str, *, killed: bool, engine: str = "auto") -> int:
    """Queries that reached the database, with 20 requests in a second, each of which looks twice into the cache."""
    prepared = study(
        folder,
        STACK,
        profiles={f"Deployment/home/{name}": {"startup": "0s", "cpuScale": 0.01} for name in ("app", "redis", "db")},
        traffic=[{"route": HOST, "source": "lan", "rate": "20/s"}],
        faults=[KILL] if killed else [],
        run={"length": length, "engine": engine},
    )
    found = replicate(prepared, 0).measures
    return sum(int(n) for name, n in zip(found.pod_names, found.pod_visits, strict=True) if name.startswith("home/db"))


@ENGINES
def test_a_killed_redis_costs_the_database_one_query_for_each_of_its_2000_things_and_recovers(
    tmp_path: Path, engine: str
) -> None:
    # A full cache answers 90 %; a cold one stores what it misses of those 90 %. After k look-ups it holds
    # 2000 * (1 - exp(-0.9 k / 2000)) things, each of which was one more query. 40 look-ups a second.
    for length, lookups in (("2m", 2400), ("10m", 21600)):
        extra = queries(tmp_path, length, killed=True, engine=engine) - queries(
            tmp_path, length, killed=False, engine=engine
        )
        missing = math.exp(-0.9 * lookups / 2000)
        spread = math.sqrt(2000 * missing * (1 - missing)) + 0.9 * math.sqrt(2 * lookups) * missing
        assert extra == pytest.approx(2000 * (1 - missing), abs=4.5 * spread + 2)


# ------------------------------------------------------------------------------------------------- disks


def database(folder: Path, disk: str, *volumes: dict[str, Any], **spec: Any) -> Study:
    """An app whose every request is one transaction of a PostgreSQL with a claim or other volumes."""
    nodes = [{"name": "one", "machine": "m920q", "role": "server", "disks": [{"type": disk, "size": "100GB"}]}]
    return study(
        folder,
        [deployment("db", container("db", "postgres:16"), volumes=list(volumes)), service("db"), ingress("db")],
        cluster={"nodes": nodes},
        profiles={"Deployment/home/db": {"startup": "0s"}},
        traffic=[{"route": HOST, "source": "lan", "rate": "1/s", "operations": [{"name": "write"}]}],
        **spec,
    )


def plan(prepared: Study) -> list[Any]:
    """What a write does."""
    return list(
        next(item for item in prepared.compiled.program.operations if item.name.endswith(" write")).instructions
    )


def station_disk(prepared: Study) -> tuple[str, float]:
    """Name and flush time of the disk of the database's pod."""
    station = prepared.compiled.station("Deployment home/db", "pod", "one")
    disk = prepared.compiled.program.disks[station.disk]
    return disk.name, disk.fsync


@pytest.mark.parametrize("disk", ["sdcard-a2", "nvme-consumer", "nvme-enterprise", "hdd-7200"])
def test_a_database_flushes_to_the_disk_of_its_node(tmp_path: Path, disk: str) -> None:
    low, high = load_hardware().disks[disk].fsync_ms
    prepared = database(tmp_path, disk)
    name, flush = station_disk(prepared)
    assert name == "disk one"
    assert flush == pytest.approx((low + high) / 2000.0)
    (access,) = [step for step in plan(prepared) if isinstance(step, DiskIo)]
    assert (access.disk, access.fsyncs) == (-1, 1.0)


def test_nfs_data_lies_on_the_nas_behind_the_lan(tmp_path: Path) -> None:
    volume = {"name": "data", "nfs": {"server": "10.0.0.9", "path": "/export"}}
    prepared = database(tmp_path, "nvme-consumer", volume)
    name, _ = station_disk(prepared)
    assert name == "disk 10.0.0.9"
    assert (
        "the data of Deployment home/db lies on 10.0.0.9 behind the LAN, on a disk like hdd-7200 (network.nas)"
        in prepared.compiled.program.assumptions
    )
    steps = plan(prepared)
    (at,) = [index for index, step in enumerate(steps) if isinstance(step, DiskIo)]
    assert steps[at - 1] == Wait(Draw(0.0003, "constant"))  # the round trip in the LAN


def test_what_is_uploaded_to_nfs_goes_over_the_network_card_of_the_node_first(tmp_path: Path) -> None:
    volume = {"name": "data", "nfs": {"server": "10.0.0.9", "path": "/export"}}
    manifests = [
        deployment("cloud", container("cloud", "nextcloud:30"), volumes=[volume]),
        service("cloud"),
        ingress("cloud"),
    ]
    program = study(tmp_path, manifests, traffic=[{"route": HOST, "source": "lan", "rate": "1/s"}]).compiled.program
    steps = next(item.instructions for item in program.operations if item.name.endswith(" upload"))
    (at,) = [index for index, step in enumerate(steps) if isinstance(step, DiskIo)]
    access = steps[at]
    assert isinstance(access, DiskIo)
    written = access.read_bytes + access.write_bytes
    assert written > 0.0
    assert steps[at - 1] == Transfer(Draw(written, "constant"), link=-1)


def test_a_claim_on_the_node_beside_nfs_media_keeps_the_database_on_the_node(tmp_path: Path) -> None:
    media = {"name": "media", "nfs": {"server": "10.0.0.9", "path": "/films"}}
    own = {"name": "data", "persistentVolumeClaim": {"claimName": "db"}}
    prepared = database(tmp_path, "nvme-consumer", own, media)
    assert station_disk(prepared)[0] == "disk one"


def test_a_node_that_serves_nfs_lends_its_own_disk(tmp_path: Path) -> None:
    volume = {"name": "data", "nfs": {"server": "one", "path": "/export"}}
    assert station_disk(database(tmp_path, "nvme-consumer", volume))[0] == "disk one"


def test_the_disk_of_the_nas_may_be_named_and_must_be_known(tmp_path: Path) -> None:
    volume = {"name": "data", "nfs": {"server": "nas", "path": "/export"}}
    fast = database(tmp_path, "nvme-consumer", volume, network={"nas": "nvme-enterprise"})
    slow = database(tmp_path, "nvme-consumer", volume)
    assert station_disk(fast)[1] < station_disk(slow)[1]
    with pytest.raises(InputError, match=r"spec\.network\.nas: 'floppy' is not a disk of the hardware catalogue"):
        database(tmp_path, "nvme-consumer", volume, network={"nas": "floppy"})


def test_a_write_waits_for_the_flush_of_an_sd_card_and_hardly_for_that_of_a_server_ssd(tmp_path: Path) -> None:
    def latency(disk: str) -> float:
        found = replicate(database(tmp_path, disk, run={"length": "20m"}), 0).measures
        return float(found.latency_sum.sum()) / int(found.outcomes[:, :2].sum())

    disks = load_hardware().disks
    flush = {name: sum(disks[name].fsync_ms) / 2000.0 for name in ("sdcard-a2", "nvme-enterprise")}
    gap = latency("sdcard-a2") - latency("nvme-enterprise")
    # One write a second: hardly a queue. The rest is bytes and seeks, less than a millisecond.
    assert gap == pytest.approx(flush["sdcard-a2"] - flush["nvme-enterprise"], rel=0.15)
