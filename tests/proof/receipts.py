"""Reads the receipts that producers get, and holds them against what became of the jobs."""

import collections
import json
import time
import urllib.parse
import urllib.request

import pika

STREAM = "upshot.outcomes.history"
GROUP = b"receipts"
# The verdicts that may follow on each. After the last one nothing follows.
LEGAL = {
    None: {"overdue", "achieved", "missed", "cancelled"},
    "overdue": {"achieved", "missed", "cancelled"},
    "missed": {"reopened"},
    "reopened": {"achieved", "missed", "cancelled"},
}
STATUS = {"t": "achieved_in_time", "l": "achieved_late", "m": "missed", "c": "cancelled"}
ASKED = 500  # events whose outcome the API is asked for


def all_told(connection, queues):
    """Whether the relay has acknowledged every entry of the outboxes."""
    for queue in queues:
        outbox = f"upshot:{{{queue}}}:outbox"
        last = connection.xrevrange(outbox, count=1)
        groups = {group["name"]: group for group in connection.xinfo_groups(outbox)}
        if last and (GROUP not in groups or groups[GROUP]["last-delivered-id"] != last[0][0]):
            return False
    return True


def read(url):
    """All receipts in order, (id, event key, verdict, status), and how many came again."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1000)
    seen, receipts, again = set(), [], 0
    first = {"x-stream-offset": "first"}
    for method, _, body in channel.consume(STREAM, arguments=first, inactivity_timeout=5):
        if method is None:
            break
        channel.basic_ack(method.delivery_tag)
        receipt = json.loads(body)
        if receipt["id"] in seen:
            again += 1
            continue
        seen.add(receipt["id"])
        data = receipt["data"]
        verdict = receipt["type"].removeprefix("upshot.outcome.").removesuffix(".v1")
        key = (data["route"], data["event"]["source"], data["event"]["id"])
        receipts.append((key, verdict, data["status"]))
    channel.cancel()
    connection.close()
    return receipts, again


def compare(receipts, again, publisher, accounts):
    """Compares the receipts with the plan. Returns figures, and what differs."""
    wrong, last = [], {}
    for key, verdict, status in receipts:
        before = last.get(key, (None, None))[0]
        if verdict not in LEGAL.get(before, ()):
            wrong.append(f"receipts of {key}: {verdict} follows on {before}")
        last[key] = (verdict, status)
    expected = {
        (route, *key): STATUS[accounts[event.fate]]
        for key, event in publisher.confirmed.items()
        for route in event.routes
    }
    if missing := sorted(expected.keys() - last.keys()):
        wrong.append(f"{len(missing)} jobs have no receipt, such as {missing[0]}")
    if strange := sorted(last.keys() - expected.keys()):
        wrong.append(f"{len(strange)} receipts are about no confirmed event, such as {strange[0]}")
    other = [key for key, status in expected.items() if key in last and last[key][1] != status]
    if other:
        wrong.append(f"{len(other)} jobs end otherwise by their receipts, such as {other[0]}: {last[other[0]]}")
    verdicts = collections.Counter(verdict for _, verdict, _ in receipts)
    return {"told": len(receipts), "again": again, **verdicts}, wrong[:10]


def of_api(url, publisher, accounts):
    """Asks the API for the outcomes of some events. Returns what differs from the plan."""
    confirmed = [(key, event) for key, event in publisher.confirmed.items() if event.routes]
    wrong = []
    for key, event in confirmed[:: max(1, len(confirmed) // ASKED)]:
        query = urllib.parse.urlencode({"source": key[0], "id": key[1]})
        with urllib.request.urlopen(f"{url}/v1/outcomes?{query}", timeout=30) as answer:
            found = [outcome["status"] for outcome in json.load(answer)["outcomes"]]
        if found != [STATUS[accounts[event.fate]]] * len(event.routes):
            wrong.append(f"GET /v1/outcomes of {key}: planned {event.fate}, found {found}")
    return wrong[:5]


def wait(connection, queues, check, patience=180):
    """Waits until the relay has told everything."""
    until = time.monotonic() + patience
    while not all_told(connection, queues):
        check()
        if time.monotonic() > until:
            return [f"the relay has not told everything within {patience} s"]
        time.sleep(0.2)
    return []
