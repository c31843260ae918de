"""Find the memory and the cores that this process may use: those of its container, else the host's.

A process that takes more memory than its control group has is killed without a word, however much is free on
the host. Both versions of control groups are read: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Signs of it in errors of torch that have no class of their own."""


class Memory(NamedTuple):
    """Main memory in bytes."""

    limit: int
    """That this process and all others of its container may have together."""
    available: int
    """That is left of it; what only caches files counts as left."""


class _Names(NamedTuple):
    """Of the files and lines in a control group's folder."""

    limit: str
    usage: str
    caches: str
    """The line of memory.stat with the bytes of cached files that the kernel drops first."""


_NAMES = {
    "cgroup": _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "cgroup2": _Names("memory.max", "memory.current", "inactive_file"),
}


def memory(root: Path = Path("/")) -> Memory:
    """The least of what the host, the control group of this process and the groups around it allow.

    Args:
        root: The folder in which proc/ and sys/ are.
    """
    import psutil

    host = psutil.virtual_memory()
    groups = [Memory(host.total, host.available), *_groups(root)]
    limit = min(group.limit for group in groups)
    return Memory(limit, max(0, min(limit, *(group.available for group in groups))))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whichever device; of torch's errors without importing it."""
    if isinstance(error, MemoryError) or any(
        kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__
    ):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


def cores() -> int:
    """How many cores this process may keep busy: by its affinity and by the quota of its container."""
    from joblib import cpu_count

    return int(cpu_count())


def _groups(root: Path) -> Iterator[Memory]:
    """What each control group allows that this process is in; none where there are none, or no limits."""
    for kind, mounted, top in _mounts(root):
        own = _own_group(root, kind)
        if own is None:
            continue
        inside = own.removeprefix(top.rstrip("/")) if f"{own}/".startswith(f"{top.rstrip('/')}/") else "/"
        folder = mounted.joinpath(*(part for part in inside.split("/") if part not in ("", "..")))
        while True:
            with suppress(OSError, ValueError):
                yield _group(folder, _NAMES[kind])
            if folder == mounted:
                break
            folder = folder.parent


def _mounts(root: Path) -> Iterator[tuple[str, Path, str]]:
    """Where groups of memory are mounted: kind, folder, and the group that is seen there (proc(5))."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *_, options) = before.split(), (after.split() or [""])
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
            yield kind, root / _plain(fields[4]).lstrip("/"), _plain(fields[3])


def _own_group(root: Path, kind: str) -> str | None:
    """The path of this process's group (cgroups(7)); None if it is in none."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if (number == "0" and not controllers) if kind == "cgroup2" else "memory" in controllers.split(","):
            return path
    return None


def _group(folder: Path, names: _Names) -> Memory:
    """Raise `OSError` or `ValueError` for a group without a limit."""
    counts = _counts(folder / "memory.stat")
    limit = int((folder / names.limit).read_text())
    limit = min(limit, counts.get("hierarchical_memory_limit", limit))  # of groups that are not to be seen
    usage = int((folder / names.usage).read_text())
    return Memory(limit, limit - usage + min(usage, counts.get(names.caches, 0)))


def _counts(file: Path) -> Mapping[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w+) (\d+)$", _text(file), re.MULTILINE)}


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    return ""


def _plain(path: str) -> str:
    """A path of mountinfo without its octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
