"""What people do with a mounted drive, each timed on one mount."""

import os
import random
import sqlite3
import subprocess
import tarfile
import time

from benches.servers import Failed

BIG_MIB = 1024
BLOCK = 1 << 20


class Figures:
    """What was measured: a rate or a time by its key."""

    def __init__(self):
        self.values = {}

    def rate(self, key, amount, seconds):
        self.values[key] = amount / seconds


def timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def make_tree(folder, files):
    """A tar of many small files, as a source tree has them."""
    chance = random.Random(1)
    path = folder / "tree.tar"
    size = 0
    tree = folder / "tree"
    for number in range(files):
        file = tree / f"d{number % 40:02}" / f"e{number % 7}" / f"file{number:05}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = chance.randbytes(chance.randrange(200, 9000))
        file.write_bytes(content)
        size += len(content)
    with tarfile.open(path, "w") as archive:
        archive.add(tree, arcname="tree")
    return path, files, size


def write_big(path, mib):
    block = os.urandom(BLOCK)
    with open(path, "wb", buffering=0) as file:
        for number in range(mib):
            file.write(number.to_bytes(8, "little") + block[8:])


def read_big(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(BLOCK):
            pass


def random_reads(path, mib, count):
    chance = random.Random(2)
    descriptor = os.open(path, os.O_RDONLY)
    for _ in range(count):
        os.pread(descriptor, 4096, chance.randrange(mib << 8) << 12)
    os.close(descriptor)


def each(folder, count, work):
    for number in range(count):
        work(folder / f"f{number:05}")


def create(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def write_small(path):
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.write(descriptor, bytes(4096))
    os.close(descriptor)


def read_small(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.read(descriptor, 4096)
    os.close(descriptor)


def find(folder):
    return sum(len(files) for _, _, files in os.walk(folder))


def list_long(folder):
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size >= 0 for entry in entries)


def transactions(path, count):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE t (number INTEGER PRIMARY KEY, text TEXT)")
    for number in range(count):
        with database:
            database.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 100))
    (found,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    if found != "ok":
        raise Failed(f"the database is damaged: {found}")


def save(path, count):
    """As an editor saves: a new file, fsync, rename over the old one."""
    for number in range(count):
        new = path.with_suffix(".new")
        with open(new, "wb") as file:
            file.write(os.urandom(20_000) + number.to_bytes(8, "little"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, path)


def run(mount, tree, scale, say):
    """Everything, on one mount, which is mounted anew with an empty cache where that matters."""
    figures = Figures()
    mib = max(16, int(BIG_MIB * scale))
    small = max(200, int(4000 * scale))
    mount.prepare()
    mount.mount()
    point = mount.point
    big = point / "big"

    seconds = timed(lambda: write_big(big, mib))
    figures.rate("write-1g", mib, seconds)
    sent = time.monotonic()
    mount.wait_until_sent((1, mib << 20))
    figures.rate("write-1g-sent", mib, seconds + time.monotonic() - sent)
    mount.unmount()
    mount.mount()
    figures.rate("read-1g-cold", mib, timed(lambda: read_big(big)))
    figures.rate("read-1g-warm", mib, min(timed(lambda: read_big(big)) for _ in range(3)))
    count = 100_000 if scale >= 1 else 20_000
    figures.rate("random-4k-warm", count, timed(lambda: random_reads(big, mib, count)))
    os.remove(big)
    mount.wait_until_sent((0, 0))
    say(f"{mount.name}: one large file")

    files = point / "small"
    files.mkdir()
    figures.rate("create", small, timed(lambda: each(files, small, create)))
    figures.rate("write-4k", small, timed(lambda: each(files, small, write_small)))
    mount.wait_until_sent((small, small * 4096))
    figures.rate("read-4k", small, min(timed(lambda: each(files, small, read_small)) for _ in "12"))
    figures.rate("stat", small, min(timed(lambda: each(files, small, os.stat)) for _ in "123"))
    mount.unmount()
    mount.mount()
    figures.rate("list-cold", small, timed(lambda: list_long(files)))
    figures.rate("list-warm", small, min(timed(lambda: list_long(files)) for _ in "12"))
    figures.rate("remove", small, timed(lambda: each(files, small, os.remove)))
    files.rmdir()
    mount.wait_until_sent((0, 0))
    say(f"{mount.name}: small files")

    path, count, size = tree
    command = ["tar", "--no-same-owner", "-xf", path, "-C", point]
    seconds = timed(lambda: subprocess.run(command, check=True))
    figures.rate("untar", count, seconds)
    sent = time.monotonic()
    mount.wait_until_sent((count, size))
    figures.rate("untar-sent", count, seconds + time.monotonic() - sent)
    mount.unmount()
    mount.mount()
    seconds = timed(lambda: find(point / "tree"))
    found = find(point / "tree")
    if found != count:
        raise Failed(f"{mount.name}: {count} files written, {found} found")
    figures.rate("find-cold", count, seconds)
    command = ["rm", "-rf", point / "tree"]
    figures.rate("rm-rf", count, timed(lambda: subprocess.run(command, check=True)))
    mount.wait_until_sent((0, 0))
    say(f"{mount.name}: a tree")

    saves = max(50, int(200 * scale))
    figures.rate("save", saves, timed(lambda: save(point / "document", saves)))
    rows = max(100, int(1000 * scale))
    figures.rate("sqlite", rows, timed(lambda: transactions(point / "data.db", rows)))
    figures.values["resident"] = mount.resident_mib()
    mount.unmount()
    return figures.values


# Key, title and unit of each line; the greater the better, but of the last.
LINES = [
    ("write-1g", "write 1 GiB", "MiB/s"),
    ("write-1g-sent", "write 1 GiB, until it is on the server", "MiB/s"),
    ("read-1g-cold", "read 1 GiB, empty cache", "MiB/s"),
    ("read-1g-warm", "read 1 GiB again", "MiB/s"),
    ("random-4k-warm", "random reads of 4 KiB in it", "/s"),
    ("create", "create empty files", "/s"),
    ("write-4k", "write files of 4 KiB", "/s"),
    ("read-4k", "open and read files of 4 KiB again", "/s"),
    ("stat", "stat", "/s"),
    ("list-cold", "ls -l, empty cache", "entries/s"),
    ("list-warm", "ls -l again", "entries/s"),
    ("remove", "remove files", "/s"),
    ("untar", "tar x", "files/s"),
    ("untar-sent", "tar x, until all is on the server", "files/s"),
    ("find-cold", "find, empty cache", "files/s"),
    ("rm-rf", "rm -rf", "files/s"),
    ("save", "save a document: write, fsync, rename", "/s"),
    ("sqlite", "SQLite transactions", "/s"),
    ("resident", "resident memory at the end", "MiB"),
]
