"""The scheduler of Kubernetes 1.33 as pure functions: filters, scores, preemption, and their messages.

``Snapshot.of(nodes, pods, …)`` describes a cluster, ``schedule_pod(pod, snapshot)`` decides, and
``snapshot.with_pod(pod, node)`` gives the cluster after binding.
"""

from models.scheduler.daemonset import daemonset_pod
from models.scheduler.decision import Decision, Score, TieBreaker
from models.scheduler.profile import Profile
from models.scheduler.provision import local_path_volume, with_bindings
from models.scheduler.schedule import schedule_pod
from models.scheduler.snapshot import Snapshot
from models.scheduler.volumes import Binding

__all__ = [
    "Binding",
    "Decision",
    "Profile",
    "Score",
    "Snapshot",
    "TieBreaker",
    "daemonset_pod",
    "local_path_volume",
    "schedule_pod",
    "with_bindings",
]
