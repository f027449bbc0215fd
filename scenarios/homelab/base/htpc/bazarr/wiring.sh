#!/usr/bin/with-contenv bash
# Subtitles for what Sonarr and Radarr have: addresses and keys, through Bazarr's own settings form.
(
  api="http://localhost:6767/api/system/settings"
  key="X-API-KEY: ${BAZARR_API_KEY}"
  until curl -fsS -H "$key" "$api" >/dev/null 2>&1; do sleep 5; done
  sonarr="${SONARR_URL#http://}"
  radarr="${RADARR_URL#http://}"
  curl -fsS -H "$key" -X POST "$api" \
    --data-urlencode "settings-general-use_sonarr=true" \
    --data-urlencode "settings-sonarr-ip=${sonarr%%:*}" \
    --data-urlencode "settings-sonarr-port=${sonarr##*:}" \
    --data-urlencode "settings-sonarr-apikey=${SONARR_API_KEY}" \
    --data-urlencode "settings-general-use_radarr=true" \
    --data-urlencode "settings-radarr-ip=${radarr%%:*}" \
    --data-urlencode "settings-radarr-port=${radarr##*:}" \
    --data-urlencode "settings-radarr-apikey=${RADARR_API_KEY}"
) &
