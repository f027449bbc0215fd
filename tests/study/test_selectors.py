"""Selectors that match nothing are found before a run, with what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

import stowplan

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"labelSelectors": {"app": "nowhere"}}, "no pods of this platform has the labels app=nowhere"),
        ({"nodeSelectors": {"disk": "tape"}}, "no node of this platform has the labels disk=tape"),
        ({"external": ["cloudflair"]}, "'cloudflair' is no outside system of this platform"),
        ({"nodes": ["mini-9"]}, "'mini-9' is no node of this platform"),
    ],
)
def test_a_selector_that_matches_nothing_is_refused(selector: dict[str, object], expected: str) -> None:
    fault = {"name": "f", "type": "PodChaos", "action": "pod-kill", "selector": selector, "at": "1m"}
    with pytest.raises(stowplan.InputError) as error:
        stowplan.prepare(ROOT / "scenarios" / "node-loss.yaml", faults=[fault])
    assert expected in str(error.value)


def test_the_near_match_of_an_outside_system_is_named() -> None:
    fault = {"name": "f", "type": "NetworkChaos", "action": "partition", "selector": {"external": ["cloudflair"]}}
    with pytest.raises(stowplan.InputError, match="did you mean 'cloudflare'"):
        stowplan.prepare(ROOT / "scenarios" / "node-loss.yaml", faults=[{**fault, "at": "1m"}])
