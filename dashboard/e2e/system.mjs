// A running Upshot with its mail provider and a browser, for tests and screenshots.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { provider } from "./provider.mjs";

const binary = process.env.UPSHOT_TEST_BINARY;
const STARTS_MS = 300_000;

const settings = (auth, within, origins) => `
[api]
listen = "127.0.0.1:0"
auth = "${auth}"
cors_origins = ${JSON.stringify(origins)}

[[routes]]
event = "order.completed.v1"
job = "invoice.issue"
queue = "invoices"
within = "${within}"

[queues.invoices]

[[queues.invoices.limits]]
key = "tenant:morgenrot"
concurrency = 4
weight = 2.0

[smtp]
confirm_refusal = "0s"

[app.invoice]
confirm_delivery = "30m"
`;

/** Starts Upshot with private servers. */
export async function start({ auth = "auto", within = "4s", origins = [] } = {}) {
  const data = mkdtempSync(join(tmpdir(), "upshot-dashboard-"));
  writeFileSync(join(data, "upshot.toml"), settings(auth, within, origins));
  const system = { data, api: "", token: null };
  const mail = await provider(async (job, key) => {
    const found = await system.until(`/v1/jobs/${job}`, Boolean, "the job of a mail");
    await system.ask("POST", `/v1/queues/${found.queue}/signals`, { key, tenant: found.tenant, payload: { provider: "test" } });
  });
  const env = {
    ...process.env,
    UPSHOT_DATA_DIR: data,
    UPSHOT_CONFIG: join(data, "upshot.toml"),
    UPSHOT_SMTP__URL: `smtp://127.0.0.1:${mail.port}`,
  };
  const log = [];
  const up = spawn(binary, ["up"], { env, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [up.stdout, up.stderr]) stream.on("data", (chunk) => log.push(chunk));
  const said = () => Buffer.concat(log).toString();
  const ended = new Promise((done) => up.once("exit", done));

  system.ask = async (method, path, body) => {
    const headers = {};
    if (body) headers["content-type"] = path === "/v1/events" ? "application/cloudevents+json" : "application/json";
    if (system.token) headers.authorization = `Bearer ${system.token}`;
    const answer = await fetch(system.api + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`);
    return text ? JSON.parse(text) : null;
  };
  /** Runs a command of Upshot. */
  system.run = (...words) => {
    const done = spawnSync(binary, words, { env, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`upshot ${words.join(" ")}: ${done.stderr}`);
    return done.stdout;
  };
  /** Asks until the answer is as wanted. */
  system.until = async (path, is, what) => {
    const end = Date.now() + STARTS_MS;
    for (;;) {
      const answer = await system.ask("GET", path).catch(() => null);
      if (answer && is(answer)) return answer;
      if (Date.now() > end) throw new Error(`${what} did not come; ${path} says ${JSON.stringify(answer)}\n${said().slice(-3000)}`);
      await new Promise((soon) => setTimeout(soon, 100));
    }
  };
  system.stop = async () => {
    up.kill("SIGTERM");
    if (up.exitCode === null) await ended;
    mail.close();
    rmSync(data, { recursive: true, force: true });
  };

  const end = Date.now() + STARTS_MS;
  for (;;) {
    try {
      system.api = JSON.parse(readFileSync(join(data, "up.json"), "utf8")).api;
      if (system.api) break;
    } catch {
      // Not written yet.
    }
    if (up.exitCode !== null || Date.now() > end) {
      await system.stop();
      throw new Error(`Upshot did not start:\n${said().slice(-3000)}`);
    }
    await new Promise((soon) => setTimeout(soon, 100));
  }
  system.up = JSON.parse(readFileSync(join(data, "up.json"), "utf8"));
  return system;
}

/** An order of the made-up shop. */
export function order(number, { mailbox = "ada.vogel@post.example", tenant = "morgenrot", ...data } = {}) {
  const example = JSON.parse(readFileSync(new URL("../../contracts/events/examples/order.completed.v1.json", import.meta.url), "utf8"));
  const subject = `order-${number}`;
  const event = { ...example, id: `event-${number}`, subject, tenant, time: new Date().toISOString() };
  delete event.idempotencykey;
  event.data = { ...event.data, ...data };
  if (event.data.customer) event.data.customer = { ...event.data.customer, email: mailbox };
  return event;
}

/** A browser; each test takes a page of its own. */
export async function browser() {
  const found = ["chromium", "chromium-browser", "google-chrome"].map((name) => spawnSync("which", [name], { encoding: "utf8" }).stdout.trim());
  const executablePath = process.env.UPSHOT_TEST_CHROMIUM ?? found.find(Boolean);
  if (!executablePath) throw new Error("there is no Chromium: scripts/setup test-all installs it");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
}
