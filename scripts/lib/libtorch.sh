# shellcheck shell=bash
# LibTorch out of PyPI's torch wheel, without Python's torch. Sourced.
#
# light: headers, libtorch_cpu, libc10, libgomp, and of NVIDIA's wheels only the two libraries that libtorch_cpu is linked to.
# cuda:  every library of the torch wheel and of its NVIDIA dependencies.
# libtorch_cpu.so finds NVIDIA's libraries by a relative RPATH, so the layout torch/lib beside nvidia/ has to stay.

LIBTORCH_VERSION=2.13.0

libtorch_wanted() { # by a crate of the workspace
  grep -q '^name = "torch-sys"$' "$ROOT/Cargo.lock"
}

libtorch_dir() { echo "$POLAI_CACHE/libtorch-$LIBTORCH_VERSION-$1"; }

# setup_libtorch light|cuda
setup_libtorch() {
  local kind=$1 folder=$WORK/libtorch dir
  dir=$(libtorch_dir "$kind")
  if [[ -d $dir ]]; then
    say libtorch "$LIBTORCH_VERSION, $kind set ($dir)"
    return
  fi
  [[ $(uname -m) == x86_64 ]] || die "LibTorch is pinned for x86_64 only; this machine is $(uname -m)"
  mkdir -p "$folder"
  cat "$ROOT/scripts/libtorch.txt" >"$folder/wanted.txt"
  if [[ $kind == light ]]; then
    say libtorch "downloading the $LIBTORCH_VERSION wheels, 540 MB"
  else
    say libtorch "downloading the $LIBTORCH_VERSION wheels with CUDA, 2.5 GB"
    cat "$ROOT/scripts/libtorch-cuda.txt" >>"$folder/wanted.txt"
  fi
  fetch_wheels "$folder/wanted.txt" "$folder"
  say libtorch "unpacking"
  if [[ $kind == light ]]; then
    unpack_wheels "$folder" "$folder/set" 'torch/include/*' torch/lib/libtorch_cpu.so torch/lib/libc10.so torch/lib/libgomp.so.1 \
      'nvidia/cu13/lib/libcudart.so.13' 'nvidia/cu13/lib/libcupti.so.13' '*.dist-info/licenses/*' '*.dist-info/METADATA'
    # The wheel's own libtorch.so needs libtorch_cuda; linking asks only for the name, so a linker script will do.
    echo 'INPUT(-ltorch_cpu)' >"$folder/set/torch/lib/libtorch.so"
  else
    unpack_wheels "$folder" "$folder/set" 'torch/include/*' 'torch/lib/*' 'nvidia/*' '*.dist-info/licenses/*' '*.dist-info/METADATA'
  fi
  echo "$LIBTORCH_VERSION" >"$folder/set/torch/build-version"
  mv -T "$folder/set" "$dir" # one rename: the folder is there only when it is whole
  make_python_torch "$folder"
  rm -rf "$folder"
  say libtorch "$LIBTORCH_VERSION, $kind set: $(du -sh "$dir" | cut -f1) in $dir"
}
