#!/bin/bash
# Takes a snapshot, waits until it can be used, and drops all but the newest $KEEP.
set -euo pipefail
name="$(kubectl create -f /scripts/snapshot.yaml -o name)"
kubectl -n utils wait "$name" --for=jsonpath='{.status.readyToUse}'=true --timeout=10m
kubectl -n utils get volumesnapshots -l home.example.org/schedule=nightly \
  --sort-by=.metadata.creationTimestamp -o name | head -n "-$KEEP" | xargs -r kubectl -n utils delete
