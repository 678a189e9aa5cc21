"""Private servers and the services, as processes that can be killed and started again."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # without the wrapper that insists on a user
START = 120


class Failed(Exception):
    """Something that must happen did not."""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_until(what, limit, holds):
    """Asks again until an answer is true."""
    end = time.monotonic() + limit
    while not (answer := holds()):
        if time.monotonic() > end:
            raise Failed(f"after {limit} s still not so: {what}")
        time.sleep(0.05)
    return answer


class Process:
    """A process with a log. It dies with this program, where Linux can arrange that."""

    def __init__(self, name, command, log, variables):
        self.name, self.command, self.log = name, command, log
        self.variables = {"PATH": os.environ["PATH"], "HOME": str(log.parent), **variables}
        self.child = None

    def start(self):
        tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                tied + self.command, env=self.variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def end(self, how=signal.SIGTERM, limit=60):
        """Ends the process, and says with which status."""
        if self.child is None:
            return 0
        self.child.send_signal(how)
        try:
            status = self.child.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} does not end within {limit} s") from None
        self.child = None
        return status

    def check(self):
        if self.child is not None and self.child.poll() is not None:
            tail = b"\n".join(self.log.read_bytes().splitlines()[-20:]).decode(errors="replace")
            raise Failed(f"{self.name} ended by itself with status {self.child.returncode}:\n{tail}")


class Redis(Process):
    """A Redis that has each change on the disk before it answers."""

    def __init__(self, folder):
        folder.mkdir()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
        }
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        super().__init__("Redis", ["redis-server", *words], folder / "log", {})

    def connect(self):
        # Without retries, so that a call is one sample or none.
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, socket_timeout=10, socket_connect_timeout=2, retry=retry)

    def start(self):
        super().start()
        wait_until("Redis answers", START, self.answers)

    def answers(self):
        self.check()
        try:
            return self.connect().ping()
        except redis.RedisError:
            return False


class RabbitMQ(Process):
    """A RabbitMQ node, with a port mapper of its own."""

    def __init__(self, folder):
        folder.mkdir()
        self.port, mapper, distribution = free_port(), free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        cookie = folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (folder / "plugins").write_text("[].\n")
        (folder / "env").write_text("")
        hosts = folder / "inetrc"
        hosts.write_text('{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file, native]}.\n')
        names = {"ERL_EPMD_PORT": str(mapper), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        where = ["-port", str(mapper), "-address", "127.0.0.1"]
        self.mapper = Process("epmd", ["epmd", *where], folder / "epmd.log", names)
        variables = {
            **names,
            "ERL_AFLAGS": "-start_epmd false",
            "ERL_INETRC": str(hosts),
            "RABBITMQ_NODENAME": "proof@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "env"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILES": str(folder / "none.d"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "detached": "true",  # the start script becomes the node, so that signals reach it
        }
        server = RABBITMQ if Path(RABBITMQ).exists() else "rabbitmq-server"
        super().__init__("RabbitMQ", [server], folder / "node.log", variables)

    def start(self):
        if self.mapper.child is None:
            self.mapper.start()
        super().start()
        wait_until("RabbitMQ answers", START, self.answers)

    def answers(self):
        self.check()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as asked:
                asked.sendall(b"AMQP\0\0\x09\x01")
                return asked.recv(1) == b"\x01"
        except OSError:
            return False


class Service(Process):
    """A service of the program: `bridge`, `executor` or `api`."""

    def __init__(self, program, service, name, folder, variables):
        self.port = free_port()
        key = "UPSHOT_API__LISTEN" if service == "api" else "UPSHOT_PROBES__LISTEN"
        self.url = f"http://127.0.0.1:{self.port}"
        variables = {**variables, key: f"127.0.0.1:{self.port}"}
        super().__init__(name, [program, service], folder / f"{name}.log", variables)
