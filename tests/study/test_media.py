"""Streams from the scenario file: encoder sessions of the hardware, software instead, refusals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from small_studies import HOST, container, deployment, route, service, study, traefik

from models.catalog import load_hardware
from sim.compile.media import may_encode
from sim.measures import EngineMeasures
from sim.program import Outcome
from sim.study import Study, replicate

ENGINES = pytest.mark.parametrize("engine", ["compiled", "reference"])
DEVICE = [{"name": "dri", "hostPath": {"path": "/dev/dri"}}]


def jellyfin(
    folder: Path,
    sessions: int | None,
    *,
    engine: str = "auto",
    profile: dict[str, Any],
    rate: str = "720/h",
    hours: int = 10,
    **pod: Any,
) -> Study:
    """A Jellyfin on one node; 720 transcodes an hour of 10 s each: two at a time in the mean."""
    node: dict[str, Any] = {"name": "one", "machine": "m920q", "role": "server"}
    if sessions is not None:
        node["encoderSessions"] = sessions
    stream = {"name": "film", "kind": "transcode", "rate": rate, "duration": "10s", "bitrate": "1Mbit/s"}
    return study(
        folder,
        [
            deployment("jellyfin", container("jellyfin", "jellyfin/jellyfin:10.9", **pod.pop("fields", {})), **pod),
            service("jellyfin"),
            route({"name": "jellyfin", "port": 80}),
            *traefik(),
        ],
        cluster={"nodes": [node]},
        profiles={"Deployment/home/jellyfin": profile},
        traffic=[{"route": HOST, "source": "lan", "streams": [stream]}],
        run={"length": f"{hours}h", "engine": engine},
    )


def shares(found: EngineMeasures) -> tuple[int, dict[Outcome, float]]:
    """Streams that ended, and the share of each outcome."""
    total = int(found.outcomes.sum())
    return total, {item: int(found.outcomes[:, item].sum()) / total for item in Outcome}


@ENGINES
def test_two_sessions_for_two_erlangs_refuse_four_in_ten(tmp_path: Path, engine: str) -> None:
    # Erlang B with 2 servers and 2 erlangs: (2^2 / 2) / (1 + 2 + 2) = 0.4.
    profile = {"withoutEncoder": "refuse"}
    total, share = shares(replicate(jellyfin(tmp_path, 2, engine=engine, profile=profile, volumes=DEVICE), 0).measures)
    assert total == pytest.approx(7200, abs=4.5 * math.sqrt(7200))
    # Refusals come in clumps: twice the variance of independent ones is a generous bound.
    assert share[Outcome.REFUSED] == pytest.approx(0.4, abs=4.5 * math.sqrt(2 * 0.24 / 7200))
    assert share[Outcome.DEGRADED] == 0.0


@ENGINES
def test_what_finds_no_session_is_transcoded_in_software_and_degraded(tmp_path: Path, engine: str) -> None:
    # What goes on in software holds no session, so that Erlang B is the share again.
    _, share = shares(replicate(jellyfin(tmp_path, 2, engine=engine, profile={}, volumes=DEVICE), 0).measures)
    assert share[Outcome.DEGRADED] == pytest.approx(0.4, abs=4.5 * math.sqrt(2 * 0.24 / 7200))
    assert share[Outcome.REFUSED] == 0.0


def test_software_takes_fifteen_times_the_cores_of_the_encoder(tmp_path: Path) -> None:
    # Half an erlang and one session: Erlang B is 0.5 / 1.5 = 1/3. Cores: 0.5 * (2/3 * 0.2 + 1/3 * 3) = 0.5667.
    # 18000 streams, 6000 of them in software for an exponential time: standard error sqrt(2 / 6000) = 1.8 %.
    prepared = jellyfin(tmp_path, 1, profile={"idleCpu": "0"}, rate="180/h", hours=100, volumes=DEVICE)
    found = replicate(prepared, 0).measures
    used = sum(cpu for name, cpu in zip(found.pod_names, found.pod_cpu_s, strict=True) if "jellyfin" in name) / 360e3
    assert used == pytest.approx(0.5667, rel=4.5 * 0.018)


def test_a_pod_without_a_device_transcodes_in_software_and_says_so(tmp_path: Path) -> None:
    prepared = jellyfin(tmp_path, 2, profile={})
    _, share = shares(replicate(prepared, 0).measures)
    assert share[Outcome.SERVED] == 1.0
    told = [line for line in prepared.compiled.program.assumptions if "in software" in line]
    assert told == [
        "Deployment home/jellyfin transcodes in software: it asks for no GPU and mounts no device of an encoder"
    ]


def test_the_sessions_of_a_node_are_the_catalogues_unless_the_scenario_knows_better(tmp_path: Path) -> None:
    (pool,) = jellyfin(tmp_path, None, profile={}, volumes=DEVICE).compiled.program.pools
    assert (pool.name, pool.capacity) == ("encoder one", 4.0)
    assert jellyfin(tmp_path, 0, profile={}, volumes=DEVICE).compiled.program.pools == ()


@pytest.mark.parametrize(
    ("fields", "pod", "sees"),
    [
        ({}, {}, False),
        ({"resources": {"limits": {"gpu.intel.com/i915": "1"}}}, {}, True),
        ({"resources": {"limits": {"nvidia.com/gpu": 1}}}, {}, True),
        ({"resources": {"limits": {"gpu.intel.com/i915": "0"}}}, {}, False),
        ({"securityContext": {"privileged": True}}, {}, True),
        ({}, {"volumes": [{"name": "dri", "hostPath": {"path": "/dev/dri/renderD128"}}]}, True),
        ({}, {"volumes": [{"name": "media", "hostPath": {"path": "/mnt/media"}}]}, False),
    ],
)
def test_who_sees_an_encoder(tmp_path: Path, fields: dict[str, Any], pod: dict[str, Any], sees: bool) -> None:
    prepared = jellyfin(tmp_path, 2, profile={}, fields=fields, **pod)
    assert may_encode(prepared.platform.workload_by_id["Deployment home/jellyfin"]) is sees


def test_every_encoder_of_the_machines_is_in_the_catalogue_or_cannot_encode() -> None:
    hardware = load_hardware()
    kinds = {machine.hw_video for machine in hardware.machines.values()}
    assert kinds - set(hardware.encoders) == {"none", "v4l2 decode only"}
    assert hardware.encoder_sessions(hardware.machines["m920q"]) == 4
