"""Secret values never leave the reader: keys stay, values go."""

from __future__ import annotations

from models.objects import KubeObject, Manifest

REDACTED = "**REDACTED**"

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def redact(item: KubeObject) -> KubeObject:
    """``item`` without the values of a core/v1 Secret, and without the copy that kubectl keeps in an annotation."""
    manifest = item.manifest
    written = item.metadata.get("annotations")
    annotations = written if isinstance(written, dict) else {}
    has_copy = _LAST_APPLIED in annotations
    if not is_secret(manifest) and not has_copy:
        return item
    cleaned: Manifest = dict(manifest)
    if is_secret(manifest):
        for field in ("data", "stringData"):
            values = manifest.get(field)
            if isinstance(values, dict):
                cleaned[field] = dict.fromkeys(values, REDACTED)
            elif values is not None:
                cleaned[field] = REDACTED
    if has_copy:
        cleaned["metadata"] = {**item.metadata, "annotations": {**annotations, _LAST_APPLIED: REDACTED}}
    return KubeObject(cleaned, item.origin)


def is_secret(manifest: Manifest) -> bool:
    """Whether the manifest is a core/v1 Secret, however its kind is capitalised."""
    return str(manifest.get("kind", "")).lower() == "secret" and "/" not in str(manifest.get("apiVersion", "v1"))
