"""The table of a platform's quotas: every key at rest and at its peak, and what its limit does not let happen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.platform import Workload
from sim.headroom import MOST_STATES
from sim.placement import Placement
from sim.quotas.peaks import ALONE, Assumed, KeyPeaks, Peak, quota_peaks
from sim.quotas.rest import as_running
from sim.rollouts.start import ROLLED_KINDS
from sim.rollouts.verdict import RolloutVerdict, judge_rollouts

WANTED = 0.1
"""The share of a limit that should stay free at the peak; less is tight."""


@dataclass(frozen=True)
class Refusal:
    """A pod of a workload that would not be created again if it went now: the API server's sentence."""

    workload: str
    message: str


@dataclass(frozen=True)
class QuotaRow:
    """One key of one quota.

    ``over``: drivers whose use is above the limit, worst first; ``free``: share of the limit that is free at the peak,
    negative when it does not fit; ``verdict``: ``restart refused``, ``rollout stuck``, ``refused at peak``, ``tight``
    or ``fits``; ``why``: the sentence or the driver behind it.
    """

    peaks: KeyPeaks
    over: tuple[Peak, ...]
    free: float
    verdict: str
    why: str

    @property
    def bad(self) -> bool:
        """Whether something is refused."""
        return self.verdict not in ("fits", "tight")


@dataclass(frozen=True)
class QuotaView:
    """All quotas of a platform: rows (worst first), restarts that are refused, and rollouts that cannot finish."""

    rows: tuple[QuotaRow, ...]
    restarts: tuple[Refusal, ...]
    rollouts: tuple[RolloutVerdict, ...]

    @property
    def fine(self) -> bool:
        """Whether every quota lets everything happen."""
        return not (self.restarts or self.rollouts or any(row.bad for row in self.rows))


def view_quotas(placement: Placement, assumed: Assumed = ALONE) -> QuotaView:
    """Look at every quota of the placed platform, with all its pods running.

    On hardware that nobody named (:func:`sim.standing.boundless`) rollouts are judged by the quotas alone.
    """
    running = as_running(placement)
    restarts = tuple(restart_refusals(running))
    peaks = quota_peaks(running, assumed)
    rollouts = tuple(stuck_rollouts(running, peaks))
    rows = [_row(item, restarts, rollouts) for item in peaks]
    order = ("restart refused", "rollout stuck", "refused at peak", "tight", "fits")
    rows.sort(key=lambda row: (order.index(row.verdict), row.free, row.peaks.namespace, row.peaks.quota, row.peaks.key))
    return QuotaView(tuple(rows), restarts, rollouts)


def restart_refusals(running: Placement) -> Iterable[Refusal]:
    """Each workload of which a pod, gone and made again while all others run, is refused."""
    for workload in running.workloads:
        for pod in running.by_workload.get(workload.id, ()):
            message = pod.message
            if pod.state != "refused":
                ledger = running.ledger.copy()
                ledger.release(pod.key)
                message = ledger.try_admit(pod.manifest).message
            if message:
                yield Refusal(workload.id, message)
                break


def stuck_rollouts(running: Placement, peaks: Sequence[KeyPeaks]) -> Iterable[RolloutVerdict]:
    """The rollouts that quotas keep from finishing, or may: each alone, and those at once that make a key's peak.

    What only the nodes have no room for is not told here; pods that wait for a node are charged already.
    """
    for namespace in running.platform.quotas:
        here = [
            item
            for item in running.platform.workloads
            if item.namespace == namespace and item.controller in ROLLED_KINDS
        ]
        sets = [[item] for item in here]
        sets += _sets_at_once(here, [item for item in peaks if item.namespace == namespace])
        for chosen in sets:
            found = judge_rollouts(running, chosen, alone=True, simulate=False, states=MOST_STATES)
            if found.verdict in ("stuck", "may get stuck") and any(map(_by_api_server, found.reasons.values())):
                yield found


def _by_api_server(reason: str) -> bool:
    return "is forbidden: " in reason


def _sets_at_once(here: Sequence[Workload], peaks: Iterable[KeyPeaks]) -> list[list[Workload]]:
    by_id = {item.id: item for item in here}
    sets = {
        frozenset(extra.workload for extra in peak.extras)
        for item in peaks
        for peak in item.drivers
        if peak.driver == "rollout" and len(peak.extras) > 1
    }
    return [[by_id[name] for name in names] for names in sorted(sorted(item) for item in sets)]


def _row(item: KeyPeaks, restarts: Sequence[Refusal], rollouts: Sequence[RolloutVerdict]) -> QuotaRow:
    hard, peak = item.hard.nano, item.peak.use.nano
    # A limit of 0 forbids the thing on purpose: nothing is missing while nothing is used.
    free = (hard - peak) / hard if hard else float(not peak)
    over = tuple(driver for driver in item.drivers if driver.use > item.hard)
    refused = next((entry.message for entry in restarts if _names(entry.message, item, entry.workload)), "")
    stuck = next(
        (reason for entry in rollouts for name, reason in entry.reasons.items() if _names(reason, item, name)), ""
    )
    if refused:
        return QuotaRow(item, over, free, "restart refused", refused)
    if stuck:
        return QuotaRow(item, over, free, "rollout stuck", stuck)
    if over:
        return QuotaRow(item, over, free, "refused at peak", over[0].what)
    return QuotaRow(item, over, free, "tight" if free < WANTED and hard else "fits", item.peak.what)


def _names(message: str, item: KeyPeaks, workload: str) -> bool:
    """Whether a refusal of a workload's pod is by this key of this quota."""
    if not workload.partition(" ")[2].startswith(f"{item.namespace}/"):
        return False
    _, found, tail = message.partition(f"quota: {item.quota}")
    if not found or tail[:1] not in (",", ":"):
        return False
    # requested: requests.cpu=1,… and must specify limits.cpu for: a; requests.cpu for: b
    words = tail.split("used:")[0].replace(",", " ").replace(";", " ").replace("=", " ").split()
    return item.key in words
