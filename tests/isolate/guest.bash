#!/usr/bin/env bash
# What tests/isolate/machine.rs has done inside scripts/machine: scripts/isolate for real. Prints
# sections, `== NAME`, each judged over there. Nothing in here decides.
isolate=scripts/isolate
cgroups=/sys/fs/cgroup
partition=$cgroups/hotspur

section() {
  echo "== $1"
}

# run NAME COMMAND…: a section with what it prints, and its status on a line.
run() {
  section "$1"
  shift
  "$@" 2>&1
  echo "status $?"
}

# All that scripts/isolate may touch, and what follows from it: one line a fact.
dump() {
  section "$1"
  show /proc/irq/default_smp_affinity /proc/irq/[0-9]*/smp_affinity_list \
    /sys/devices/virtual/workqueue/cpumask /sys/devices/virtual/workqueue/*/cpumask \
    /sys/devices/system/cpu/{online,isolated} /proc/sys/kernel/watchdog_cpumask \
    /proc/sys/vm/stat_interval /sys/class/net/*/queues/rx-*/rps_cpus \
    "$cgroups"/{,*/}{cgroup.subtree_control,cpuset.cpus,cpuset.cpus.effective} \
    "$cgroups"/{,*/}cpuset.cpus.partition
  find "$cgroups" -type d | sort
  find /run | sort
  threads
}

# show PATH…: those that there are, with their first lines.
show() {
  local path text
  for path in "$@"; do
    if [ -e "$path" ]; then
      read -r text <"$path"
      echo "$path $text"
    fi
  done
}

# The kernel's threads and this script's, less workers (the flag 0x20): those come and go, and the
# kernel takes them to where their work is.
threads() {
  local path name key value stat
  local -a fields
  for path in /proc/[0-9]*; do
    { read -r name <"$path/comm" && read -r stat <"$path/stat"; } || continue
    read -r -a fields <<<"${stat##*) }"
    if ((fields[6] & 0x20)); then
      continue
    fi
    while read -r key value; do
      case "$key $name" in
        'PPid: '*)
          [ "$value" = 2 ] || [[ $name =~ ^(sleep|kthreadd)$ ]] || [ "$path" = "/proc/$$" ] || break
          ;;
        'Cpus_allowed_list: '*) echo "$path $name $value" ;;
      esac
    done <"$path/status"
  done 2>/dev/null
}

# Looks that often where a process last ran, and prints each core that was seen.
cores_of() {
  local count=$1 stat
  local -a fields seen=()
  for ((; count > 0; count--)); do
    read -r stat <"/proc/$2/stat"
    read -r -a fields <<<"${stat##*) }"
    seen[fields[36]]=1
  done
  echo "cores ${!seen[*]}"
}

# How often devices have interrupted cores 2 and 3.
interrupts_there() {
  awk '/ttyS|acpi|i8042|rtc/ { print $1, $4, $5 }' /proc/interrupts
}

busy() {
  while :; do :; done
}

isolated_for_real() {
  dump before
  run dry_run "$isolate" --cores 2-3 --dry-run
  dump after_dry_run
  run isolate "$isolate" --cores 2-3
  dump isolated
  run status "$isolate" --status
  run again "$isolate" --cores 2-3
  run others "$isolate" --cores 1

  section busy
  local pids=() pid
  for _ in 1 2 3; do
    busy &
    pids+=("$!")
  done
  interrupts_there >/tmp/interrupts
  for pid in "${pids[@]}"; do
    cores_of 500 "$pid"
  done
  kill "${pids[@]:1}"
  run pinned taskset --cpu-list 2 true
  section interrupts
  diff /tmp/interrupts <(interrupts_there)
  cat /proc/irq/3/effective_affinity_list

  section guest
  echo "${pids[0]}" >"$partition/cgroup.procs"
  taskset --cpu-list --pid 3 "${pids[0]}"
  cores_of 200 "${pids[0]}"
  section drifted
  echo 0-3 >/proc/irq/1/smp_affinity_list
  run drifted_status "$isolate" --status
  run undo "$isolate" --undo
  dump undone
  run undo_again "$isolate" --undo
  kill "${pids[0]}"
  wait "${pids[@]}" 2>/dev/null
}

# Killed from outside, in between.
killed() {
  section killed
  "$isolate" --cores 3 >/tmp/killed 2>&1 &
  until [ "$(wc -l </run/hotspur-isolate/journal)" -ge 40 ]; do :; done 2>/dev/null
  kill -s KILL "$!"
  wait "$!" 2>/dev/null
  echo "status $?"
  run killed_again "$isolate" --cores 3
  run killed_undo "$isolate" --undo
  dump killed_undone
}

# Stopped after so many steps, and its undoing as well.
stopped() {
  HOTSPUR_ISOLATE_STOP_AFTER=$1 run "stopped_$1" "$isolate" --cores 1,3
  HOTSPUR_ISOLATE_STOP_AFTER=12 run "stopped_$1_undo" "$isolate" --undo
  run "stopped_$1_undo_again" "$isolate" --undo
  dump "stopped_$1_undone"
}

# Each where the right that is named is missing; /run is made writable, as it is in a container.
refused() {
  run not_root setpriv --reuid 65534 --regid 65534 --clear-groups "$isolate" --cores 2-3
  run user_namespace setpriv --reuid 65534 --regid 65534 --clear-groups \
    unshare --user --map-root-user --mount bash -c \
    "mount -t tmpfs none /run && $isolate --cores 2-3"
  # shellcheck disable=SC2016
  run read_only unshare --mount bash -c '
    for path in /proc/irq /proc/sys; do
      mount --bind "$path" "$path" && mount -o remount,bind,ro "$path"
    done
    mount -o remount,bind,ro /sys && mount -o remount,bind,ro /sys/fs/cgroup
    scripts/isolate --cores 2-3
    echo "status $?"
    scripts/isolate --undo'
  mkdir "$cgroups/container"
  echo +cpuset >"$cgroups/cgroup.subtree_control"
  run container unshare --mount --cgroup bash -c "
    echo 0 >$cgroups/container/cgroup.procs
    exec unshare --cgroup bash -c 'umount $cgroups && mount -t cgroup2 none $cgroups &&
      $isolate --cores 2-3; echo status \$?; $isolate --undo'"
  rmdir "$cgroups/container"
  mkdir "$cgroups/neighbour"
  echo 2 >"$cgroups/neighbour/cpuset.cpus"
  run neighbour "$isolate" --cores 2-3
  run neighbour_undo "$isolate" --undo
  rmdir "$cgroups/neighbour"
  echo -cpuset >"$cgroups/cgroup.subtree_control"
  dump refused_undone
  mkdir /tmp/version_1
  mount -t cgroup -o cpuset none /tmp/version_1
  dump version_1_before
  run version_1 "$isolate" --cores 2-3
  run version_1_undo "$isolate" --undo
  dump version_1_undone
}

# Somebody chose a mask: one outside, one across, one on the cores alone.
for mask in 0 1-2 2-3; do
  taskset --cpu-list "$mask" sleep 10000 &
  until [ "$(cat "/proc/$!/comm")" = sleep ]; do :; done
done
isolated_for_real
killed
stopped 60
refused
