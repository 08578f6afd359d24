"""Python's torch for CPUs out of the wheel that PyPI has, which is the one with CUDA: 200 MB instead of 4.7 GB.

usage: light_torch.py WHEELS INTO [LIBRARIES]

WHEELS is a folder with the torch wheel and NVIDIA's cuda-runtime and cuda-cupti wheels. LIBRARIES is a folder that may already hold the
same libtorch_cpu.so; it is then linked instead of stored twice.

The wheel's Python library is linked to the CUDA backend and, through it, to gigabytes of NVIDIA's libraries. On a machine without a GPU
nothing of them is ever called: here small libraries take their names. Every function in them ends the process, so that nothing can go
wrong in silence.
"""

import compileall
import filecmp
import fnmatch
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WANTED = ["torch/*", "torchgen/*", "functorch/*", "torch-*.dist-info/*", "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13"]
UNWANTED = ["torch/include/*", "torch/bin/protoc*", "torch/lib/libtorch_cuda*", "torch/lib/libtorch_nvshmem.so", "torch/lib/libcaffe2_nvrtc.so"]
USERS = ["libtorch_python.so", "libtorch.so", "libshm.so", "libc10_cuda.so"]
# Called when Python's torch starts: it stores a function pointer at the address that this gives.
STORAGE = ["_ZN4c10d15get_gil_checkerEv"]
STUBS = ["libtorch_cuda.so", "libcudnn.so.9", "libcufile.so.0", "libnccl.so.2"]


def unpack(wheels: Path, into: Path) -> None:
    def matches(name: str, patterns: list[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if matches(member.filename, WANTED) and not matches(member.filename, UNWANTED) and not member.is_dir():
                    path = archive.extract(member, into)
                    os.chmod(path, 0o755 if member.external_attr >> 16 & 0o111 else 0o644)


def without_distributed(init: Path) -> None:
    """torch.distributed would set its NCCL part up when it is imported. torch can be built without it, and knows that by these names."""
    source, mark = init.read_text(), "_C._initExtension(_manager_path())\n"
    if source.count(mark) != 1:
        raise SystemExit(f"{init}: another version of torch than this program is for")
    names = ["_c10d_init", "_rpc_init", "_dist_autograd_init", "_faulty_agent_init"]
    init.write_text(source.replace(mark, mark + f"for _name in {names}:\n    delattr(_C, _name)\n"))


def symbols(library: str, *options: str) -> set[str]:
    lines = subprocess.run(["nm", "-D", *options, library], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[-1] for line in lines if line.split()[-2] != "w"}


def missing(libraries: Path) -> list[str]:
    """What the users need and nothing there has. Versioned names belong to libraries that are there, and Python's to Python."""
    needed = set().union(*(symbols(str(libraries / name), "--undefined-only") for name in USERS))
    system = [subprocess.run(["cc", f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout.strip()
              for name in ("libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6")]
    there = set().union(*(symbols(name, "--defined-only") for name in [*system, *map(str, libraries.glob("lib*.so*"))]))
    there = {name.split("@")[0] for name in there}
    versioned = {name.split("@")[0] for name in needed if "@" in name and "libcudnn" in name}
    plain = {name for name in needed if "@" not in name and not name.lstrip("_").startswith("Py")}
    return sorted((plain | versioned) - there)


def assembly(names: list[str]) -> str:
    """Functions that say their name and trap; type descriptions that are true as far as anybody looks; empty virtual tables."""
    lines = []
    for name in names:
        text = name[4:]
        if name.startswith("_ZTI"):
            lines += [".data", ".balign 16", f".globl {name}", f".type {name},@object", f".size {name},16", f"{name}:"]
            lines += [".quad _ZTVN10__cxxabiv117__class_type_infoE+16", f".quad .Lname_{text}", f'.Lname_{text}: .asciz "{text}"']
        elif name.startswith("_ZTV"):
            lines += [".data", ".balign 16", f".globl {name}", f".type {name},@object", f".size {name},512", f"{name}:", ".zero 512"]
        elif name in STORAGE:
            lines += [f".lcomm .Lstorage_{name},64", ".text", f".globl {name}", f".type {name},@function"]
            lines += [f"{name}:", f"lea .Lstorage_{name}(%rip), %rax", "ret"]
        else:
            said = f"a stub of light_torch.py was called: {name}\\n"
            lines += [".section .rodata", f'.Lsaid_{name}: .ascii "{said}"', ".text", f".globl {name}", f".type {name},@function"]
            lines += [f"{name}:", f"lea .Lsaid_{name}(%rip), %rsi", f"mov ${len(said) - 1}, %edx", "mov $2, %edi", "mov $1, %eax"]
            lines += ["syscall", "ud2"]
    return "\n".join([*lines, '.section .note.GNU-stack,"",@progbits', ""])


def build_stubs(libraries: Path) -> int:
    names = missing(libraries)
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "stubs.s"
        for library in STUBS:
            own = names if library == STUBS[0] else []
            source.write_text(assembly(own))
            link = ["-lstdc++"] if own else []
            command = ["cc", "-shared", "-nostdlib", f"-Wl,-soname={library}", "-o", str(libraries / library), str(source), *link]
            subprocess.run(command, check=True)
    return len(names)


def main(arguments: list[str]) -> int:
    wheels, into = Path(arguments[0]), Path(arguments[1])
    unpack(wheels, into)
    without_distributed(into / "torch" / "__init__.py")
    libraries = into / "torch" / "lib"
    print(f"stubs for {build_stubs(libraries)} names")
    compileall.compile_dir(into, quiet=2, workers=0)  # as pip does
    if len(arguments) > 2:
        for mine in libraries.glob("lib*.so*"):
            other = Path(arguments[2]) / mine.name
            if other.is_file() and not other.is_symlink() and filecmp.cmp(mine, other, shallow=False):
                mine.unlink()
                os.link(other, mine)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
