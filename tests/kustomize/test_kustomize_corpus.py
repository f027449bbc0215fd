"""The feature corpus, the reference platform, and single features, against what `kubectl kustomize` v5.5 builds."""

from __future__ import annotations

from pathlib import Path

import pytest
from kustomize_golden import CASES, CORPUS, objects_in, oracle_command, oracle_output, root_of

from models.kustomize import build, is_kustomization_root

needs_oracle = pytest.mark.skipif(oracle_command() is None, reason="neither kubectl nor kustomize is on PATH")
PLATFORM = Path(__file__).parents[2] / "scenarios" / "homelab"
PLATFORM_ROOTS = sorted(
    path.parent.relative_to(PLATFORM).as_posix()
    for path in PLATFORM.rglob("kustomization.yaml")
    if "kind: Component" not in path.read_text(encoding="utf-8")
)


def built(root: Path, repository: Path) -> list[object]:
    return [item.manifest for item in build(root, repository=repository).objects]


@pytest.mark.parametrize("case", CASES)
def test_each_feature_builds_the_objects_that_kubectl_builds(case: str) -> None:
    expected = objects_in((CORPUS / case / "expected.yaml").read_text(encoding="utf-8"))
    assert built(root_of(case), CORPUS / case) == expected


@needs_oracle
@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES)
def test_the_expected_output_is_still_what_the_oracle_prints(case: str) -> None:
    expected = objects_in((CORPUS / case / "expected.yaml").read_text(encoding="utf-8"))
    assert objects_in(oracle_output(root_of(case))) == expected


@needs_oracle
@pytest.mark.oracle
@pytest.mark.parametrize("root", PLATFORM_ROOTS)
def test_each_root_of_the_reference_platform_builds_as_kubectl_builds_it(root: str) -> None:
    rendered = build(PLATFORM / root, repository=PLATFORM)
    if not rendered.complete:
        pytest.skip(f"kubectl cannot build it offline: {rendered.missing[0].what}")
    assert [item.manifest for item in rendered.objects] == objects_in(oracle_output(PLATFORM / root))


def test_every_object_knows_its_file_line_and_provenance() -> None:
    rendered = build(root_of("generators"), repository=CORPUS / "generators")
    places = {item.name.rpartition("-")[0] or item.name: item.origin for item in rendered.objects}
    assert (places["pod"].file, places["pod"].line, places["pod"].provenance) == ("base/pod.yaml", 1, "manifest")
    assert (places["settings"].file, places["settings"].line) == ("overlay/kustomization.yaml", 7)
    assert places["settings"].provenance == "generated"
    several = build(root_of("resources-files-and-directories"), repository=CORPUS)
    lines = {item.name: item.origin.line for item in several.objects if item.origin.file.endswith("many.yaml")}
    assert lines == {"sa": 4, "three": 11}
    listed = {item.name: item.origin.line for item in several.objects if item.origin.file.endswith("list.yaml")}
    assert listed == {"one": 4, "two": 7}


def test_building_twice_gives_the_same_objects() -> None:
    root, repository = root_of("prefix-and-suffix-follow-references"), CORPUS
    assert built(root, repository) == built(root, repository)


def test_a_root_is_a_directory_with_a_kustomization_file_of_any_of_the_three_names(tmp_path: Path) -> None:
    assert not is_kustomization_root(tmp_path)
    (tmp_path / "Kustomization").write_text("resources: []\n", encoding="utf-8")
    assert is_kustomization_root(tmp_path)


def test_a_thousand_objects_are_built_in_seconds(tmp_path: Path) -> None:
    document = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm-{0}\ndata:\n  a: '1'\n  b: text\n"
    (tmp_path / "all.yaml").write_text("---\n".join(document.format(n) for n in range(1000)), encoding="utf-8")
    (tmp_path / "kustomization.yaml").write_text(
        "namespace: ns\nnamePrefix: p-\ncommonLabels: {a: b}\nresources: [all.yaml]\n", encoding="utf-8"
    )
    rendered = build(tmp_path, repository=tmp_path)
    assert len(rendered.objects) == 1000
    assert rendered.objects[0].name == "p-cm-0"
