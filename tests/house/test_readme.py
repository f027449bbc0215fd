"""The README's commands and snippets work as written."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from models.scenario import Profile
from models.scenario_file import load_scenario

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _block(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)```", README, re.S)
    assert found is not None, mark
    return found[1].strip()


def _run(arguments: list[str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stowplan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=280, check=False)


def test_main_command_makes_an_environment_installs_and_runs_node_loss() -> None:
    make, install, run = (part.strip() for part in _block("main command").split("&&"))
    assert make == "python3 -m venv .venv"
    assert shlex.split(install)[:2] == [".venv/bin/pip", "install"]
    assert run == ".venv/bin/stowplan run scenarios/node-loss.yaml"


@pytest.mark.slow
def test_main_command_prints_a_verdict_and_writes_the_reports(tmp_path: Path) -> None:
    words = shlex.split(_block("main command").split("&&")[-1])
    done = _run([*words[1:], "-o", str(tmp_path / "report"), "--set", "run.replications=2"])
    assert done.returncode == 0, done.stderr
    assert "pods are placed on 3 nodes" in " ".join(done.stdout.split())
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written == {"report.html", "report.md", "report.json", "report.junit.xml", "tables"}


def test_test_command_is_what_ci_runs() -> None:
    assert _block("test command").endswith(".venv/bin/pytest -q")
    assert "test command" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_scenario_of_the_table_exists_and_every_scenario_is_in_the_table() -> None:
    table = README.partition("| scenario | question |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.M))
    assert named == {path.stem for path in (ROOT / "scenarios").glob("*.yaml")}


@pytest.mark.parametrize(
    "line",
    [
        line
        for line in README.splitlines()
        if line.startswith(("stowplan check", "stowplan place", "stowplan quota", "stowplan graph", "stowplan render"))
    ],
)
def test_readme_command_works_on_the_reference_platform(line: str, tmp_path: Path) -> None:
    words = shlex.split(line, comments=True)[1:]
    tree = str(ROOT / "scenarios" / "homelab" / "overlays" / "production")
    done = _run([tree if word == "path/to/tree" else word for word in words], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout or list(tmp_path.iterdir())


def test_the_call_plan_of_the_readme_is_one_of_the_shipped_scenario_in_short() -> None:
    (shown,) = [
        yaml.safe_load(part) for part in re.findall(r"```yaml\n(.*?)```", README, re.S) if part.startswith("profiles:")
    ]
    shipped = load_scenario(ROOT / "scenarios" / "own-app.yaml").scenario.spec.profiles
    for key, profile in shown["profiles"].items():
        short = Profile.model_validate(profile).operations[0]
        long = shipped[key].operations[0]
        assert short.steps[0] == long.steps[0]
        assert short.steps[1].cache is not None
        assert long.steps[1].cache is not None
        assert short.steps[1].cache.look_up == long.steps[1].cache.look_up
        assert short.steps[1].cache.miss[0] == long.steps[1].cache.miss[0]


def _python(number: int) -> str:
    """What the README's python snippet of this number prints."""
    snippets = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(snippets) == 2
    done = subprocess.run(
        [sys.executable, "-c", snippets[number]], capture_output=True, text=True, cwd=ROOT, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_notebook_snippet_runs() -> None:
    assert "nextcloud.home.example.org" in _python(0)


def test_the_engine_alone_takes_the_time_of_erlang_c_that_the_readme_tells() -> None:
    offered, clerks, mean = 0.45 * 5.0, 3, 5.0
    terms = [offered**number / math.factorial(number) for number in range(clerks + 1)]
    waiting = terms[-1] / (1.0 - offered / clerks)
    theory = mean + waiting / (sum(terms[:-1]) + waiting) * mean / (clerks - offered)
    assert f"Erlang C says {theory:.2f} s" in README
    found = re.fullmatch(r"([\d.]+) s, 0\.45 per second\n", _python(1))
    assert found is not None
    assert float(found[1]) == pytest.approx(theory, rel=0.02)  # four standard deviations: 0.5 % over eight seeds
