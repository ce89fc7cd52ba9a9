# Sourced by scripts/kafka, scripts/redis and scripts/fleet: one server in the background, in its own folder.
# The folder, $state, holds the server's pid, its ports, its log and its data.
# shellcheck shell=bash

: "${state:?must be set before this file is sourced}"

# A port that nobody listens on, below those that the system gives to outgoing connections.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! listens "$port"; then
      echo "$port"
      return
    fi
  done
}

listens() {
  (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Prints the ports of the last start if they are still free, so that a configuration goes on
# working; else as many new ones as asked for. One line, in the order in which they were chosen.
choose_ports() {
  local count=$1 port ports=()
  if [ -s "$state/ports" ]; then
    read -r -a ports <"$state/ports"
    for port in "${ports[@]}"; do
      if listens "$port"; then
        ports=()
        break
      fi
    done
  fi
  while [ "${#ports[@]}" -lt "$count" ]; do
    ports+=("$(free_port)")
  done
  echo "${ports[*]}" | tee "$state/ports"
}

# True while the server that was started here lives. A pid may have been given to somebody else
# since, so the process's command line has to name the folder, as each server's does.
running() {
  local pid
  [ -s "$state/pid" ] || return 1
  pid=$(cat "$state/pid")
  command_line "$pid" | grep --quiet --fixed-strings -- "$state"
}

command_line() {
  if [ -d /proc/self ]; then
    tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" || :
  else
    ps -o args= -p "$1" || :
  fi
}

# launch COMMAND…: in the background, not ended with the terminal.
launch() {
  : >"$state/log"
  nohup "$@" >>"$state/log" 2>&1 </dev/null &
  echo "$!" >"$state/pid"
}

# await_line TEXT SECONDS: until the log has it. If the server that was just launched ends first, or
# time is up, shows the end of the log and fails. `running` would not do: between fork and exec the
# new process still has this script's command line.
await_line() {
  local deadline=$((SECONDS + $2))
  until grep --quiet --fixed-strings -- "$1" "$state/log"; do
    if ! jobs -r -p | grep --quiet --line-regexp "$(cat "$state/pid")" || [ "$SECONDS" -ge "$deadline" ]; then
      echo "$0: the server did not start; the end of $state/log:" >&2
      tail -n 20 "$state/log" >&2
      end_server
      exit 3
    fi
    sleep 0.05
  done
}

# Asks the server to end and waits until it has.
end_server() {
  if running; then
    # It may have ended by now.
    kill "$(cat "$state/pid")" 2>/dev/null || :
  fi
  await_end
}

# Waits until the server, which has been asked to, has ended; after 20 seconds it is killed.
await_end() {
  local deadline=$((SECONDS + 20))
  while running; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      kill -s KILL "$(cat "$state/pid")" 2>/dev/null || :
    fi
    sleep 0.05
  done
  rm -f "$state/pid"
}
