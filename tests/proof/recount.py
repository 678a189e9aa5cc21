"""Recounts everything at rest: jobs, books, quarantine, and the publisher's list of confirms."""

import collections
import json

import pika

# The account in which the expectation of each planned fate must stand at the end.
ACCOUNTS = {"achieved": "t", "duplicate": "t", "retried": "t", "late": "l", "dead": "m", "cancelled": "c"}
QUEUES = {"confirm": "orders", "bill": "money", "track": "orders"}
PAGE = 500


def of_state(state, due):
    """The account that follows from a job's state: `state since …`, or nothing while it is new."""
    name, since, *_ = state.split(" ") if state else ("ready", "0")
    ended = {"succeeded": "t" if int(since) <= due else "l", "dead": "m", "cancelled": "c"}
    return ended.get(name, "o")


def jobs_of(connection, queue):
    """All jobs of a queue: (route number, source, id of the event, account, duplicates)."""
    prefix = f"upshot:{{{queue}}}:job:"
    keys = set(connection.scan_iter(prefix + "*", count=PAGE))
    keys = list(keys)
    for first in range(0, len(keys), PAGE):
        pipe = connection.pipeline(transaction=False)
        for key in keys[first : first + PAGE]:
            pipe.hmget(key, "job", "state", "account", "duplicates")
        for body, state, account, duplicates in pipe.execute():
            head, meta, _ = body.split(b"\n", 2)
            _, _, _, due, route, *_ = head.decode().split("|")
            _, _, labels = json.loads(meta)
            account = account.decode() if account else of_state(state and state.decode(), int(due))
            yield route, labels["source"], labels["id"], account, int(duplicates or 0)


def of_redis(connection, samples, publisher):
    """Compares jobs, books and confirms. Returns the figures of each route, and what differs."""
    wrong, figures = [], {}
    jobs = {queue: list(jobs_of(connection, queue)) for queue in set(QUEUES.values())}
    for route, queue in QUEUES.items():
        sample = samples[queue]
        number = sample.routes.get(route)
        mine = [job for job in jobs[queue] if job[0] == number]
        confirmed = {key: event for key, event in publisher.confirmed.items() if route in event.routes}
        found = {(source, event): account for _, source, event, account, _ in mine}

        def equal(what, expected, counted, route=route):
            if expected != counted:
                wrong.append(f"route {route}, {what}: expected {expected}, found {counted}")

        equal("jobs of one event", len(found), len(mine))
        equal("events that were lost", [], sorted(confirmed.keys() - found.keys())[:5])
        equal("jobs without a confirmed event", [], sorted(found.keys() - confirmed.keys())[:5])
        received, duplicates = -sample.balances[number, "r"], sample.balances[number, "d"]
        equal("received - duplicate", len(confirmed), received - duplicates)
        equal("duplicates that the jobs counted", duplicates, sum(job[4] for job in mine))
        planted = sum(route in event.routes and event.number in publisher.planted for event in confirmed.values())
        if duplicates < planted:
            wrong.append(f"route {route}: {planted} duplicates were planted, {duplicates} were found")
        other = [
            f"{key}: planned {event.fate}, found in {found[key]}"
            for key, event in confirmed.items()
            if key in found and found[key] != ACCOUNTS[event.fate]
        ]
        equal("verdicts other than planned", [], other[:5] + ([f"{len(other)} in all"] if other else []))
        recount = collections.Counter(account for *_, account, _ in mine)
        books = {letter: n for (of, letter), n in sample.balances.items() if of == number and letter not in "rd" and n}
        equal("accounts, recounted from the jobs", books, dict(recount))
        late = sum(event.fate == "late" for event in confirmed.values())
        overdue = sample.moved(route, "o>v")
        if overdue > late:  # fewer, where the job came after its due time
            wrong.append(f"route {route}: {late} are late, and {overdue} became overdue")
        revived = sum(event.words == "revive" for event in confirmed.values())
        equal("verdicts that were reopened", revived, sample.moved(route, "m>n"))
        figures[route] = {
            "received": received, "duplicates": duplicates, "planted duplicates": planted,
            "achieved in time": recount["t"], "achieved late": recount["l"], "missed": recount["m"],
            "cancelled": recount["c"], "became overdue": overdue, "reopened": revived,
        }
    for queue, all_jobs in jobs.items():
        known = {samples[queue].routes.get(route) for route in QUEUES}
        if strange := [job for job in all_jobs if job[0] not in known]:
            wrong.append(f"queue {queue}: {len(strange)} jobs of no route, such as {strange[0]}")
    return figures, wrong


def of_rabbitmq(url, book, publisher):
    """Compares quarantine, its book and the plan, when no service runs. Returns figures and what differs."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    wrong = []
    if left := channel.queue_declare("upshot.intake", passive=True).method.message_count:
        wrong.append(f"RabbitMQ still has {left} events in `upshot.intake`")
    depth = channel.queue_declare("upshot.quarantine", passive=True).method.message_count
    ids, reasons = collections.Counter(), {}
    for method, properties, _ in channel.consume("upshot.quarantine", inactivity_timeout=5) if depth else ():
        if method is None:
            wrong.append(f"of {depth} quarantined messages only {sum(ids.values())} came")
            break
        ids[properties.message_id] += 1
        reasons[properties.message_id] = properties.headers["x-upshot-reason"]
        if sum(ids.values()) == depth:
            break
    connection.close()  # without acknowledging: all of them stay
    planted = {event.id for event in publisher.confirmed.values() if event.fate == "quarantined"}
    if planted != ids.keys():
        lost, strange = sorted(planted - ids.keys())[:5], sorted(ids.keys() - planted)[:5]
        wrong.append(f"quarantine: {len(planted)} were planted, {len(ids)} found; lost {lost}, unplanned {strange}")
    counted = collections.Counter(reasons.values())
    if +book.reasons != counted:
        wrong.append(f"quarantine: by reason the book says {book.reasons}, RabbitMQ has {counted}")
    if book.copies > depth:
        wrong.append(f"quarantine: the rows stand for {book.copies} copies, RabbitMQ has {depth}")
    figures = {"planted": len(planted), "found": len(ids), "copies": depth - len(ids)}
    return {**figures, **counted}, wrong
