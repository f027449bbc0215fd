#!/bin/sh
# Starts the app and, once it is configured, keeps Sonarr and Radarr registered. People log in with their Jellyfin
# account: without Jellyfin nobody gets in.
(
  api="http://localhost:5055/api/v1"
  until wget -q -O /dev/null "$api/status"; do sleep 5; done
  wget -q -O /dev/null "$JELLYFIN_URL/health" || echo "no answer from $JELLYFIN_URL: nobody can log in"
  for app in sonarr radarr; do
    url=$(eval echo "\$$(echo "$app" | tr '[:lower:]' '[:upper:]')_URL")
    key=$(eval echo "\$$(echo "$app" | tr '[:lower:]' '[:upper:]')_API_KEY")
    wget -q -O - --header "X-Api-Key: $API_KEY" "$api/settings/$app" | grep -q '"hostname"' && continue
    address="${url#http://}"
    wget -q -O /dev/null --header "X-Api-Key: $API_KEY" --header 'Content-Type: application/json' --post-data "{
      \"name\": \"$app\", \"hostname\": \"${address%%:*}\", \"port\": ${address##*:}, \"apiKey\": \"$key\",
      \"useSsl\": false, \"activeProfileId\": 4, \"activeProfileName\": \"HD-1080p\",
      \"activeDirectory\": \"/data/$app\", \"is4k\": false, \"isDefault\": true
    }" "$api/settings/$app"
  done
) &
exec npm start
