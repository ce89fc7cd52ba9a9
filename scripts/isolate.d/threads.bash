# Sourced by scripts/isolate: which cores each thread may use, and moving kernel threads.
# shellcheck shell=bash disable=SC2154

# Bits of the flags in a thread's stat.
kernel_thread=$((0x00200000))
immovable=$((0x04000000))

# thread_facts PATH: sets $started, $flags, $allowed and $name. False if the thread has ended.
thread_facts() {
  local line
  local -a lines=() fields=()
  { read -r line <"$1/stat" && mapfile -t lines <"$1/status"; } 2>/dev/null || return
  name=${line#*\(}
  name=${name%)*}
  # Behind the name, which may hold anything: state, parent, … in the order of proc(5).
  read -r -a fields <<<"${line##*) }"
  flags=${fields[6]} started=${fields[19]} allowed=
  for line in "${lines[@]}"; do
    case "$line" in
      Cpus_allowed_list:*) allowed=${line##*[[:space:]]} ;;
    esac
  done
  [ -n "$allowed" ]
}

# set_thread PATH CORES
set_thread() {
  error=$(taskset --cpu-list --pid "$2" "${1##*/}" 2>&1 >/dev/null) || {
    error=${error##*: }
    return 1
  }
}

# Writes down the masks of all threads. A partition overwrites masks, before Linux 6.2 also those
# that somebody has chosen, and forgets them.
record_threads() {
  local path
  local -a lines=()
  if [ "$dry" = yes ]; then
    return
  fi
  for path in "$root"/proc/[0-9]*/task/[0-9]*; do
    if thread_facts "$path" && ((!(flags & immovable))); then
      lines+=("thread"$'\t'"$path"$'\t'"$started"$'\t'"$allowed")
    fi
  done
  if [ "${#lines[@]}" -gt 0 ]; then
    printf '%s\n' "${lines[@]}" >>"$journal"
    sync "$journal"
  fi
  step
}

# A partition moves them as well, but there may be none. Those that are born later may run anywhere,
# unless the kernel was booted with nohz_full.
move_kernel_threads() {
  local path elsewhere moved=0 bound=0
  for path in "$root"/proc/[0-9]*/task/[0-9]*; do
    if ! thread_facts "$path" || ((!(flags & kernel_thread))) || ! touches "$allowed"; then
      continue
    fi
    if ((flags & immovable)); then
      bound=$((bound + 1))
      continue
    fi
    without "$allowed" "$cores"
    elsewhere=${answer:-$housekeeping}
    if [ "$dry" = yes ]; then
      echo "${path#"$root"} ($name): $allowed -> $elsewhere"
    elif set_thread "$path" "$elsewhere"; then
      moved=$((moved + 1))
      changes=$((changes + 1))
      step
    elif [ "$error" = 'Operation not permitted' ]; then
      refuse "kernel thread ${path##*/} ($name)" "$path"
    elif thread_facts "$path"; then
      bound=$((bound + 1))
    fi
  done
  [ "$dry" = yes ] || echo "kernel threads: $moved moved; $bound are bound to cores $cores or" \
    "follow the mask of unbound work"
}

threads_hold() {
  local path
  for path in "$root"/proc/[0-9]*/task/[0-9]*; do
    if thread_facts "$path" && ((flags & kernel_thread && !(flags & immovable))) &&
      touches "$allowed"; then
      missed "kernel thread ${path##*/} ($name) may run on cores $allowed"
    fi
  done
}
