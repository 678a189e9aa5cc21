"""Cancels and retries the jobs that are planned to be, through the HTTP API."""

import json
import threading
import time
import urllib.error
import urllib.request

AFTER = 1.0  # seconds from the confirm of an event to the first request
PAUSE = 0.5  # seconds between two attempts


class Operator(threading.Thread):
    """Acts on each confirmed event whose plan asks for it."""

    def __init__(self, api, failed):
        super().__init__(name="operator", daemon=True)
        self.api, self.failed = api, failed
        self.todo = []  # (when, event, ids of its jobs that are done)
        self.asked = {"cancel": 0, "retry": 0}
        self.refused = 0  # requests without a good answer, which are repeated
        self.lock = threading.Lock()
        self.over = threading.Event()

    def note(self, event):
        if event.words in ("hold", "park", "revive"):
            with self.lock:
                self.todo.append((time.monotonic() + AFTER, event, set()))

    def run(self):
        while not self.over.is_set():
            now = time.monotonic()
            with self.lock:
                ready = [item for item in self.todo if item[0] <= now]
                self.todo = [item for item in self.todo if item[0] > now]
            for _, event, done in ready:
                try:
                    self.act(event, done)
                except (OSError, urllib.error.HTTPError, ValueError):
                    self.refused += 1
                except Exception as error:
                    self.failed(f"the operator: {error!r}")
                if len(done) < len(event.routes):
                    with self.lock:
                        self.todo.append((time.monotonic() + PAUSE, event, done))
            time.sleep(0.05)

    def act(self, event, done):
        verb = "retry" if event.words == "revive" else "cancel"
        found = self.ask("GET", f"/v1/jobs?subject={event.id}")["jobs"]
        for job in found:
            state = job["state"]
            if job["id"] in done or (verb == "retry" and state not in ("dead", "succeeded")):
                continue
            # The answer to an earlier request may have been lost.
            if state not in ("cancelled", "succeeded"):
                self.ask("POST", f"/v1/jobs/{job['id']}/{verb}", {})
            self.asked[verb] += 1
            done.add(job["id"])

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if data else {}
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
