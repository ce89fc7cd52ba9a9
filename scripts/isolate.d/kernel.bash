# Sourced by scripts/isolate: interrupts, unbound work and timers, and whoever moves them back.
# shellcheck shell=bash disable=SC2154

service=irqbalance.service
unit=$root/run/systemd/system/$service.d
interval=10

# touches LIST: true if one of its cores is to be isolated.
touches() {
  both "$1" "$cores"
  [ -n "$answer" ]
}

# narrow PATH NOTATION: takes the cores out of a list or a mask. Where nothing would be left, the
# housekeeping cores stand in.
narrow() {
  local listed elsewhere
  text_of "$1" || return 0
  listed=$answer
  if [ "$2" = mask ]; then
    list_of_mask "$listed"
    listed=$answer
  fi
  if [ -z "$listed" ] || ! touches "$listed"; then
    return
  fi
  without "$listed" "$cores"
  elsewhere=${answer:-$housekeeping}
  if [ "$2" = mask ]; then
    mask_of_list "$elsewhere"
    elsewhere=$answer
  fi
  change "$1" "$elsewhere"
}

# Else it deals interrupts out over all cores again, every ten seconds. A drop-in below /run gives
# it a list to spare; its own settings stay as they are.
tell_irqbalance() {
  local pid banned
  pid=$(pid_of irqbalance)
  if [ -z "$pid" ]; then
    return
  fi
  # Whose environment it is nobody else may read.
  banned=$(environment_of "$pid" IRQBALANCE_BANNED_CPULIST) || banned=
  is_list "$banned" || banned=
  either "$banned" "$cores"
  banned=$answer
  if ! [ -d "$root/run/systemd/system" ]; then
    missed "irqbalance (process $pid) was not told, for systemd does not run here: start it again\
 with IRQBALANCE_BANNED_CPULIST=$banned"
    return
  fi
  if [ "$dry" = yes ]; then
    echo "${unit#"$root"}/hotspur-isolate.conf: absent -> IRQBALANCE_BANNED_CPULIST=$banned"
    return
  fi
  # Undone last to first: the files go, then it starts again.
  record restart "$service"
  record new "$state/irqbalance"
  echo "IRQBALANCE_BANNED_CPULIST=$banned" >"$state/irqbalance"
  [ -d "$unit" ] || make_folder "$unit"
  record new "$unit/hotspur-isolate.conf"
  # A file, since the service's own files go over values that stand in a unit.
  printf '[Service]\nEnvironmentFile=%s\n' "$state/irqbalance" >"$unit/hotspur-isolate.conf"
  changes=$((changes + 1))
  step
  restart "$service" || missed "irqbalance was not told: $error"
}

restart() {
  error=$({ systemctl daemon-reload && systemctl restart "$1"; } 2>&1)
}

# pid_of NAME: of the first process of that name.
pid_of() {
  local path
  for path in "$root"/proc/[0-9]*; do
    if text_of "$path/comm" && [ "$answer" = "$1" ]; then
      echo "${path##*/}"
      return
    fi
  done
}

# environment_of PID NAME
environment_of() {
  local entry
  while IFS= read -r -d '' entry; do
    case "$entry" in
      "$2="*) echo "${entry#*=}" ;;
    esac
  done <"$root/proc/$1/environ"
} 2>/dev/null

# Some cannot be moved, such as timers: named, and no failure. A device's managed ones follow
# isolcpus=managed_irq alone.
move_interrupts() {
  local path fixed=''
  narrow "$root/proc/irq/default_smp_affinity" mask ||
    refuse "default_smp_affinity" "$root/proc/irq/default_smp_affinity"
  for path in "$root"/proc/irq/[0-9]*/smp_affinity_list; do
    narrow "$path" list && continue
    case "$error" in
      'Read-only file system' | 'Permission denied')
        refuse "interrupt $(number_of "$path")" "$path"
        ;;
      *)
        [ "$dry" = yes ] || record fixed "$path"
        fixed+="${fixed:+, }$(number_of "$path")"
        ;;
    esac
  done
  if [ -n "$fixed" ]; then
    echo "interrupts that cannot be moved: $fixed"
  fi
}

# number_of PATH: the interrupt's, with who uses it.
number_of() {
  local folder=${1%/*} path names=''
  for path in "$folder"/*/; do
    path=${path%/}
    [ -d "$path" ] && names+=" ${path##*/}"
  done
  echo "${folder##*/}${names:+ (${names# })}"
}

# Work that belongs to no core, writeback among it.
move_work() {
  local path work=$root/sys/devices/virtual/workqueue
  for path in "$work/cpumask" "$work"/*/cpumask; do
    if [ -e "$path" ]; then
      narrow "$path" mask || refuse "${path#"$root"}" "$path"
    fi
  done
}

# The detector of lockups wakes each of its cores every few seconds; counters of memory are folded
# once a second.
quieten_timers() {
  local path=$root/proc/sys/kernel/watchdog_cpumask
  narrow "$path" list || refuse "kernel.watchdog_cpumask" "$path"
  path=$root/proc/sys/vm/stat_interval
  if text_of "$path" && [ "$answer" -lt "$interval" ]; then
    change "$path" "$interval" || refuse "vm.stat_interval" "$path"
  fi
}

# Received packets that software deals out over cores.
move_receive_steering() {
  local path
  for path in "$root"/sys/class/net/*/queues/rx-*/rps_cpus; do
    if [ -e "$path" ]; then
      narrow "$path" mask || refuse "${path#"$root"}" "$path"
    fi
  done
}

interrupts_hold() {
  local path
  for path in "$root"/proc/irq/[0-9]*/smp_affinity_list; do
    if ! is_fixed "$path" && text_of "$path" && touches "$answer"; then
      missed "interrupt $(number_of "$path") may run on cores $answer"
    fi
  done
}

is_fixed() {
  grep --quiet --fixed-strings --line-regexp "fixed"$'\t'"$1" "$journal"
}
