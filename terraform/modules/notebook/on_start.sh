#!/bin/bash
# Looks every five minutes whether the notebook has been idle for ${idle_stop_minutes} minutes, and stops it then.
set -euo pipefail

cat >/usr/local/bin/idle_stop.py <<'PROGRAM'
${program}PROGRAM

echo '*/5 * * * * root /usr/bin/python3 /usr/local/bin/idle_stop.py ${idle_stop_minutes} 2>&1 | logger -t idle_stop' >/etc/cron.d/idle_stop
