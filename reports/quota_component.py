"""Proposed quotas as a Kustomize component: one folder per namespace, and one component that takes them all.

Every number carries a comment with what made it. A quota that the tree has already is patched, since a second one
would leave the first in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.errors import InputError, Problem, Where
from models.rules.quantity import Quantity
from sim.quotas.defaults import Defaults
from sim.quotas.suggest import Limit, Proposal, QuotaProposal

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
KUSTOMIZATION = "kustomization.yaml"
_MARK = "# Made by stowplan quota --suggest.\n"


def component_files(proposal: Proposal) -> dict[str, str]:
    """Path inside the component to content, in a fixed order."""
    spaces = sorted({item.namespace for item in proposal.quotas} | {item.namespace for item in proposal.defaults})
    files = {KUSTOMIZATION: _MARK + COMPONENT + "components:\n" + "".join(f"  - {space}\n" for space in spaces)}
    for space in spaces:
        quotas = [item for item in proposal.quotas if item.namespace == space]
        defaults = [item for item in proposal.defaults if item.namespace == space]
        files.update({f"{space}/{name}": text for name, text in _namespace(proposal, quotas, defaults).items()})
    return files


def write_component(proposal: Proposal, folder: Path) -> list[Path]:
    """Write the component; returns its files. Raises InputError when the folder holds something else."""
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or _is_ours(folder))):
        what = "is a file" if not folder.is_dir() else "exists and is no component of this tool"
        raise InputError(
            Problem(Where(str(folder)), f"{what}; it is left as it is", "name another folder with -o, or remove it")
        )
    written = []
    for name, text in component_files(proposal).items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            problem = Problem(Where(str(path)), f"cannot be written: {error.strerror}", "name another folder with -o")
            raise InputError(problem) from error
        written.append(path)
    return written


def _is_ours(folder: Path) -> bool:
    try:
        return (folder / KUSTOMIZATION).read_text(encoding="utf-8").startswith(_MARK)
    except (OSError, ValueError):
        return False


def _namespace(proposal: Proposal, quotas: Iterable[QuotaProposal], defaults: Iterable[Defaults]) -> dict[str, str]:
    files: dict[str, str] = {}
    resources: list[str] = []
    patches: list[str] = []
    for quota in quotas:
        name = "resource-quota.yaml" if quota.name == quota.namespace else f"resource-quota-{quota.name}.yaml"
        files[name] = quota_text(proposal, quota)
        if quota.present is None:
            resources.append(f"  - {name}\n")
        else:
            same = sum(item.name == quota.name and item.present is not None for item in proposal.quotas) > 1
            place = f"      namespace: {quota.namespace}\n" if same else ""
            patches.append(
                f"  - path: {name}\n    target:\n      kind: ResourceQuota\n      name: {quota.name}\n{place}"
            )
    for item in defaults:
        files["limit-range.yaml"] = limit_range_text(item)
        resources.append("  - limit-range.yaml\n")
    text = _MARK + COMPONENT
    text += f"resources:\n{''.join(resources)}" if resources else ""
    text += f"patches:\n{''.join(patches)}" if patches else ""
    return {KUSTOMIZATION: text, **files}


def quota_text(proposal: Proposal, quota: QuotaProposal) -> str:
    """The ResourceQuota (or the patch of the present one), each limit with what made it."""
    place = "" if quota.present is not None else f"  namespace: {quota.namespace}\n"
    hard = "".join(f'    {item.key}: "{item.hard}" # {made_by(proposal, item)}\n' for item in quota.limits)
    margin = percent(proposal)
    return (
        f"# The largest use of each key plus a margin of {margin}.\n"
        f"apiVersion: v1\nkind: ResourceQuota\nmetadata:\n  name: {quota.name}\n{place}spec:\n  hard:\n{hard}"
    )


def limit_range_text(defaults: Defaults) -> str:
    """The LimitRange, each value with the containers that get it."""
    lines = ""
    for side, amounts in (("default", defaults.default), ("defaultRequest", defaults.default_request)):
        if amounts:
            lines += f"      {side}:\n"
            lines += "".join(_default_line(defaults, side, key, amount) for key, amount in sorted(amounts.items()))
    return (
        f"apiVersion: v1\nkind: LimitRange\nmetadata:\n  name: {defaults.name}\n  namespace: {defaults.namespace}\n"
        f"spec:\n  limits:\n    - type: Container\n{lines}"
    )


def made_by(proposal: Proposal, limit: Limit) -> str:
    """What made a limit: use at rest, the peak and its driver, the margin."""
    text = f"{limit.peak.use} {limit.peak.what}"
    if limit.peak.driver != "rest":
        text = f"{limit.rest} at rest, {limit.peak.use} with the {limit.peak.what}"
        text = text.replace("with the runs", "with runs").replace("with the Jobs", "with Jobs")
        text = text.replace("with the autoscalers", "with autoscalers").replace("with the rollouts", "with rollouts")
    return f"{text}; + {percent(proposal)}" if proposal.margin and limit.hard else text


def percent(proposal: Proposal) -> str:
    """The margin as people write it."""
    return f"{float(proposal.margin * 100):g}%"


def _default_line(defaults: Defaults, side: str, key: str, amount: Quantity) -> str:
    return f'        {key}: "{amount}" # {defaults.why.get((side, key), "")}\n'
