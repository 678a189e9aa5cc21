// A mail provider for the tests: a mailbox whose name ends with `.closed` refuses, `lostmail.example`
// drops what it took, and any other delivery is confirmed to Upshot at once.
import { createServer } from "node:net";

const CLOSED = /\.closed@/i;
const LOSING = /@lostmail\.example$/i;
const JOB = /^<?(([a-z2-7]{26})(?:\.edit-\d+)?\.invoice@[^>]+)>?$/;

/** Listens on a free port; `confirm(job, key)` is called for each delivered mail. */
export async function provider(confirm) {
  const server = createServer((socket) => converse(socket, confirm));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { port: server.address().port, close: () => server.close() };
}

function converse(socket, confirm) {
  let text = "";
  let data = null;
  let to = [];
  const say = (line) => socket.write(`${line}\r\n`);
  socket.on("error", () => {});
  socket.setEncoding("latin1");
  say("220 provider ESMTP");
  socket.on("data", (chunk) => {
    text += chunk;
    for (;;) {
      if (data !== null) {
        const end = text.indexOf("\r\n.\r\n");
        if (end < 0) return;
        const mail = text.slice(0, end);
        text = text.slice(end + 5);
        data = null;
        say("250 2.0.0 accepted");
        const id = /^message-id:\s*(\S+)/im.exec(mail)?.[1];
        const [, key, job] = JOB.exec(id ?? "") ?? [];
        if (key && !to.every((address) => LOSING.test(address))) confirm(job, `delivered ${key}`);
        continue;
      }
      const end = text.indexOf("\r\n");
      if (end < 0) return;
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === "EHLO" || verb === "HELO") say("250 provider");
      else if (verb === "MAIL") {
        to = [];
        say("250 2.1.0 ok");
      } else if (verb === "RCPT") {
        const address = /<([^>]*)>/.exec(line)?.[1] ?? "";
        if (CLOSED.test(address)) say("550 5.1.1 The mailbox is closed");
        else {
          to.push(address);
          say("250 2.1.5 ok");
        }
      } else if (verb === "DATA") {
        data = "";
        say("354 go on");
      } else if (verb === "QUIT") {
        say("221 bye");
        socket.end();
      } else say("250 ok");
    }
  });
}
