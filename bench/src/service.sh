# Runs one process and ends it when the bench is gone.
#
#   sh -c "$(cat service.sh)" upshot-bench-service COMMAND [ARGUMENT...]
#
# stdin   a pipe whose other end only the bench holds. Its closing, by the
#         bench's wish or by its death, is the order to end the process.
# stdout  a pipe on which the bench reads the process' id.
exec 3<&0 </dev/null
"$@" 3<&- >&2 &
process=$!
echo "$process"
exec >/dev/null
{
    read -r _ <&3
    kill -TERM "$process" 2>/dev/null
} &
wait "$process"
