# Sourced by scripts/isolate: a cgroup whose cores are nobody else's, and which the scheduler leaves
# out when it balances load. Who is elsewhere loses these cores by it: the kernel narrows the masks
# of all tasks of other cgroups, and of the kernel threads that can be moved.
# shellcheck shell=bash disable=SC2154

partition_name=hotspur

# Sets $cgroups to where version 2 is mounted and offers cpusets; else false, and $error says why.
find_cgroups() {
  local mount type options held=''
  cgroups=''
  while read -r _ mount type options _; do
    case "$type $options" in
      cgroup2*) cgroups=${cgroups:-$root$mount} ;;
      cgroup\ *cpuset*) held=$mount ;;
    esac
  done <"$root/proc/mounts"
  if [ -n "$cgroups" ] && has_cpuset "$cgroups/cgroup.controllers"; then
    if ! [ -e "$cgroups/cgroup.type" ]; then
      return
    fi
    error="$cgroups lies below the host's first cgroup, as in a container; run this on the host"
  elif [ -n "$held" ]; then
    error="cgroup version 1 holds the cpuset controller ($held); boot with cgroup_no_v1=cpuset"
    error+=", or systemd.unified_cgroup_hierarchy=1"
  elif [ -z "$cgroups" ]; then
    error="cgroup version 2 is not mounted; mount -t cgroup2 none /sys/fs/cgroup"
  else
    error="this kernel has no cpuset controller (CONFIG_CPUSETS)"
  fi
  return 1
}

# has_cpuset PATH: true if that list of controllers names it.
has_cpuset() {
  text_of "$1" && [[ " $answer " == *' cpuset '* ]]
}

no_partition() {
  missed "no partition, so that other programs may still run there: $1"
}

make_partition() {
  if ! find_cgroups; then
    no_partition "$error"
    return
  fi
  partition=$cgroups/$partition_name
  if [ -d "$partition" ]; then
    no_partition "$partition is there already, and not of this script; remove it with rmdir"
    partition=''
    return
  fi
  if ! delegate_cpuset || ! make_folder "$partition"; then
    refuse "a partition" "$cgroups/cgroup.procs"
    partition=''
    return
  fi
  if [ "$dry" = yes ]; then
    echo "${partition#"$root"}/cpuset.cpus: (empty) -> $cores"
    echo "${partition#"$root"}/cpuset.cpus.partition: member -> isolated"
    return
  fi
  fill_partition
}

# Lets the cgroups below the root have cpusets.
delegate_cpuset() {
  local path=$cgroups/cgroup.subtree_control
  if has_cpuset "$path"; then
    return
  fi
  if [ "$dry" = yes ]; then
    echo "${path#"$root"}: ${answer:-(empty)} -> ${answer:+$answer }+cpuset"
    return
  fi
  record controller "$path" cpuset
  put "$path" +cpuset || return
  changes=$((changes + 1))
  step
}

# The folder goes at undo, and with it what is written here: it needs no line in the journal.
fill_partition() {
  if ! [ -e "$partition/cpuset.cpus.partition" ]; then
    partition=''
    no_partition "this kernel has none; isolated ones want Linux 6.1 or later"
    return
  fi
  if ! put "$partition/cpuset.cpus" "$cores"; then
    refuse "a partition" "$partition/cpuset.cpus"
    partition=''
    return
  fi
  step
  if ! put "$partition/cpuset.cpus.partition" isolated; then
    put "$partition/cpuset.cpus.partition" root || :
    missed "the partition is not isolated, only exclusive: the scheduler balances load inside it,\
 and isolated ones want Linux 6.1 or later"
  fi
  step
  text_of "$partition/cpuset.cpus.partition"
  if ! [[ $answer =~ ^(isolated|root)$ ]]; then
    partition=''
    no_partition "the kernel calls it \"$answer\"; where another cgroup has these cores in its\
 cpuset.cpus, take them out there"
  fi
}

partition_holds() {
  if ! find_cgroups || ! text_of "$cgroups/$partition_name/cpuset.cpus.partition"; then
    missed "there is no partition${error:+: $error}"
    return
  fi
  echo "partition ${cgroups#"$root"}/$partition_name: $answer"
  if ! [[ $answer =~ ^(isolated|root)$ ]]; then
    missed "the partition is not in force: $answer"
  fi
}
