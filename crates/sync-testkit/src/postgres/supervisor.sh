# Runs one PostgreSQL server for the process at the other end of standard input, and ends it with that process.
#
# usage: supervisor.sh FOLDER POSTGRES [ARGUMENT]...
#
# Prints the server's process id. A line on standard input names the signal to end the server with, and leaves the
# folder alone; the end of input ends the server at once and removes the folder. Exits when the server has ended.
# ABANDON_WITH names the signal for that, QUIT unless it is set.
# The server is this shell's own child until it is waited for, so its id can belong to nobody else.
folder=$1
shift
exec 3<&0 </dev/null

"$@" 3<&- >>"$folder/server.log" 2>&1 &
server=$!
(
    if read -r signal; then
        kill -s "$signal" "$server"
    else
        : >"$folder/abandoned"
        kill -s "${ABANDON_WITH:-QUIT}" "$server"
    fi
) <&3 >/dev/null 3<&- &
guard=$!
exec 3<&-
trap '' PIPE # the process may be gone already
echo "$server"

wait "$server"
kill "$guard" 2>/dev/null
if [ -e "$folder/abandoned" ]; then
    rm -rf "$folder"
fi
