#!/bin/sh
# What an embedded machine has in place of the commands that switch it off, and of those that need a system. It writes
# a request for the embedded cloud, and nothing else: this computer is never touched.
PATH=$PATH:/usr/bin:/bin # where a script has none
disk=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
name=$(basename "$0")

request() { # what, and in how many seconds
    echo "$1 $(($(date +%s) + $2))" >"$disk/power.new" && mv "$disk/power.new" "$disk/power"
}

refuse() {
    echo "$name: $1" >&2
    exit 1
}

case $name in
sudo) # commands are root's on a real machine, and have this computer's user here
    while [ "$1" = -n ] || [ "$1" = -E ] || [ "$1" = -H ]; do shift; done
    case $1 in "" | -*) refuse "the embedded machine knows sudo [-n] [-E] [-H] command, not $*" ;; esac
    own="$disk/usr/sbin/$(basename "$1")"
    if [ -e "$own" ]; then
        shift
        exec "$own" "$@"
    fi
    exec "$@"
    ;;
poweroff | halt) request off 0 ;;
reboot) request reboot 0 ;;
shutdown)
    what=off when=+1
    for word in "$@"; do
        case $word in
        -c)
            rm -f "$disk/power"
            exit 0
            ;;
        -r | --reboot) what=reboot ;;
        -*) ;;
        *)
            when=$word
            break # a message for the people at its terminals follows
            ;;
        esac
    done
    [ "$when" != now ] || when=+0
    minutes=${when#+}
    case $minutes in
    "" | *[!0-9]*) refuse "the embedded machine knows now and +minutes, not $when" ;;
    esac
    request "$what" "$((minutes * 60))"
    ;;
*) refuse "the embedded machine has no system for it" ;;
esac
