"""Takes messages of a webhook, verifies each with PyPI's standardwebhooks, and ends with the one waited for.

`scripts/test-webhook` calls it: receive.py PORT SECRET ALARM. It prints headers and body as JSON."""

import http.server
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

port, secret, wanted = int(sys.argv[1]), sys.argv[2], sys.argv[3]
webhook = Webhook(secret)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = webhook.verify(body, headers)
        # It verifies: another body is refused.
        try:
            webhook.verify(body + " ", headers)
        except WebhookVerificationError:
            pass
        else:
            raise SystemExit("a forged body was verified")
        self.send_response(204)
        self.end_headers()
        if said["type"] == "alarm.fired" and said["data"]["alarm"] == wanted:
            self.server.found = {"headers": headers, "body": body}

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", port), Handler)
server.found = None
while server.found is None:
    server.handle_request()
json.dump(server.found, sys.stdout)
