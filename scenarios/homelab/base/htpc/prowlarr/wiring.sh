#!/usr/bin/with-contenv bash
# Registers Sonarr and Radarr, so that indexers added here appear there.
(
  api="http://localhost:9696/api/v1"
  key="X-Api-Key: ${PROWLARR__AUTH__APIKEY}"
  until curl -fsS -H "$key" "$api/system/status" >/dev/null 2>&1; do sleep 5; done
  register() { # name url key
    curl -fsS -H "$key" "$api/applications" | grep -q "\"name\": \"$1\"" && return
    curl -fsS -H "$key" -H 'Content-Type: application/json' -X POST "$api/applications" -d '{
      "name": "'"$1"'", "syncLevel": "fullSync", "implementation": "'"$1"'", "configContract": "'"$1"'Settings",
      "fields": [
        {"name": "prowlarrUrl", "value": "'"$PROWLARR_SELF_URL"'"},
        {"name": "baseUrl", "value": "'"$2"'"},
        {"name": "apiKey", "value": "'"$3"'"}
      ]
    }'
  }
  register Sonarr "$SONARR_URL" "$SONARR_API_KEY"
  register Radarr "$RADARR_URL" "$RADARR_API_KEY"
) &
