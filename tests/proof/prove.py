"""Proves the books of the ledger under load and faults, with none of Upshot's code.

    prove.py PROGRAM [EVENTS] [KILLS] [RATE]

docs/proof.md says what is proven, and what the output means.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import recount
from operate import Operator
from publish import Publisher
from sample import Sampler
from servers import Failed, RabbitMQ, Redis, Service, wait_until

HERE = Path(__file__).resolve().parent
QUEUES = ("orders", "money")
STILL = 90  # seconds without a change of the books after which the rest does not come


class Proof:
    """One run."""

    def __init__(self, program, events, kills, rate, folder):
        self.program, self.events, self.kills = program, events, kills
        self.failure = None
        self.jobs = self.rows = 0  # those that the confirmed events become
        self.fault = threading.Lock()
        self.redis, self.rabbitmq = Redis(folder / "redis"), RabbitMQ(folder / "rabbitmq")
        self.variables = {
            "UPSHOT_CONFIG": str(HERE / "upshot.toml"),
            "UPSHOT_CONTRACTS__DIR": str(HERE / "contracts"),
            "UPSHOT_DATA_DIR": str(folder / "data"),
            "UPSHOT_AMQP_URL": self.rabbitmq.url,
            "UPSHOT_REDIS_URL": self.redis.url,
        }
        service = lambda kind, name: Service(program, kind, name, folder, self.variables)
        self.api = service("api", "api")
        self.victims = [
            service("bridge", "bridge-1"), service("executor", "executor-1"),
            service("bridge", "bridge-2"), service("executor", "executor-2"),
        ]
        self.services = [self.api, *self.victims]
        self.publisher = Publisher(self.rabbitmq.url, events, rate, self.failed)
        self.operator = Operator(self.api.url, self.failed)
        self.publisher.noted = self.operator.note
        self.sampler = Sampler(self.redis.connect(), QUEUES, self.failed)
        self.killed = {"bridge": 0, "executor": 0}

    def failed(self, why):
        with self.fault:
            self.failure = self.failure or why

    def check(self):
        if self.failure:
            raise Failed(self.failure)
        for process in (self.redis, self.rabbitmq, *self.services):
            process.check()

    def run(self):
        self.start()
        began = time.monotonic()
        self.publisher.start()
        self.operator.start()
        self.sampler.start()
        self.follow(lambda: not self.publisher.is_alive(), self.faults())
        published = time.monotonic() - began
        self.count()
        say(f"published after {published:.0f} s; waiting for the last jobs")
        self.follow(self.at_rest, iter(()))
        self.operator.over.set()
        took = time.monotonic() - began
        self.sampler.over.set()
        self.sampler.join(30)
        self.sampler.round()
        self.check()
        return self.conclude(published, took)

    def start(self):
        say("starting Redis and RabbitMQ")
        self.redis.start()
        self.rabbitmq.start()
        for service in self.services:
            service.start()
        for service in self.services:
            wait_until(f"{service.name} is ready", 60, lambda service=service: self.is_ready(service))

    def is_ready(self, service):
        service.check()
        try:
            return urllib.request.urlopen(service.url + "/readyz", timeout=5).status == 200
        except OSError:
            return False

    def faults(self):
        """(after how many confirms, the fault), in order."""
        # A victim's turn comes again after the others have had theirs.
        turns = itertools.islice(itertools.cycle(self.victims), self.kills)
        plan = [((n + 1) / (self.kills + 1), lambda victim=victim: self.kill(victim)) for n, victim in enumerate(turns)]
        plan += [
            (0.31, lambda: self.restart(self.redis, signal.SIGTERM)),
            (0.51, lambda: self.restart(self.rabbitmq, signal.SIGKILL)),
            (0.71, lambda: self.restart(self.redis, signal.SIGKILL)),
        ]
        return iter(sorted(((int(at * self.events), fault) for at, fault in plan), key=lambda each: each[0]))

    def kill(self, victim):
        victim.end(signal.SIGKILL)
        victim.start()
        self.killed[victim.name.split("-")[0]] += 1
        self.progress(f"killed {victim.name}")

    def restart(self, server, how):
        server.end(how)
        server.start()
        self.progress(f"restarted {server.name} ({how.name})")

    def progress(self, what):
        done, samples = len(self.publisher.confirmed), self.sampler.samples
        say(f"{what}; {done} of {self.events} confirmed, {samples} samples")

    def follow(self, is_over, faults):
        """Brings about the faults as events are confirmed, until it is over or nothing moves."""
        fault = next(faults, None)
        seen, since = None, time.monotonic()
        while not is_over():
            self.check()
            if fault and len(self.publisher.confirmed) >= fault[0]:
                fault[1]()
                fault = next(faults, None)
            books = [sample.books for sample in self.sampler.last.values()]
            now = (len(self.publisher.confirmed), books)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > STILL:
                raise Failed(f"nothing has moved for {STILL} s: {self.left()}")
            time.sleep(0.02)
        while fault:  # the publisher was too quick for it
            fault[1]()
            fault = next(faults, None)
            self.check()

    def count(self):
        """Counts what the list of confirms asks for."""
        confirmed = self.publisher.confirmed.values()
        self.jobs = sum(len(event.routes) for event in confirmed)
        self.rows = sum(event.fate == "quarantined" for event in confirmed)

    def at_rest(self):
        queues, quarantine = self.sampler.last.values(), self.sampler.quarantine
        if len(queues) < len(QUEUES) or quarantine is None or quarantine.rows < self.rows:
            return False
        jobs = sum(count for each in queues for name, count in each.books.items() if name.endswith("|r>o"))
        return jobs >= self.jobs and not any(each.total("ovwny") for each in queues)

    def left(self):
        queues = {queue: dict(sample.balances) for queue, sample in self.sampler.last.items()}
        return f"{self.jobs} jobs and {self.rows} rows of quarantine are expected, the books say {queues}"

    def conclude(self, published, took):
        say("at rest; auditing and recounting")
        command = [self.program, "audit", "--json"]
        audit = subprocess.run(command, env=self.variables, capture_output=True, text=True, timeout=600)
        wrong = []
        if audit.returncode:
            wrong.append(f"`audit` ended with {audit.returncode}: {audit.stderr}")
        elif (unexplained := json.loads(audit.stdout)["unexplained"]) != 0:
            wrong.append(f"`audit` says that {unexplained} are unexplained")
        for service in self.services:
            if status := service.end():
                wrong.append(f"{service.name} ended with status {status}")
        routes, differing = recount.of_redis(self.redis.connect(), self.sampler.last, self.publisher)
        quarantine, also = recount.of_rabbitmq(self.rabbitmq.url, self.sampler.quarantine, self.publisher)
        wrong += differing + also
        if wrong:
            raise Failed("\n".join(wrong))
        return {
            "events": self.events, "jobs": self.jobs, "seconds": round(took), "published": round(published),
            "killed": self.killed, "restarted": {"redis": 2, "rabbitmq": 1},
            "samples": self.sampler.samples, "deviations": len(self.sampler.deviations),
            "samples without redis": self.sampler.missed,
            "sent again without a confirm": self.publisher.again, "operator": self.operator.asked,
            "routes": routes, "quarantine": quarantine, "unexplained": 0,
        }

    def end(self):
        self.publisher.over.set()
        self.sampler.over.set()
        self.operator.over.set()
        for process in (*self.services, self.redis, self.rabbitmq, self.rabbitmq.mapper):
            if process.child is not None:
                process.child.kill()
                process.child.wait()


def say(text):
    print(f"prove: {text}", file=sys.stderr, flush=True)


def main():
    sys.setswitchinterval(0.0005)  # the sampler's turn comes soon, while the publisher is busy
    program, *numbers = sys.argv[1:]
    events, kills, rate = [int(number) for number in numbers] + [100_000, 20, 800][len(numbers) :]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="upshot-proof-") as folder:
        proof = Proof(os.path.abspath(program), events, kills, rate, Path(folder))
        try:
            figures = proof.run()
        except Failed as why:
            say(f"FAILED: {why}")
            keep = os.environ.get("UPSHOT_PROOF_KEEP")
            if keep:
                subprocess.run(["cp", "-a", folder, keep], check=False)
                say(f"logs and data are in {keep}")
            sys.exit(1)
        finally:
            proof.end()
    print(json.dumps(figures, indent=2))
    say("proven")


if __name__ == "__main__":
    main()
