"""The servers under test: how each is configured, started, asked and stopped."""

import base64
import hashlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).parent
USER, PASSWORD = "bench", "correct horse battery"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
START_SECONDS = 30


class Failed(Exception):
    """What went wrong, for the person at the terminal."""


class Server:
    """One server with its own folder; its data stays between its starts."""

    # Path of the drive, and whether an answered PUT is on the disk already.
    root = ""
    durable = False

    def __init__(self, name, folder):
        self.name = name
        self.run = folder / name / "run"
        self.files = folder / name / "files"
        self.process = None
        self.port = 0
        for path in (self.run, self.files):
            path.mkdir(parents=True)
        if os.geteuid() == 0:
            for path in (self.run.parent, self.run, self.files):
                shutil.chown(path, "www-data", "www-data")

    def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        # As root each runs as www-data, so that none needs a user of its own.
        person = dict(user="www-data", group="www-data", extra_groups=[])
        self.process = subprocess.Popen(
            self.command(),
            cwd=self.run,
            env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL,
            stdout=open(self.run / "output.log", "ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **(person if os.geteuid() == 0 else {}),
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended at its start:\n{self.last_words()}")
            try:
                # Also lets a server with a costly password check remember this password.
                if self.ask("PROPFIND", "/", headers={"Depth": "0"})[0] == 207:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} does not answer:\n{self.last_words()}")
            time.sleep(0.02)

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            # Its own session: the group holds this server's processes and no others.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def cpu_seconds(self):
        """Processor time that all processes of this server have used since its start."""
        ticks = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                # After the name in brackets: state, parent, group, session, …
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def last_words(self):
        logs = [self.run / "output.log", self.run / "error.log"]
        lines = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
        return "\n".join("    " + line for line in lines[-12:])

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{self.root}{path}"

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None, headers=None, connection=None, login=True):
        """Sends one request and returns (status, body)."""
        once = connection or self.connect()
        headers = dict(headers or {})
        if login:
            headers["Authorization"] = AUTHORIZATION
        once.request(method, self.root + path, body=body, headers=headers)
        answer = once.getresponse()
        content = answer.read()
        if connection is None:
            once.close()
        return answer.status, content

    def must(self, method, path, *expected, **request):
        """Sends one request and returns its body; any other status ends the run."""
        status, body = self.ask(method, path, **request)
        if status not in expected:
            raise Failed(f"{self.name}: {method} {path} gave {status}\n    {body[:300]!r}")
        return body


class Peer(Server):
    """A server from Debian, configured by a template of this folder."""

    def command(self):
        template = (HERE / f"{self.name}.conf").read_text()
        passwords = self.run / "passwords"
        # An unsalted SHA-1 costs next to nothing to check, and all three know it.
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        passwords.write_text(f"{USER}:{{SHA}}{digest}\n")
        for word, value in {
            "{run}": self.run,
            "{files}": self.files,
            "{passwords}": passwords,
            "{port}": self.port,
        }.items():
            template = template.replace(word, str(value))
        config = self.run / "config"
        config.write_text(template)
        program = shutil.which(self.name, path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise Failed(f"{self.name} is not installed")
        return {
            "nginx": [program, "-c", config, "-p", self.run, "-e", self.run / "error.log"],
            "lighttpd": [program, "-D", "-f", config],
            "apache2": [program, "-D", "FOREGROUND", "-f", config],
        }[self.name]

    def environment(self):
        return {}


class Coffer(Server):
    """`cofferd` with its normal account, its defaults, and no line per request."""

    root = "/dav"
    durable = True

    def __init__(self, name, folder, program):
        super().__init__(name, folder)
        # A copy beside the data can be reached by www-data wherever the build lies.
        self.program = self.run / "cofferd"
        shutil.copy(program, self.program)

    def command(self):
        listen = f"127.0.0.1:{self.port}"
        return [self.program, "serve", "--data", self.files, "--listen", listen]

    def environment(self):
        return {
            "COFFER_ADMIN_NAME": USER,
            "COFFER_ADMIN_EMAIL": "bench@example.org",
            "COFFER_ADMIN_PASSWORD": PASSWORD,
            "COFFER_SERVER_WORKERS": "2",
            "COFFER_LOG_FILTER": "warn",
        }
