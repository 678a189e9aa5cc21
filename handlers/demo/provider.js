// The demo's mail provider: the mail inbox (maildev), mailboxes that refuse, a domain that loses mail,
// and the webhook that confirms deliveries to Upshot.
//
//   node provider.js MAILDEV SMTP_PORT INBOX_PORT MAILS UP
//
// MAILDEV is the folder of the module, MAILS the folder of the mails, UP the note with the address of
// the API that a running `upshot up` keeps. Which mailboxes are closed and which domain loses mail is
// also written in handlers/src/demo_orders.rs.
"use strict";

const crypto = require("crypto");
const fs = require("fs");

const [maildev, smtpPort, inboxPort, mails, up] = process.argv.slice(2);
const CLOSED = /\.closed@/i;
const LOSING = /@lostmail\.example$/i;
// How long a delivery takes, and the wait before another attempt to confirm it, ms.
const DELIVERY = 1000;
const AGAIN = 1000;

const server = require(maildev)({
  smtp: smtpPort,
  web: inboxPort,
  ip: "127.0.0.1",
  mailDirectory: mails,
  silent: true,
});

server.smtp.onRcptTo = (address, session, done) => {
  if (!CLOSED.test(address.address)) return done();
  const refused = new Error("5.1.1 The mailbox is closed");
  refused.responseCode = 550;
  return done(refused);
};

// Accepts the mail like any other, and drops it.
const keep = server.smtp.onData;
server.smtp.onData = (stream, session, done) => {
  if (!session.envelope.rcptTo.every((to) => LOSING.test(to.address))) return keep(stream, session, done);
  stream.on("end", () => done(null, "Message queued"));
  stream.resume();
};

// --- The webhook --------------------------------------------------------------

// A mail of Upshot has the Message-ID <JOB.invoice@DOMAIN>, or <JOB.edit-1.invoice@DOMAIN> when the
// arguments of its job were changed.
const JOB = /^<?(([a-z2-7]{26})(?:\.edit-\d+)?\.invoice@[^>]+)>?$/;
const waiting = [];

// Mails of earlier runs come again when the inbox starts.
server.on("new", (mail) => {
  const [, id, job] = JOB.exec(mail.messageId || "") || [];
  if (!id) return;
  const to = (mail.to && mail.to[0] && mail.to[0].address) || "";
  // The same mail always gives the same confirmation, because another one would contradict the first.
  const payload = {
    provider: to.split("@").pop(),
    at: new Date(mail.time).toISOString(),
    receipt: crypto.createHash("sha256").update(id).digest("hex").slice(0, 12),
  };
  waiting.push({ id, job, payload, from: Date.now() + DELIVERY });
});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Asks the API, which may not be there yet, or have another address after a restart.
async function call(path, body) {
  const { api } = JSON.parse(fs.readFileSync(up, "utf8"));
  const headers = body ? { "content-type": "application/json" } : {};
  const method = body ? "POST" : "GET";
  const answer = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}`);
  return answer.json();
}

async function confirm({ id, job, payload }) {
  const found = await call(`/v1/jobs/${job}`);
  if (!found || ["succeeded", "dead", "cancelled"].includes(found.state)) return;
  const key = `delivered ${id}`;
  await call("/v1/confirmations", { queue: found.queue, key, tenant: found.tenant, id, evidence: payload });
}

async function confirmAll() {
  for (;;) {
    const next = waiting[0];
    const ms = next ? next.from - Date.now() : AGAIN;
    if (ms > 0) {
      await pause(Math.min(ms, 200));
      continue;
    }
    try {
      await confirm(next);
      waiting.shift();
    } catch {
      await pause(AGAIN);
    }
  }
}

server.listen((error) => {
  if (!error) return;
  console.error(error);
  process.exit(1);
});
confirmAll();
