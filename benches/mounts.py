"""The mounts under test: those over one daemon, each in a folder of it; sshfs; the local disk."""

import http.client
import json
import os
import pathlib
import shutil
import subprocess
import time

from benches.servers import AUTHORIZATION, PASSWORD, USER, Failed
from benches.sshd import Sshd

START_SECONDS = 30
STOP_SECONDS = 20
SEND_SECONDS = 600


class Mount:
    """One way to have a drive as a folder. Its cache is empty whenever it is mounted."""

    def __init__(self, name, folder, server):
        self.name = name
        self.server = server
        self.run = folder / name
        self.cache = self.run / "cache"
        self.point = self.run / "mnt"
        self.point.mkdir(parents=True)
        self.secret = self.run / "password"
        self.secret.write_text(PASSWORD + "\n")
        self.secret.chmod(0o600)
        # Each has a folder of the drive for itself.
        self.place = f"/{name}"
        self.process = None

    def prepare(self):
        self.server.must("MKCOL", self.place, 201, 405)

    def command(self):
        raise NotImplementedError

    def mount(self):
        """Mounts with an empty cache; returns when the folder answers."""
        shutil.rmtree(self.cache, ignore_errors=True)
        self.make_cache()
        drop_caches()
        log = open(self.run / "output.log", "ab")
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + START_SECONDS
        while not os.path.ismount(self.point):
            if self.process.poll() not in (None, 0):
                raise Failed(f"{self.name} ended at its start, see {self.run}/output.log")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} does not mount, see {self.run}/output.log")
            time.sleep(0.02)

    def make_cache(self):
        self.cache.mkdir(mode=0o700)

    def unmount(self):
        subprocess.run(["umount", self.point], check=True)
        self.process.wait(timeout=SEND_SECONDS)

    def stop(self):
        """Leaves nothing mounted, however far this came."""
        subprocess.run(["umount", "-l", self.point], stderr=subprocess.DEVNULL)

    def wait_until_sent(self, expected):
        """Until the server lists as many files and bytes as were written."""
        deadline = time.monotonic() + SEND_SECONDS
        while True:
            found = self.on_server()
            if found == expected:
                return
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: {expected} (files, bytes) written, {found} arrived")
            time.sleep(0.02)

    def on_server(self):
        """Files and bytes of this mount's folder, as the server has them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        files, size, cursor = 0, 0, ""
        while True:
            path = f"/api/v1/files?path={self.place}&recursive=true&limit=1000{cursor}"
            connection.request("GET", path, headers={"Authorization": AUTHORIZATION})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            if answer.status != 200:
                raise Failed(f"{path}: {body}")
            items = [item for item in body["items"] if item["kind"] == "file"]
            files += len(items)
            size += sum(item["size_bytes"] for item in items)
            if not body.get("next_cursor"):
                return files, size
            cursor = "&cursor=" + body["next_cursor"]

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


class Coffer(Mount):
    """`coffer mount`, whose fsync waits for the server; or for this disk, as that of the peers."""

    def __init__(self, name, folder, server, program, fsync):
        super().__init__(name, folder, server)
        self.program = program
        self.fsync = fsync

    def command(self):
        url = self.server.url(self.place + "/")
        return [self.program, "mount", url, self.point, "--foreground", "--user", USER,
                "--password-file", self.secret, "--cache", self.cache,
                "--fsync", self.fsync]


class Rclone(Mount):
    """`rclone mount`, with the cache that it needs for random writes."""

    def command(self):
        obscured = subprocess.run(
            ["rclone", "obscure", "-"], input=PASSWORD, text=True, capture_output=True, check=True
        ).stdout.strip()
        config = self.run / "rclone.conf"
        config.write_text(
            f"[drive]\ntype = webdav\nvendor = other\nurl = {self.server.url(self.place)}\n"
            f"user = {USER}\npass = {obscured}\n"
        )
        config.chmod(0o600)
        command = ["rclone", "--config", config, "mount", "drive:", self.point,
                   "--vfs-cache-mode", "full", "--cache-dir", self.cache,
                   "--vfs-write-back", "1s", "--transfers", "8"]
        return command + (["--webdav-pacer-min-sleep", "0"] if newer() else [])


class Davfs(Mount):
    """`mount.davfs`, which sends in the background ten seconds after a file is closed."""

    def command(self):
        secrets = self.run / "secrets"
        url = self.server.url(self.place + "/")
        secrets.write_text(f"{url} {USER} \"{PASSWORD}\"\n")
        secrets.chmod(0o600)
        config = self.run / "davfs2.conf"
        # The buffer: without, this program cannot list folders on newer kernels.
        config.write_text(
            f"secrets {secrets}\ncache_dir {self.cache}\ncache_size 4096\nbuf_size 256\n"
            "ask_auth 0\nuse_locks 0\ndelay_upload 1\n"
        )
        config.chmod(0o600)
        return ["mount.davfs", url, self.point, "-o", f"conf={config}"]

    def make_cache(self):
        # It runs as a user of its own, who must get there.
        self.cache.mkdir()
        shutil.chown(self.cache, group="davfs2")
        self.cache.chmod(0o775)

    def unmount(self):
        subprocess.run(["umount", self.point], check=True, stdout=subprocess.DEVNULL)

    def resident_mib(self):
        return 0.0


class Sshfs(Mount):
    """`sshfs` to a server of its own, over a folder of the disk that the daemon uses."""

    def __init__(self, name, folder, server):
        super().__init__(name, folder, server)
        self.sshd = Sshd(self.run)

    def prepare(self):
        self.sshd.start()

    def command(self):
        # What people take who want it to last and to be fast: else each open reads all again.
        options = "reconnect,ServerAliveInterval=15,auto_cache"
        return ["sshfs", f"{Sshd.HOST}:{self.sshd.files}", self.point, "-f",
                "-F", self.sshd.config, "-o", options]

    def stop(self):
        super().stop()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.sshd.stop()
        shutil.rmtree(self.sshd.files)
        self.sshd.files.mkdir()

    def wait_until_sent(self, expected):
        super().wait_until_sent(expected)
        # Its server answers when its kernel has the files: as with those of the local disk.
        os.sync()

    def on_server(self):
        found = [file.lstat().st_size for file in self.sshd.files.rglob("*") if file.is_file()]
        return len(found), sum(found)

    def resident_mib(self):
        """With its `ssh`, which is in the same session."""
        pages = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                # After the name in brackets: state, parent, group, session, …, resident pages
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                pages += int(fields[21])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Local(Mount):
    """A folder of the local disk: what a mount can at best be."""

    def prepare(self):
        pass

    def mount(self):
        drop_caches()

    def unmount(self):
        pass

    def wait_until_sent(self, expected):
        os.sync()

    def resident_mib(self):
        return 0.0


def newer():
    """Whether this rclone knows how not to pause between requests."""
    found = subprocess.run(["rclone", "help", "flags"], capture_output=True, text=True)
    return "--webdav-pacer-min-sleep" in found.stdout


def drop_caches():
    """What was read before must not be in the kernel's memory; only root can see to that."""
    os.sync()
    if os.geteuid() == 0:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
