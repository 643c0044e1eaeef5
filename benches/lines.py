"""The lines of the benchmark: what is laid out, and how each line is measured."""

import concurrent.futures
import json
import os
import pathlib
import random
import re
import subprocess
import time
from dataclasses import dataclass

from .servers import AUTHORIZATION, PASSWORD, USER, Failed

LOAD = pathlib.Path(__file__).parent / "load.lua"
SMALL_BYTES = 4096
BIG_MIB = 1024
FILES = 1000
PUT_FOLDERS = 16


@dataclass(frozen=True)
class Line:
    key: str
    title: str
    unit: str
    # (server, line, run) -> sample: a dict with at least `rate`
    measure: callable
    connections: int = 0
    depth: str = ""
    entries: int = 0


@dataclass
class Run:
    """What all measurements of one round share."""

    number: int
    seconds: int
    big_file: pathlib.Path


def lay_out(server, big_file):
    """Fills a fresh drive over HTTP and checks that the server answers as it must."""
    for folder, count, size in (
        ("/files", FILES, SMALL_BYTES),
        ("/list100", 100, 100),
        ("/list10000", 10000, 100),
    ):
        server.must("MKCOL", folder + "/", 201)
        chance = random.Random(folder)
        contents = [chance.randbytes(size) for _ in range(count)]

        def upload(share, folder=folder, contents=contents):
            connection = server.connect()
            for i in range(share, len(contents), 16):
                path = f"{folder}/f{i}"
                server.must("PUT", path, 201, body=contents[i], connection=connection)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(upload, range(16)))
        for i in (0, count // 2, count - 1):
            if server.must("GET", f"{folder}/f{i}", 200) != contents[i]:
                raise Failed(f"{server.name}: {folder}/f{i} reads back differently")
        responses(server, folder + "/", "1", count + 1)
    responses(server, "/files/f0", "0", 1)
    if server.ask("GET", "/files/f0", login=False)[0] != 401:
        raise Failed(f"{server.name} serves without a password")
    curl(server, "/big", "-T", big_file)


def responses(server, path, depth, expected):
    body = server.must("PROPFIND", path, 207, headers={"Depth": depth})
    found = len(re.findall(rb"</([A-Za-z]+:)?response>", body))
    if found != expected:
        raise Failed(f"{server.name}: PROPFIND {path} lists {found} entries, not {expected}")


def wrk(server, connections, seconds, *arguments):
    """Runs wrk with two threads and returns its sample."""
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
    command += ["-s", LOAD, "-H", f"Authorization: {AUTHORIZATION}", server.url("/"), "--"]
    cpu_seconds = server.cpu_seconds()
    done = subprocess.run(
        [str(word) for word in (*command, *arguments)], capture_output=True, text=True
    )
    cpu_seconds = server.cpu_seconds() - cpu_seconds
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not result:
        raise Failed(f"wrk failed on {server.name}:\n{done.stdout}{done.stderr}")
    sample = json.loads(result[0].removeprefix("RESULT "))
    if sample["refused"] or sample["broken"] or not sample["requests"]:
        raise Failed(
            f"{server.name}: {' '.join(map(str, arguments))}: of {sample['requests']} requests "
            f"{sample['refused']} were refused and {sample['broken']} broke"
        )
    sample["rate"] = sample["requests"] / sample["seconds"]
    sample["cpu_us"] = cpu_seconds * 1e6 / sample["requests"]
    return sample


def curl(server, path, *options):
    """Moves one file and returns (seconds, the server's CPU seconds, bytes down)."""
    command = ["curl", "-sS", "-f", "-u", f"{USER}:{PASSWORD}", "-H", "Expect:", "-o", "/dev/null"]
    command += ["-w", "%{time_total} %{size_download}", *options, server.url(path)]
    cpu_seconds = server.cpu_seconds()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    cpu_seconds = server.cpu_seconds() - cpu_seconds
    if done.returncode != 0:
        raise Failed(f"{server.name}: curl {path}: {done.stderr.strip()}\n{server.last_words()}")
    seconds, down = done.stdout.split()
    return float(seconds), cpu_seconds, int(down)


def sync(server):
    """Seconds until all that was written to the file system is on the disk."""
    began = time.monotonic()
    subprocess.run(["sync", "-f", server.files], check=True)
    return time.monotonic() - began


def get_small(server, line, run):
    sample = wrk(server, line.connections, run.seconds, "get", f"{server.root}/files", FILES)
    if sample["bytes"] < sample["requests"] * SMALL_BYTES:
        raise Failed(f"{server.name}: GET answers without content")
    return sample


def propfind(server, line, run):
    if line.depth == "0":
        arguments = ["0", f"{server.root}/files", FILES]
    else:
        arguments = ["1", f"{server.root}/list{line.entries}"]
    return wrk(server, line.connections, run.seconds, "propfind", *arguments)


def put_small(server, line, run):
    folder = f"/put-{run.number}-{line.connections}"
    server.must("MKCOL", folder + "/", 201)
    for i in range(PUT_FOLDERS):
        server.must("MKCOL", f"{folder}/{i}/", 201)
    sync(server)
    arguments = ["put", server.root + folder, PUT_FOLDERS, SMALL_BYTES]
    sample = wrk(server, line.connections, run.seconds, *arguments)
    sample["sync_seconds"] = sync(server)
    total = sample["seconds"] + sample["sync_seconds"]
    sample["rate_synced"] = sample["requests"] / total
    return sample


def get_big(server, _line, _run):
    curl(server, "/big")  # read once before: all serve from memory
    seconds, cpu_seconds, down = curl(server, "/big")
    if down != BIG_MIB << 20:
        raise Failed(f"{server.name}: {down} bytes came back of {BIG_MIB} MiB")
    return {"seconds": seconds, "rate": BIG_MIB / seconds, "cpu_us": cpu_seconds * 1e6 / BIG_MIB}


def put_big(server, _line, run):
    sync(server)
    path = f"/big-{run.number}"
    seconds, cpu_seconds, _ = curl(server, path, "-T", run.big_file)
    sync_seconds = sync(server)
    if len(server.must("GET", path, 206, headers={"Range": "bytes=-9"})) != 9:
        raise Failed(f"{server.name}: {path} does not read back")
    server.must("DELETE", path, 204, 200)
    return {
        "seconds": seconds,
        "sync_seconds": sync_seconds,
        "rate": BIG_MIB / seconds,
        "cpu_us": cpu_seconds * 1e6 / BIG_MIB,
        "rate_synced": BIG_MIB / (seconds + sync_seconds),
    }


def make_big_file(path, seed):
    """Content that no earlier round has stored: Coffer would keep such a file only once."""
    chance = random.Random(seed)
    with open(path, "wb") as file:
        for _ in range(BIG_MIB):
            file.write(chance.randbytes(1 << 20))
    os.sync()


LINES = [
    Line("get-4k-c32", "GET 4 KiB, 32 connections", "requests/s", get_small, 32),
    Line("get-4k-c64", "GET 4 KiB, 64 connections", "requests/s", get_small, 64),
    Line("put-4k-c32", "PUT 4 KiB, 32 connections", "requests/s", put_small, 32),
    Line("put-4k-c64", "PUT 4 KiB, 64 connections", "requests/s", put_small, 64),
    Line("propfind-0", "PROPFIND depth 0, a file", "requests/s", propfind, 32, "0"),
    Line("propfind-100", "PROPFIND depth 1, 100 entries", "requests/s", propfind, 32, "1", 100),
    Line("propfind-10k", "PROPFIND depth 1, 10,000 entries", "requests/s", propfind, 4, "1", 10000),
    Line("get-1g", "GET 1 GiB", "MiB/s", get_big),
    Line("put-1g", "PUT 1 GiB", "MiB/s", put_big),
]
QUICK = [line for line in LINES if not line.key.endswith("-c32")]
