#!/bin/bash
# Dumps $PGDATABASE from $PGHOST and drops what is older than $KEEP_DAYS days. A half-written dump never gets the
# name of a whole one.
set -euo pipefail
directory="/dumps/$PGDATABASE"
mkdir -p "$directory"
target="$directory/$(date -u +%Y-%m-%dT%H%M%SZ).dump"
pg_dump --format=custom --compress=6 --no-owner --file="$target.part"
pg_restore --list "$target.part" >/dev/null
mv "$target.part" "$target"
find "$directory" -name '*.dump' -mtime "+$KEEP_DAYS" -delete
find "$directory" -name '*.part' -mtime +1 -delete
