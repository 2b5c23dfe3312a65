#!/bin/sh
# Entry of every image: each file in /run/secrets whose name is that of a variable (capitals) becomes that variable, so
# that secrets stand in no compose file and no `docker inspect`. Then the command takes this process's place and gets its
# signals.
set -eu
for file in /run/secrets/[A-Z]*; do
  [ -f "$file" ] || continue
  export "$(basename "$file")=$(cat "$file")"
done
exec "$@"
