# Sourced by scripts/isolate: sets of cores, in the kernel's two notations. A function leaves its
# result in $answer, so that hundreds of interrupts and threads cost no process each.
# shellcheck shell=bash

answer=

# The kernel's fixed-size masks hold no more.
cores_max=1024

# is_list TEXT: true if that is a list such as 0-3,8.
is_list() {
  [[ $1 =~ ^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$ ]] || return 1
  local part
  local -a parts
  IFS=, read -r -a parts <<<"$1"
  for part in "${parts[@]}"; do
    [ "$((10#${part%-*}))" -le "$((10#${part#*-}))" ] || return 1
    [ "$((10#${part#*-}))" -lt "$cores_max" ] || return 1
  done
}

# expand LIST: the cores as an array, $members, whose indices they are.
expand() {
  local part core
  local -a parts
  members=()
  IFS=, read -r -a parts <<<"$1"
  for part in "${parts[@]}"; do
    for ((core = 10#${part%-*}; core <= 10#${part#*-}; core++)); do
      members[core]=1
    done
  done
}

# contract: $members as a list; empty for none.
contract() {
  local core first=-2 last=-2
  answer=
  for core in "${!members[@]}" -1; do
    if [ "$core" -eq "$((last + 1))" ] && [ "$core" -ge 0 ]; then
      last=$core
      continue
    fi
    if [ "$first" -ge 0 ]; then
      answer+=,$first
      [ "$last" -eq "$first" ] || answer+=-$last
    fi
    first=$core last=$core
  done
  answer=${answer#,}
}

# without LIST LIST: the first less the second.
without() {
  local core
  local -a less
  expand "$2"
  less=("${!members[@]}")
  expand "$1"
  for core in "${less[@]}"; do
    unset "members[core]"
  done
  contract
}

# both LIST LIST: what is in each.
both() {
  without "$1" "$2"
  without "$1" "$answer"
}

# either LIST LIST: what is in one or the other.
either() {
  expand "$1${1:+${2:+,}}$2"
  contract
}

# list_of_mask MASK: of ff or 00000000,0000000c, as the kernel prints masks.
list_of_mask() {
  local digits=${1//,/} index bit
  members=()
  for ((index = 0; index < ${#digits}; index++)); do
    for bit in 0 1 2 3; do
      if (((16#${digits: -1-index:1} >> bit) & 1)); then
        members[index * 4 + bit]=1
      fi
    done
  done
  contract
}

# mask_of_list LIST: with a comma before every eighth digit, as the kernel wants them.
mask_of_list() {
  local core count=0 digit digits='' index
  local -a nibbles=(0)
  expand "$1"
  for core in "${!members[@]}"; do
    ((nibbles[core / 4] |= 1 << core % 4))
    count=$((core / 4))
  done
  for ((index = 0; index <= count; index++)); do
    printf -v digit %x "${nibbles[index]:-0}"
    if ((index > 0 && index % 8 == 0)); then
      digits=,$digits
    fi
    digits=$digit$digits
  done
  answer=$digits
}
