"""What a container allows, read from trees of files like those of Linux."""

from __future__ import annotations

import psutil
import pytest

from zeroiqa.guards.limits import cores, memory

V2 = "0::/batch/job\n"
V1 = "9:name=systemd:/\n4:memory:/docker/abc\n3:cpuset,cpu:/\n0::/\n"
UNLIMITED = "9223372036854771712\n"


def mounted(kind, at, top="/", options="rw"):
    name = "cgroup2" if kind == 2 else "cgroup"
    return (
        f"24 1 0:21 / /proc rw - proc proc rw\n32 31 0:29 {top} {at} rw,relatime - {name} {name} {options}\n"
    )


def group(limit, usage, inactive=0, *, version=2, more=""):
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    stat = f"anon 5\ninactive_file 7\n{names[2]} {inactive}\n{more}"
    return {names[0]: f"{limit}\n", names[1]: f"{usage}\n", "memory.stat": stat}


TREES = {
    "version 2: its own group": (
        V2,
        mounted(2, "/sys/fs/cgroup"),
        {"batch/job": group(3000, 1000, 200), "batch": group("max", 5000)},
        (3000, 2200),
    ),
    "version 2: a group around it": (
        V2,
        mounted(2, "/sys/fs/cgroup"),
        {"batch/job": group(9000, 100), "batch": group(3000, 2500, 0)},
        (3000, 500),
    ),
    "version 2: each binds in one way": (
        V2,
        mounted(2, "/sys/fs/cgroup"),
        {"batch/job": group(3000, 0), "batch": group(5000, 4900)},
        (3000, 100),
    ),
    "version 2: a namespace of its own": (
        "0::/\n",
        mounted(2, "/sys/fs/cgroup", top="/kubepods/pod1"),
        {".": group(3000, 1000)},
        (3000, 2000),
    ),
    "version 2: over its limit": (
        V2,
        mounted(2, "/sys/fs/cgroup"),
        {"batch/job": group(3000, 3100)},
        (3000, 0),
    ),
    "version 2: an odd mount point": (
        V2,
        mounted(2, r"/odd\040place"),
        {"batch/job": group(3000, 1000)},
        (3000, 2000),
    ),
    "version 2: moved outside of what is seen": (
        "0::/../other\n",
        mounted(2, "/sys/fs/cgroup"),
        {".": group(3000, 1000)},
        (3000, 2000),
    ),
    "version 1: mounted as its own": (
        V1,
        mounted(1, "/sys/fs/cgroup/memory", top="/docker/abc", options="rw,memory"),
        {".": group(3000, 1000, 200, version=1)},
        (3000, 2200),
    ),
    "version 1: mounted as a whole": (
        V1,
        mounted(1, "/sys/fs/cgroup/memory", options="rw,memory"),
        {"docker/abc": group(3000, 1000, version=1), ".": group(UNLIMITED.strip(), 9000, version=1)},
        (3000, 2000),
    ),
    "version 1: a group that is not seen": (
        V1,
        mounted(1, "/sys/fs/cgroup/memory", top="/docker/abc", options="rw,memory"),
        {".": group(UNLIMITED.strip(), 1000, version=1, more="hierarchical_memory_limit 3000\n")},
        (3000, 2000),
    ),
    "no limit in version 1": (
        V1,
        mounted(1, "/sys/fs/cgroup/memory", options="rw,memory"),
        {"docker/abc": group(UNLIMITED.strip(), 1000, version=1)},
        None,
    ),
    "no limit in version 2": (V2, mounted(2, "/sys/fs/cgroup"), {"batch/job": group("max", 1000)}, None),
    "another controller": (V1, mounted(1, "/sys/fs/cgroup/cpu", options="rw,cpu"), {".": group(1, 1)}, None),
    "no files": (V2, mounted(2, "/sys/fs/cgroup"), {}, None),
    "no groups": ("", "", {}, None),
}


@pytest.mark.parametrize("name", TREES)
def test_memory_is_the_least_of_host_and_groups(tmp_path, name):
    own, mounts, groups, expected = TREES[name]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(own)
    (tmp_path / "proc/self/mountinfo").write_text(mounts)
    if mounts:
        top = tmp_path / mounts.splitlines()[1].split()[4].replace(r"\040", " ").lstrip("/")
        for folder, files in groups.items():
            (top / folder).mkdir(parents=True, exist_ok=True)
            for file, text in files.items():
                (top / folder / file).write_text(text)
    found = memory(tmp_path)
    if expected is not None:
        assert found == expected
    else:
        assert found.limit == psutil.virtual_memory().total
        assert 3000 < found.available <= found.limit


def test_a_system_without_such_files_has_the_memory_of_the_host(tmp_path):
    assert memory(tmp_path).limit == psutil.virtual_memory().total


def test_this_process_has_memory_and_cores():
    limit, available = memory()
    assert 0 < available <= limit <= psutil.virtual_memory().total
    assert 1 <= cores() <= (psutil.cpu_count() or 1)
