"""A run ends early once every availability is known well enough."""

from __future__ import annotations

from pathlib import Path

import stowplan

ROOT = Path(__file__).resolve().parents[2]


def test_a_quiet_platform_needs_five_of_nine_replications_for_half_a_percent() -> None:
    study = stowplan.prepare(
        ROOT / "scenarios" / "staging.yaml",
        run__length="1m",
        run__warmUp="10s",
        run__replications=9,
        run__precision="0.5%",
    )
    assert len(stowplan.run(study).replications) == 5
