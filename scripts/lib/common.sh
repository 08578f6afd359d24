# shellcheck shell=bash
# What scripts/setup, scripts/test and scripts/with-env share. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
POLAI_CACHE=${POLAI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pol-ai}
export POLAI_CACHE

say() { printf '  %-10s %s\n' "$1" "$2"; }

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# version_ge FOUND WANTED: true when FOUND is WANTED or newer.
version_ge() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# All checkouts share one target folder, so that a fresh clone reuses the compiled dependencies. Cargo judges the workspace's
# own crates by file times, which mean nothing between two checkouts: they are rebuilt whenever the folder changes hands, and
# a second run waits for the first. A CARGO_TARGET_DIR that is already set is left alone.
use_target_dir() {
  [[ -z ${CARGO_TARGET_DIR:-} ]] || return 0
  export CARGO_TARGET_DIR=$POLAI_CACHE/target
  mkdir -p "$CARGO_TARGET_DIR"
  exec 9>>"$CARGO_TARGET_DIR/.polai-lock"
  if ! flock --nonblock 9; then
    echo "another run uses $CARGO_TARGET_DIR; waiting for it"
    flock 9
  fi
  local owner=$CARGO_TARGET_DIR/.polai-checkout
  if [[ -f $owner && $(<"$owner") != "$ROOT" ]]; then
    (cd "$ROOT" && cargo clean --workspace --quiet)
  fi
  printf '%s\n' "$ROOT" >"$owner"
}
