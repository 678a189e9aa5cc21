"""Publishes the planned messages with publisher confirms, and keeps the list of confirms."""

import collections
import heapq
import json
import threading
import time
from datetime import datetime, timedelta, timezone

import pika

WITHIN = 3600  # `within` of every route, in seconds
LATE = 3  # a late event's outcome is due so many seconds after its publication
WINDOW = 1000  # messages that wait for a confirm at the same time
SPREAD = 2000  # a planted duplicate follows within so many events
FATES = {7: "quarantined", 17: "duplicate", 27: "dead", 37: "cancelled", 47: "late", 57: "retried"}
ROUTES = {"order.placed.v1": ("confirm", "bill"), "parcel.sent.v1": ("track",)}


class Event:
    """A planned event."""

    def __init__(self, number):
        block = number // 100
        self.number = number
        self.source = f"/proof/{number % 3}"
        self.id = f"event-{number}"
        self.type = list(ROUTES)[(number + block) % 2]
        self.fate = FATES.get(number % 100, "achieved")
        self.way = (block // 2) % 4
        self.text = None

    @property
    def routes(self):
        return () if self.fate == "quarantined" else ROUTES[self.type]

    @property
    def words(self):
        """What the event tells its handlers."""
        if self.fate == "dead":
            return "die"
        two = {"cancelled": ("hold", "park"), "retried": ("retry", "revive")}.get(self.fate)
        if two:
            return two[self.way % 2]
        return "late" if self.fate == "late" else "achieve"

    def body(self):
        """The same text each time, as of a producer with an outbox."""
        if self.text is None:
            self.text = self.write()
        return self.text

    def write(self):
        now = datetime.now(timezone.utc)
        if self.fate == "late":
            now += timedelta(seconds=LATE - WITHIN)
        event = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.id,
            "tenant": f"tenant-{self.number % 5}",
            "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": {"number": self.number, "fate": self.words},
        }
        if self.fate != "quarantined":
            return json.dumps(event)
        if self.way == 0:
            event["data"] = {"number": "none"}  # breaks the contract
        elif self.way == 1:
            event["type"] = "order.unknown.v1"  # has no route
        elif self.way == 2:
            del event["source"]  # is no CloudEvent
        else:
            return json.dumps(event)[:-9]  # is no JSON
        return json.dumps(event)


class Publisher(threading.Thread):
    """Publishes events, and each one again that was not confirmed."""

    def __init__(self, url, events, rate, failed):
        super().__init__(name="publisher", daemon=True)
        self.url, self.rate, self.failed = url, rate, failed
        self.noted = lambda event: None  # hears of each event at its first confirm
        self.confirmed = {}  # (source, id): the event, once RabbitMQ has confirmed it
        self.planted = set()  # those that were confirmed a second time, as planned
        self.again = 0  # messages that were sent again because no confirm came
        self.connections = 0
        self.waiting = self.plan(events)
        self.returned = collections.deque()  # messages to send again
        self.unconfirmed = collections.OrderedDict()  # delivery tag: message
        self.done = False
        self.over = threading.Event()

    def plan(self, events):
        later = []
        for number in range(events):
            event = Event(number)
            if event.fate == "duplicate":
                heapq.heappush(later, (number + 1 + number * 7919 % SPREAD, number, event))
            yield event, event.body(), False
            while later and later[0][0] <= number:
                event = heapq.heappop(later)[2]
                yield event, event.body(), True
        while later:
            event = heapq.heappop(later)[2]
            yield event, event.body(), True

    def run(self):
        try:
            while not self.done and not self.over.is_set():
                self.session()
                if self.unconfirmed:
                    self.again += len(self.unconfirmed)
                    self.returned.extend(self.unconfirmed.values())
                    self.unconfirmed.clear()
                if not self.done:
                    time.sleep(0.2)
        except Exception as error:
            self.failed(f"the publisher: {error!r}")

    def session(self):
        """Publishes over one connection, until all is confirmed or the connection ends."""
        leave = lambda connection, *_: connection.ioloop.stop()
        self.connection = pika.SelectConnection(
            pika.URLParameters(self.url + "?heartbeat=10&socket_timeout=5"),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self.opened),
            on_open_error_callback=leave,
            on_close_callback=leave,
        )
        self.connection.ioloop.start()

    def opened(self, channel):
        self.connections += 1
        self.channel, self.tag = channel, 0
        self.started, self.sent = time.monotonic(), 0
        channel.add_on_close_callback(lambda *_: self.connection.is_open and self.connection.close())
        channel.add_on_return_callback(lambda *found: self.failed(f"RabbitMQ returned {found[1]}"))
        channel.confirm_delivery(self.answered, callback=lambda _: self.tick())

    def tick(self):
        if not self.channel.is_open:
            return
        due = int((time.monotonic() - self.started) * self.rate) - self.sent
        for _ in range(min(due, WINDOW - len(self.unconfirmed), 200)):
            if (message := self.next()) is None:
                break
            self.send(message)
        if self.over.is_set() or (not self.unconfirmed and self.next_is_none()):
            self.done = not self.over.is_set()
            self.connection.close()
            return
        self.connection.ioloop.call_later(0.01, self.tick)

    def next(self):
        return self.returned.popleft() if self.returned else next(self.waiting, None)

    def next_is_none(self):
        message = self.next()
        if message is not None:
            self.returned.appendleft(message)
        return message is None

    def send(self, message):
        event, body, _ = message
        properties = pika.BasicProperties(
            content_type="application/cloudevents+json", delivery_mode=2, message_id=event.id
        )
        self.tag += 1
        self.sent += 1
        self.unconfirmed[self.tag] = message
        self.channel.basic_publish("upshot.events", event.type, body, properties, mandatory=True)

    def answered(self, frame):
        method = frame.method
        accepted = isinstance(method, pika.spec.Basic.Ack)
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self.unconfirmed if tag <= method.delivery_tag]
        for tag in tags:
            message = self.unconfirmed.pop(tag)
            if not accepted:
                self.again += 1
                self.returned.append(message)
                continue
            event, _, twice = message
            event.text = None if event.fate != "duplicate" or twice else event.text  # frees memory
            if twice:
                self.planted.add(event.number)
            elif (event.source, event.id) not in self.confirmed:
                self.confirmed[event.source, event.id] = event
                self.noted(event)
