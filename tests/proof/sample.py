"""Samples the books all the time: of each queue and of the quarantine, each at one moment."""

import collections
import threading
import time

import redis

# One call, so one moment: the books, and what they must equal.
SAMPLE = """
local queue = KEYS[1]
local function size(name) return redis.call('ZCARD', queue .. ':' .. name) end
local control = redis.call('HMGET', queue, 'ready:0', 'ready:1', 'ready:2', 'ready:3', 'running', 'succeeded')
local sizes = {size('scheduled'), size('parked'), size('dead'), size('cancelled')}
local routes = redis.call('HGETALL', queue .. ':routes')
local listed = {}
for i = 2, #routes, 2 do
  for letter in string.gmatch('vnlpmcx', '.') do
    local name = routes[i] .. ':' .. letter
    listed[#listed + 1] = name
    listed[#listed + 1] = size('outcomes:' .. name)
  end
end
return {redis.call('HGETALL', queue .. ':books'), control, sizes, routes, listed}
"""
# The same of the ledger's own slot: the book of the bridge, and the rows about quarantine.
QUARANTINE = """
local slot = KEYS[1]
return {
  redis.call('HGETALL', slot .. ':book'),
  redis.call('ZCARD', slot .. ':quarantine'), redis.call('HLEN', slot .. ':quarantine:rows'),
  redis.call('HGET', slot, 'copies') or '0',
}
"""
UNFINISHED = "ovwny"
DONE = "tlp"
PAUSE = 0.005


def pairs(flat):
    texts = [item.decode() if isinstance(item, bytes) else item for item in flat]
    return dict(zip(texts[::2], texts[1::2]))


def fallen(before, after):
    """Counts that are lower than before."""
    if before is None:
        return []
    lower = [(name, count, after.books.get(name, 0)) for name, count in before.books.items()]
    return [f"{name}: {was} moves before, {count} after" for name, was, count in lower if count < was]


class Quarantine:
    """The book of the bridge at one moment."""

    def __init__(self, answer):
        book, self.index, self.rows, copies = answer
        self.books = {name: int(count) for name, count in pairs(book).items()}
        self.copies = int(copies)
        self.reasons = collections.Counter()
        for name, count in self.books.items():
            move, reason = name.split("|")
            source, target = move.split(">")
            self.reasons[reason] += count * ((target == "quarantined") - (source == "quarantined"))

    def deviations(self, before):
        balance, found = sum(self.reasons.values()), fallen(before, self)
        if not balance == self.index == self.rows:
            found.append(f"quarantine: the book says {balance}, listed are {self.index}, rows {self.rows}")
        return found

    def __str__(self):
        return f"book: {self.books}"


class Sample:
    """The books of a queue at one moment."""

    def __init__(self, answer):
        books, control, sizes, routes, listed = answer
        self.books = {name: int(count) for name, count in pairs(books).items()}
        self.routes = {name: number for name, number in pairs(routes).items() if not name.startswith("#")}
        self.listed = pairs(listed)
        numbers = [int(number or 0) for number in control]
        self.ready, self.running, self.succeeded = numbers[:4], numbers[4], numbers[5]
        self.scheduled, self.parked, self.dead, self.cancelled = sizes
        self.balances = collections.Counter()
        for name, count in self.books.items():
            route, move = name.split("|")
            self.balances[route, move[0]] -= count
            self.balances[route, move[2]] += count

    def total(self, letters):
        return sum(count for (_, letter), count in self.balances.items() if letter in letters)

    def moved(self, route, move):
        return self.books.get(f"{self.routes.get(route, '?')}|{move}", 0)

    def deviations(self, before):
        """What is not exact; `before` is an earlier sample."""
        found = []

        def equal(what, books, counted):
            if books != counted:
                found.append(f"{what}: the books say {books}, Redis holds {counted}")

        jobs = sum(self.ready) + self.running + self.scheduled + self.parked
        equal("jobs that have not ended", self.total(UNFINISHED), jobs)
        equal("jobs that succeeded", self.total(DONE), self.succeeded)
        equal("dead jobs", self.total("m"), self.dead)
        equal("cancelled jobs", self.total("c"), self.cancelled)
        for name, size in self.listed.items():
            route, letter = name.split(":")
            accounts = "xy" if letter == "x" else letter
            equal(f"index {name}", sum(self.balances[route, each] for each in accounts), size)
        for (route, letter), count in self.balances.items():
            if count < 0 and letter != "r":
                found.append(f"route {route}, account {letter}: the balance is {count}")
        return found + fallen(before, self)

    def __str__(self):
        return (
            f"books: {self.books}\nready {self.ready}, running {self.running}, "
            f"scheduled {self.scheduled}, parked {self.parked}, listed {self.listed}"
        )


class Sampler(threading.Thread):
    """Takes samples until it is told to stop."""

    def __init__(self, connection, queues, failed):
        super().__init__(name="sampler", daemon=True)
        self.queues, self.failed = queues, failed
        self.redis = connection
        self.script = connection.register_script(SAMPLE)
        self.ledger = connection.register_script(QUARANTINE)
        self.last, self.quarantine = {}, None
        self.samples = self.missed = 0
        self.deviations = []
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            self.round()
            time.sleep(PAUSE)

    def round(self):
        """Takes a sample of each slot."""
        try:
            for queue in self.queues:
                sample = Sample(self.script(keys=[f"upshot:{{{queue}}}"]))
                self.judge(f"queue {queue}", sample, self.last.get(queue))
                self.last[queue] = sample
            quarantine = Quarantine(self.ledger(keys=["upshot:{@ledger}"]))
            self.judge("the ledger's slot", quarantine, self.quarantine)
            self.quarantine = quarantine
        except (redis.RedisError, OSError):
            self.missed += 1  # Redis is away
            time.sleep(0.02)

    def judge(self, slot, sample, before):
        self.samples += 1
        if found := sample.deviations(before):
            self.deviations.append(found)
            self.failed(f"{slot}, sample {self.samples}: " + "; ".join(found) + f"\n{sample}")
