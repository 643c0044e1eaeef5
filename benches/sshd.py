"""An OpenSSH server of the run's own: keys, port and folder; it uses nothing of the system's."""

import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from benches.servers import Failed

START_SECONDS = 30
STOP_SECONDS = 20
# Compiled into sshd, which as root does not start without it.
EMPTY = pathlib.Path("/run/sshd")


class Sshd:
    """`sshd` for SFTP and one key alone; `config` is what a client needs to log in."""

    HOST = "bench"

    def __init__(self, folder):
        self.run = folder
        self.files = folder / "files"
        self.config = folder / "ssh_config"
        self.log = folder / "sshd.log"
        self.process = None
        self.files.mkdir()
        self.run.chmod(0o700)

    def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # A real sshd started meanwhile may come to need it as well: it stays.
        if os.geteuid() == 0:
            EMPTY.mkdir(mode=0o755, exist_ok=True)
        self.configure(port)
        # It starts itself again for each connection, and so must know its path.
        program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise Failed("sshd is not installed (Debian package openssh-server)")
        self.process = subprocess.Popen(
            [program, "-D", "-e", "-f", self.run / "sshd_config"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open(self.log, "ab"),
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if self.process.poll() is not None:
                raise Failed(f"sshd ended at its start:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise Failed(f"sshd does not answer:\n{self.last_words()}")
            time.sleep(0.02)

    def configure(self, port):
        host, user = self.run / "host_key", self.run / "user_key"
        for key in (host, user):
            if not key.exists():
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", key]
                subprocess.run(command, check=True)
        public = host.with_suffix(".pub").read_text()
        (self.run / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
        (self.run / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nHostKey \"{host}\"\n"
            f"AuthorizedKeysFile \"{user}.pub\"\nAllowUsers {getpass.getuser()}\n"
            "AuthenticationMethods publickey\nPermitRootLogin prohibit-password\nUsePAM no\n"
            # The folders above the run's may belong to anyone: their rights are not our matter.
            "StrictModes no\n"
            "DisableForwarding yes\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n"
        )
        self.config.write_text(
            f"Host {self.HOST}\nHostName 127.0.0.1\nPort {port}\nUser {getpass.getuser()}\n"
            f"IdentityFile \"{user}\"\nIdentitiesOnly yes\nIdentityAgent none\nBatchMode yes\n"
            f"UserKnownHostsFile \"{self.run / 'known_hosts'}\"\nStrictHostKeyChecking yes\n"
            "GlobalKnownHostsFile /dev/null\n"
        )

    def stop(self):
        """Ends the server, and its connections should their clients not have done so."""
        if self.process is None:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while self.connections() and time.monotonic() < deadline:
            time.sleep(0.02)
        # Each connection is a session of processes of its own, which outlives the server.
        for left in self.connections():
            try:
                os.killpg(left, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def connections(self):
        """The first process of each connection that still lives."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                # After the name in brackets: state, parent, …
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == self.process.pid and state != "Z":
                found.append(int(stat.parent.name))
        return found

    def last_words(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return "\n".join("    " + line for line in lines[-12:])


def answers(port):
    """Whether an SSH server greets there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
