# shellcheck shell=bash
# The Python twins of testing/parity: a venv with transformers and PEFT, and Python's torch without NVIDIA's gigabytes. Sourced.

PARITY=$ROOT/testing/parity

python_tag() { python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])'; }

python_torch_dir() { echo "$POLAI_CACHE/python-torch-$LIBTORCH_VERSION-$(python_tag)-$(sha256sum "$PARITY/light_torch.py" | cut -c 1-12)"; }

# make_python_torch WHEELS: out of the wheels in a folder, when they are this Python's. Libraries are shared with the light set.
make_python_torch() {
  local wheels=$1 dir
  [[ -f $PARITY/light_torch.py && $(uname -m) == x86_64 ]] || return 0
  dir=$(python_torch_dir)
  [[ ! -d $dir ]] && compgen -G "$wheels/torch-*-$(python_tag)-*.whl" >/dev/null || return 0
  rm -rf "$WORK/python-torch"
  python3 "$PARITY/light_torch.py" "$wheels" "$WORK/python-torch" "$(libtorch_dir light)/torch/lib" >"$WORK/light.log" 2>&1 \
    || die "Python's torch cannot be unpacked: $(tail -n 1 "$WORK/light.log")"
  mv -T "$WORK/python-torch" "$dir"
}

setup_parity() {
  local wanted=$PARITY/requirements.txt venv dir
  [[ -f $wanted ]] || return 0
  if [[ $(uname -m) != x86_64 ]] || ! version_ge "$(python3 -c 'import platform; print(platform.python_version())')" 3.11; then
    say parity "not taken: x86_64 and Python 3.11 or newer are needed"
    return
  fi
  dir=$(python_torch_dir)
  if [[ ! -d $dir ]]; then
    say parity "downloading the torch $LIBTORCH_VERSION wheel for Python, 540 MB"
    mkdir -p "$WORK/python-wheels"
    pip_or_die python3 "$WORK/torch.log" download --no-deps --require-hashes --only-binary=:all: --no-cache-dir --retries 2 \
      --dest "$WORK/python-wheels" --requirement "$ROOT/scripts/libtorch.txt"
    make_python_torch "$WORK/python-wheels"
    rm -rf "$WORK/python-wheels"
  fi
  venv=$POLAI_CACHE/venv-$(cat "$wanted" <(echo "$dir") | sha256sum | cut -c 1-12)
  if [[ ! -f $venv/.ready ]]; then
    say parity "installing the Python packages of testing/parity/requirements.txt"
    rm -rf "$venv"
    python3 -m venv "$venv" || die "python3 -m venv failed"
    # --no-deps: the list is whole but for torch, whose own dependencies would bring NVIDIA's libraries.
    pip_or_die "$venv/bin/python" "$WORK/venv.log" install --retries 2 --no-deps --require-hashes --no-cache-dir --requirement "$wanted"
    echo "$dir" >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
    touch "$venv/.ready"
  fi
  ln -sfn "$venv" "$POLAI_CACHE/parity-venv"
  say parity "Python's torch, transformers and PEFT are there ($venv)"
}
