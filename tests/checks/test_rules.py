"""Each rule speaks when its defect is there, of that defect alone, and keeps silent on the clean twin."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from check_cases import CASES, CLUSTERS, Case, clean, clean_findings, found, text_of

from models.findings import Finding
from models.render import render_tree
from sim.checks import OTHER_CODES, all_checks, codes
from sim.checks.look import Look
from sim.standing import stand

EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def chosen(case: Case) -> Finding:
    """The finding of the case's own rule that has the evidence."""
    own = [item for item in found(case) if item.code == case.code]
    return next((item for item in own if case.evidence in "\n".join(item.evidence)), own[0])


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_small_platform_is_clean_on_any_hardware(cluster: str) -> None:
    assert [(item.code, item.subject) for item in clean_findings(cluster)] == []


@EACH
def test_the_defect_and_nothing_else_is_found(case: Case) -> None:
    assert {(item.code, item.subject) for item in found(case)} == case.expected


@EACH
def test_the_finding_says_what_was_seen_and_where(case: Case) -> None:
    item = chosen(case)
    assert case.evidence in "\n".join(item.evidence)
    assert item.where.file == "all.yaml"
    assert item.where.line is not None
    assert item.where.field
    assert item.way_out
    if case.severity is not None:
        assert item.severity is case.severity


@EACH
def test_the_patch_makes_the_finding_go_away(case: Case, tmp_path: Path) -> None:
    item = chosen(case)
    assert bool(item.patch) is case.patched
    if not item.patch:
        return
    tree = clean()
    case.change(tree)
    (tmp_path / "all.yaml").write_text(text_of(tree), encoding="utf-8")
    patches = []
    for document in yaml.safe_load_all(item.patch):
        patches += document["patches"] if "patches" in document else [{"patch": yaml.safe_dump(document)}]
    kustomization = {"resources": ["all.yaml"], "patches": patches}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    look = Look(stand(render_tree(tmp_path), CLUSTERS[case.cluster]))
    rule = next(check for check in all_checks() if check.code == item.code)
    assert item.subject not in {other.subject for other in rule.findings(look)}


def test_every_rule_has_a_case() -> None:
    assert {check.code for check in all_checks()} - {case.code for case in CASES} == set()


def test_codes_are_unique_and_described() -> None:
    own = [check.code for check in all_checks()]
    assert len(own) == len(set(own))
    assert not set(own) & set(OTHER_CODES)
    assert all(codes().values())


def test_rules_about_nodes_are_silent_while_the_nodes_are_unknown() -> None:
    needing = {check.code for check in all_checks() if check.needs_hardware}
    silent = {
        item.code
        for case in CASES
        if case.code in needing
        for item in found(Case(case.name, case.change, case.expected, cluster="unknown"))
    }
    assert silent & needing == set()
