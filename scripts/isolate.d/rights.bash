# Sourced by scripts/isolate: what this host refused, why, and which right would have allowed it.
# shellcheck shell=bash disable=SC2154

# Sentence to the things that were refused for it.
declare -A refusals=()
# In the order in which they came up.
sentences=()

# refuse WHAT PATH: of which $error is the system's word.
refuse() {
  local sentence
  sentence=$(reason "$2")
  if [ -z "${refusals[$sentence]:-}" ]; then
    sentences+=("$sentence")
  fi
  refusals[$sentence]+="${refusals[$sentence]:+, }$1"
}

# reason PATH: in a sentence.
reason() {
  case "$error" in
    'Read-only file system')
      echo "$(mount_of "$1") is mounted read-only, as in a container; run this on the host," \
        "or where it may be written (docker run --privileged)"
      ;;
    'Permission denied')
      if [ "$EUID" -ne 0 ]; then
        echo "the right of root is missing; run it with sudo"
      else
        echo "this root is only that of a user namespace; run it as root of the host"
      fi
      ;;
    'Operation not permitted')
      echo "the right $(right_for "$1") is missing (docker run --cap-add)"
      ;;
    *) echo "the system says: $error" ;;
  esac
}

mount_of() {
  local path=${1#"$root"} mount
  for mount in /proc/irq /proc/sys /sys/fs/cgroup /sys; do
    case "$path" in
      "$mount"/*)
        echo "$mount"
        return
        ;;
    esac
  done
  echo "${path%/*}"
}

right_for() {
  case "${1#"$root"}" in
    /proc/[0-9]*) echo CAP_SYS_NICE ;;
    *) echo CAP_SYS_ADMIN ;;
  esac
}

tell_refusals() {
  local sentence
  for sentence in "${sentences[@]}"; do
    echo "not done: ${refusals[$sentence]}: $sentence" >&2
  done
}
