#!/usr/bin/with-contenv bash
# Registers qBittorrent as the download client and Prowlarr's feed address, once.
(
  api="http://localhost:8989/api/v3"
  key="X-Api-Key: ${SONARR__AUTH__APIKEY}"
  until curl -fsS -H "$key" "$api/system/status" >/dev/null 2>&1; do sleep 5; done
  if ! curl -fsS -H "$key" "$api/downloadclient" | grep -q '"name": "qbittorrent"'; then
    host="${QBITTORRENT_URL#http://}"
    curl -fsS -H "$key" -H 'Content-Type: application/json' -X POST "$api/downloadclient" -d '{
      "enable": true, "name": "qbittorrent", "protocol": "torrent", "priority": 1,
      "implementation": "QBittorrent", "configContract": "QBittorrentSettings",
      "fields": [
        {"name": "host", "value": "'"${host%%:*}"'"},
        {"name": "port", "value": '"${host##*:}"'},
        {"name": "username", "value": "admin"},
        {"name": "password", "value": "'"$QBITTORRENT_PASSWORD"'"},
        {"name": "tvCategory", "value": "tv"}
      ]
    }'
  fi
  # Prowlarr adds its indexers itself; this only tells the log when they cannot be asked.
  curl -fsS -o /dev/null "$PROWLARR_URL/ping" || echo "no answer from $PROWLARR_URL: searches will fail"
) &
