"""A killed run goes on where it was, and ends with the same results."""

from __future__ import annotations

from pathlib import Path

import pytest
import study_runs as runs

from sim.checkpoint import Checkpoints, study_key
from sim.study import Replication, Results, Study, run

QUICK = ("run.length=60s", "run.warmUp=10s", "run.replications=3", "run.engine=reference")


@pytest.fixture(scope="module")
def study() -> Study:
    return runs.study("baseline-day", *QUICK)


def values(results: Results) -> list[tuple]:
    return [(item.index, item.log, item.measures.outcomes.tolist(), item.pod_cpu) for item in results.replications]


class KilledError(Exception):
    pass


def test_a_killed_run_repeats_only_what_was_not_finished(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sim.study

    whole = run(study, survival=False)
    computed: list[int] = []
    real = sim.study.replicate

    def counted(given: Study, index: int) -> Replication:
        computed.append(index)
        return real(given, index)

    def die(done: int, _count: int) -> None:
        if done == 2:
            raise KilledError

    monkeypatch.setattr(sim.study, "replicate", counted)
    with pytest.raises(KilledError):
        run(study, survival=False, progress=die, checkpoints=Checkpoints.of(study, tmp_path))
    assert computed == [0, 1]
    resumed = run(study, survival=False, checkpoints=Checkpoints.of(study, tmp_path))
    assert computed == [0, 1, 2]
    assert values(resumed) == values(whole)


def test_a_half_written_replication_counts_as_none(study: Study, tmp_path: Path):
    kept = Checkpoints.of(study, tmp_path)
    kept.save(Replication(0, *_parts(study)))
    (file,) = tmp_path.rglob("*.pickle")
    file.write_bytes(file.read_bytes()[:100])
    assert kept.load(0) is None
    assert kept.load(1) is None


def test_another_seed_or_scenario_has_its_own_replications(study: Study):
    other = runs.study("baseline-day", *QUICK, "run.seed=99")
    assert study_key(study) == study_key(runs.study("baseline-day", *QUICK))
    assert study_key(study) != study_key(other)


def test_a_finished_run_leaves_nothing(study: Study, tmp_path: Path):
    kept = Checkpoints.of(study, tmp_path)
    run(study, survival=False, checkpoints=kept)
    assert list(tmp_path.rglob("*.pickle"))
    kept.discard()
    assert not list(tmp_path.rglob("*.pickle"))


def test_without_a_writable_cache_a_run_still_works(study: Study, tmp_path: Path):
    (tmp_path / "stowplan").write_text("a file where the folder should be")
    kept = Checkpoints.of(study, tmp_path)
    assert len(run(study, survival=False, checkpoints=kept).replications) == 3
    assert kept.load(0) is None


def _parts(study: Study) -> tuple:
    (first, *_) = run(study, survival=False).replications
    return first.log, first.measures, first.pod_cpu
