# Sourced by scripts/isolate: changes that can be taken back, also after a crash between any two.
#
# Before anything is changed, a line about how it was is written to the journal and synced. To undo
# is to replay the lines from the last to the first; each looks first whether anything is left to
# do, so that it may be done again after it was itself cut short. A line without its end was never
# acted on. The journal lies below /run and goes with the state that it tells of: at a boot.
#
#   file PATH TEXT            that was its text
#   folder PATH               was not there
#   new PATH                  a file that was not there
#   controller PATH NAME      was not among those of the cgroup's children
#   thread PATH START CORES   that was its mask; START tells it from a later one of its number
#   restart SERVICE           has to start again once it has its old settings
#   fixed PATH                could not be changed, for none could
#   cores CORES, complete     what it is all for, and that the end was reached
# shellcheck shell=bash disable=SC2154

# A test ends the script after so many steps: behind a line of the journal, or behind a change.
stop_after=${HOTSPUR_ISOLATE_STOP_AFTER:-0}
steps=0

step() {
  steps=$((steps + 1))
  if [ "$steps" -eq "$stop_after" ]; then
    kill -s KILL "$$"
  fi
}

# record FIELD…: one line, on its way to the disk when this returns.
record() {
  local IFS=$'\t'
  printf '%s\n' "$*" >>"$journal"
  sync "$journal"
  step
}

# text_of PATH: its first line. The mask of unbound work is shown without cores that partitions
# took; what was asked for stands in a file beside it.
text_of() {
  local path=$1
  if [ -e "${path}_requested" ]; then
    path=${path}_requested
  fi
  answer=
  read -r answer <"$path" || [ -n "$answer" ]
} 2>/dev/null

# put PATH TEXT: writes it; else false, and $error says why.
put() {
  error=$({ printf '%s\n' "$2" >"$1"; } 2>&1) || {
    error=${error##*: }
    return 1
  }
}

# change PATH TEXT: as it says. False, and $error, if that was refused.
change() {
  text_of "$1" || return 0
  if [ "$answer" = "$2" ]; then
    return
  fi
  if [ "$dry" = yes ]; then
    echo "${1#"$root"}: $answer -> $2"
    return
  fi
  record file "$1" "$answer"
  put "$1" "$2" || return
  changes=$((changes + 1))
  step
}

# make_folder PATH
make_folder() {
  if [ "$dry" = yes ]; then
    echo "${1#"$root"}: absent -> folder"
    return
  fi
  record folder "$1"
  error=$(mkdir "$1" 2>&1) || {
    error=${error##*: }
    return 1
  }
  changes=$((changes + 1))
  step
}

# undo: everything in the journal, the last first. What could not be taken back is said, and stays
# in the journal.
undo() {
  local index line
  local -a lines=() left=()
  # The last line may lack its end: what it would have told of was not done.
  while IFS= read -r line; do
    lines+=("$line")
  done <"$journal"
  for ((index = ${#lines[@]} - 1; index >= 0; index--)); do
    if ! take_back "${lines[index]}"; then
      left=("${lines[index]}" "${left[@]}")
    fi
  done
  if [ "${#left[@]}" -gt 0 ]; then
    printf '%s\n' "${left[@]}" >"$journal.left"
    sync "$journal.left"
    mv "$journal.left" "$journal"
    echo "scripts/isolate: ${#left[@]} changes are still in force; once what is said above is" \
      "mended, run scripts/isolate --undo again" >&2
    return 1
  fi
  rm -rf "$state"
}

# take_back LINE
take_back() {
  local kind path text more
  IFS=$'\t' read -r kind path text more <<<"$1"
  error=
  case "$kind" in
    file) restore_file "$path" "$text" ;;
    folder) restore_no_folder "$path" ;;
    new) rm -f "$path" ;;
    controller) restore_controllers "$path" "$text" ;;
    thread) restore_thread "$path" "$text" "$more" ;;
    restart) restart "$path" ;;
    fixed | cores | complete) ;;
  esac || {
    echo "scripts/isolate: ${path#"$root"} could not be set back${text:+ to $text}: $error" >&2
    return 1
  }
  step
}

# What is not there any more, such as the interrupt of a device that was unplugged, has no state.
restore_file() {
  if ! [ -e "$1" ]; then
    return
  fi
  text_of "$1"
  if [ "$answer" != "$2" ]; then
    put "$1" "$2"
  fi
}

# A cgroup is removed only when nobody is in it. Who is goes to its parent, as is said.
restore_no_folder() {
  local pid
  local -a guests=()
  if ! [ -d "$1" ]; then
    return
  fi
  if [ -e "$1/cgroup.procs" ]; then
    mapfile -t guests <"$1/cgroup.procs"
  fi
  for pid in "${guests[@]}"; do
    if put "${1%/*}/cgroup.procs" "$pid"; then
      echo "process $pid was in the partition and is in ${1%/*} now"
    fi
  done
  error=$(rmdir "$1" 2>&1) || {
    error=${error##*: }
    return 1
  }
}

restore_controllers() {
  text_of "$1"
  case " $answer " in
    *" $2 "*) put "$1" "-$2" ;;
  esac
}

restore_thread() {
  if ! thread_facts "$1" || [ "$started" != "$2" ] || [ "$allowed" = "$3" ]; then
    return 0
  fi
  set_thread "$1" "$3"
}
