#!/bin/sh
# Runs one server and ends it when the process that asked for it is gone.
#
#   sh -c "$(cat tether.sh)" upshot-tether FOLDER NAME GRACE EPHEMERAL COMMAND [ARGUMENT...]
#
# stdin   a pipe whose other end only our parent holds. Its closing, by the
#         parent's wish or by its death, is the order to end the server.
# stdout  the folder's locked file: the lock lasts as long as this shell.
# stderr  a pipe on which the parent reads the server's process id.
# GRACE   seconds between SIGTERM and SIGKILL.
# EPHEMERAL  "yes": nothing is worth saving, so kill at once and remove FOLDER.
set -u
# What the server writes is for this user alone.
umask 077
folder=$1 name=$2 grace=$3 ephemeral=$4
shift 4

exec 3<&0 </dev/null
rm -f "$folder/$name.exit"
"$@" >>"$folder/$name.log" 2>&1 3<&- &
server=$!
echo "$server" >&2
exec 2>/dev/null
# Signals meant for everything at once (a terminal, a service manager) must not
# end the watch before the server. Set after the fork: ignoring is inherited.
trap '' HUP INT TERM

gone() { # TENTHS: waits that long for the server to be reaped
    left=$1
    while kill -0 "$server"; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 0.05
        kill -0 "$server" || return 0
        sleep 0.05
    done
}

# The guard is a process of its own, so that the server is ended even when the
# shell that waits for it has been killed.
{
    read -r _ <&3
    trap '' USR1
    if [ "$ephemeral" != yes ]; then
        kill -TERM "$server"
        kill -CONT "$server" # a stopped process acts on no signal
        gone "$((grace * 10))"
    fi
    kill -KILL "$server"
    gone 50
    if [ "$ephemeral" = yes ]; then
        # The helpers of a killed server may write for a moment longer.
        rm -rf "$folder" || { sleep 0.2; rm -rf "$folder"; }
    fi
} &
guard=$!

wait "$server"
status=$?
[ ! -d "$folder" ] || echo "$status" >"$folder/$name.exit"
kill -USR1 "$guard" # a guard at work ignores it
wait "$guard"
# Whatever the server left behind in this process group ends with us.
kill -KILL 0
