"""Which workloads keep their data on network storage (NFS, SMB, iSCSI), and on whose disk it lies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from models.objects import Manifest, dig
from models.platform import Platform, Workload
from sim.platform.storage import network_source

SHARED = re.compile(r"(^|[^a-z])(nfs|smb|cifs|iscsi)([^a-z]|$)")
"""Provisioners of network storage by name: nfs.csi.k8s.io, smb.csi.k8s.io, nfs-subdir-external-provisioner."""

UNNAMED = "NAS"


def data_servers(platform: Platform) -> dict[str, str]:
    """The server that holds the data of a workload, by workload id; workloads with data on a node are left out.

    An app with a claim on a node as well as network storage is taken to keep its database and settings on the node.
    """
    found: dict[str, str] = {}
    for workload in platform.workloads:
        places = list(_places(platform, workload))
        if places and all(places):
            found[workload.id] = places[0]
    return found


def _places(platform: Platform, workload: Workload) -> Iterator[str]:
    """The server of every volume that outlives the pod, "" for one on a node."""
    claims: dict[str, Manifest] = {
        f"{claim.namespace}/{claim.name}": dict(claim.manifest) for claim in platform.claims if claim.namespace
    }
    for volume in workload.pod_spec.get("volumes") or ():
        if name := dig(volume, "persistentVolumeClaim", "claimName"):
            claim = claims.get(f"{workload.namespace}/{name}")
            yield _server_of(platform, claim) if claim is not None else ""
        elif server := network_source(volume):
            yield server
    for template in workload.claim_templates:
        yield _server_of(platform, dict(template))


def _server_of(platform: Platform, claim: Manifest) -> str:
    named = dig(claim, "spec", "volumeName")
    volumes = {item.name: item.manifest for item in platform.by_kind("PersistentVolume", "")}
    if named in volumes:
        return network_source(dict(volumes[named]["spec"]))
    classes: Mapping[str, Manifest] = {
        item.name: dict(item.manifest) for item in platform.by_kind("StorageClass", "storage.k8s.io")
    }
    chosen = classes.get(str(dig(claim, "spec", "storageClassName", default="")), {})
    if not SHARED.search(str(chosen.get("provisioner") or "")):
        return ""
    return str(dig(chosen, "parameters", "server", default="") or UNNAMED)
