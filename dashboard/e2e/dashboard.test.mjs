// The dashboard on the real system: private servers, published orders, a browser.
//
// `scripts/test-dashboard` calls this with `node --test`. UPSHOT_TEST_BINARY is the program,
// UPSHOT_TEST_PYTHON a Python with pika.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { connect, createServer as createTcpServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { browser, order, start } from "./system.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENS = ["", "outcomes", "outcomes?status=missed", "failures", "tenants", "jobs", "queues", "queue?name=invoices", "schedules", "operations", "quarantine", "audit", "access", "find?q=order-9"];
const TITLES = ["Now", "Outcomes", "Outcomes", "Failures by cause", "Tenants", "Jobs", "Queues", "Queue invoices", "Schedules", "Operations", "Quarantine", "Audit log", "Access", "Find"];

let chromium;
before(async () => {
  chromium = await browser();
});
after(() => chromium?.close());

/** A page in a browser of its own. What it says on the console fails the test. */
async function open(system, path = "", options = {}) {
  const context = await chromium.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // A build that is not embedded yet.
  const dist = process.env.UPSHOT_TEST_DIST;
  if (dist) await context.route(/\/app\.(js|css)$/, (route) => route.fulfill({ path: `${dist}/${new URL(route.request().url()).pathname.slice(1)}` }));
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.stack));
  page.on("console", (message) => {
    // A refusal that the page shows is logged by the browser as well.
    if (message.type() === "error" && !/status of 40[0134]/.test(message.text())) page.faults.push(message.text());
  });
  page.to = (there) => page.goto(`${system.api}/${there}`);
  page.done = async () => {
    await context.close();
    assert.deepEqual(page.faults, []);
  };
  if (path !== null) await page.to(path);
  return page;
}

const heading = (page, name) => page.getByRole("heading", { level: 1, name }).waitFor();
/** Nothing is read any more for the first time. */
const settled = (page) => page.locator(".reading").waitFor({ state: "detached" });

/** Serves a folder as an origin of its own. */
async function pages(folder) {
  const media = { html: "text/html", js: "text/javascript", css: "text/css" };
  const server = createServer((request, response) => {
    const name = new URL(request.url, "http://shop").pathname.slice(1) || "index.html";
    try {
      const content = readFileSync(new URL(folder + name, import.meta.url));
      response.writeHead(200, { "content-type": media[name.split(".").pop()] }).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { origin: `http://localhost:${server.address().port}`, close: () => server.close() };
}

/** A way to the API that can be cut. */
async function wire(api) {
  const { hostname, port } = new URL(api);
  const sockets = new Set();
  const server = createTcpServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on("error", () => {}).on("close", () => (sockets.delete(one), other.destroy())).pipe(other);
    }
  });
  const listen = (at) => new Promise((ready) => server.listen(at, "127.0.0.1", ready));
  await listen(0);
  const own = server.address().port;
  const cut = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { api: `http://127.0.0.1:${own}`, cut, mend: () => listen(own) };
}

/** Has no violation of the rules of axe. */
async function accessible(page, where) {
  await settled(page);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`);
  assert.deepEqual(found, [], where);
}

async function fits(page, where) {
  await settled(page);
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= width, `${where} scrolls sideways: ${content} > ${width}`);
}

describe("without authentication", () => {
  let system;
  before(async () => {
    system = await start();
  });
  after(() => system?.stop());

  test("every screen teaches while it is empty, and breaks no rule of accessibility", async () => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open(system, null, { colorScheme });
      for (const [n, path] of SCREENS.entries()) {
        await page.to(path);
        await heading(page, TITLES[n]);
        await accessible(page, `${path} in ${colorScheme}`);
      }
      await page.to("outcomes");
      await page.getByText("Nothing is overdue").waitFor();
      await page.to("jobs");
      await page.getByText("No job", { exact: true }).waitFor();
      await page.done();
    }
  });

  test("the page is asked for again at each visit, and sent when it has changed", async () => {
    const first = await fetch(`${system.api}/app.js`, { headers: { "accept-encoding": "br" } });
    assert.equal(first.headers.get("content-encoding"), "br");
    assert.match(first.headers.get("vary"), /accept-encoding/);
    const text = await first.text();
    const plain = await fetch(`${system.api}/app.js`, { headers: { "accept-encoding": "identity" } });
    assert.equal(plain.headers.get("content-encoding"), null);
    assert.equal(await plain.text(), text);
    const tag = first.headers.get("etag");
    const again = await fetch(`${system.api}/app.js`, { headers: { "if-none-match": tag } });
    assert.deepEqual([again.status, again.headers.get("etag"), await again.text()], [304, tag, ""]);
  });

  test("orders appear by themselves, and a paused list says how many", async () => {
    const page = await open(system, "jobs");
    await page.getByText("No job", { exact: true }).waitFor();
    await system.ask("POST", "/v1/events", order(1));
    await page.getByRole("link", { name: "order-1", exact: true }).waitFor();
    await page.keyboard.press("p");
    await page.getByRole("button", { name: /^Paused/ }).waitFor();
    await system.ask("POST", "/v1/events", order(2));
    await page.getByRole("button", { name: "1 new" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "order-2", exact: true }).count(), 0);
    await page.getByRole("button", { name: "1 new" }).click();
    await page.getByRole("link", { name: "order-2", exact: true }).waitFor();
    await page.done();
  });

  test("a list stands still under the pointer", async () => {
    const page = await open(system, "jobs");
    const row = page.getByRole("link", { name: "order-1", exact: true });
    await row.hover();
    await system.ask("POST", "/v1/events", order(3));
    await page.getByRole("button", { name: "1 new" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "order-3", exact: true }).count(), 0);
    await page.mouse.move(640, 20);
    await page.getByRole("link", { name: "order-3", exact: true }).waitFor();
    await page.done();
  });

  test("what is missed and overdue is a banner, and leads to the orders", async () => {
    await system.ask("POST", "/v1/events", order(4, { mailbox: "ada.vogel.closed@post.example" }));
    await system.ask("POST", "/v1/events", order(5, { mailbox: "ada.vogel@lostmail.example" }));
    const page = await open(system);
    await page.getByText("outcome was missed").waitFor();
    await page.getByText("outcome is overdue").waitFor();
    await page.locator(".banner p", { hasText: "is overdue" }).getByRole("link").click();
    await heading(page, "Outcomes");
    await page.getByText("has not come").waitFor();
    await accessible(page, "overdue");
    await page.getByRole("link", { name: "order-5", exact: true }).click();
    await heading(page, "order-5");
    await page.getByText("The work is done; the proof").waitFor();
    await page.locator("svg rect.wait.open").waitFor();
    await accessible(page, "a story");
    await page.done();
  });

  test("an owner, a note and a waiver are asked for, kept and shown", async () => {
    const page = await open(system, "story?subject=order-5");
    await page.getByRole("button", { name: "Owner" }).click();
    await page.getByLabel("Person or team").fill("Night shift");
    await page.getByLabel("Your name").fill("Ada");
    await accessible(page, "a dialog");
    await page.getByRole("button", { name: "Take charge" }).click();
    await page.getByText("Night shift (Ada)").waitFor();
    await page.getByRole("button", { name: "Waive" }).click();
    await page.getByRole("button", { name: "Waive it" }).click();
    // The browser keeps the dialog until a reason is there.
    await page.getByLabel("Reason").fill("Sent on paper");
    assert.equal(await page.getByLabel("Your name").inputValue(), "Ada");
    await page.getByRole("button", { name: "Waive it" }).click();
    await page.getByText("“Sent on paper” (Ada)").waitFor();
    const outcome = (await system.ask("GET", "/v1/subjects/order-5")).outcomes[0];
    assert.deepEqual([outcome.status, outcome.waived.text, outcome.owner.text], ["waived", "Sent on paper", "Night shift"]);
    await page.done();
  });

  test("a cause is counted by a dry run, and its jobs run again after the start", async () => {
    const page = await open(system, "failures");
    const group = page.locator(".group", { hasText: "The mailbox is closed" });
    await group.waitFor();
    await accessible(page, "failures");
    await group.getByRole("button", { name: "Retry" }).click();
    await page.getByRole("button", { name: "Keep as it is" }).click();
    assert.equal((await system.ask("GET", "/v1/subjects/order-4")).outcomes[0].attempts, 1);
    await group.getByRole("button", { name: "Retry" }).click();
    await page.getByLabel("Reason").fill("The mailbox is open again");
    await page.getByRole("button", { name: "Count them first" }).click();
    await heading(page, /^Retry: /);
    await page.getByText("the dry run counted 1 job").waitFor();
    assert.equal((await system.ask("GET", "/v1/subjects/order-4")).outcomes[0].attempts, 1);
    await page.getByRole("region", { name: "By tenant" }).getByText("morgenrot").waitFor();
    await accessible(page, "an operation that has counted");
    await page.getByRole("button", { name: "Start…" }).click();
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.locator(".badge", { hasText: "done" }).waitFor();
    await page.getByText("The mailbox is open again").waitFor();
    await accessible(page, "an operation that is done");
    await system.until("/v1/subjects/order-4", ({ outcomes }) => outcomes[0].attempts >= 2, "the second attempt");
    // It dies of the same cause again, and the cause tells that.
    await page.goBack();
    await heading(page, "Failures by cause");
    await group.locator(".message a").first().click();
    await page.getByRole("heading", { name: "What was done about it" }).waitFor();
    await page.getByText("retried 1 job: 1 died so again").waitFor();
    await accessible(page, "the history of a cause");
    await page.locator("dialog [data-first]").click();
    await page.keyboard.press("g");
    await page.keyboard.press("m");
    await heading(page, "Operations");
    await page.getByRole("link", { name: /^Retry: / }).waitFor();
    await accessible(page, "operations");
    await page.done();
  });

  test("jobs are marked by keys, retried at a pace, and the rest is aborted", async () => {
    for (const number of [61, 62, 63]) await system.ask("POST", "/v1/events", order(number, { mailbox: "ada.vogel.closed@post.example" }));
    for (const number of [61, 62, 63])
      await system.until(`/v1/subjects/order-${number}`, ({ outcomes }) => outcomes[0].status === "missed", "a miss");
    const page = await open(system, "jobs?state=dead");
    await page.getByRole("link", { name: "order-63", exact: true }).waitFor();
    const bar = page.getByRole("group", { name: "Acts on many jobs" });
    // Without a queue and without marks there is nothing to act on.
    assert.equal(await bar.getByRole("button", { name: "Retry…" }).getAttribute("aria-disabled"), "true");
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await bar.getByText("1 job marked").waitFor();
    await page.getByRole("checkbox", { name: "Mark all rows of this page" }).check();
    await accessible(page, "marked jobs");
    await bar.getByRole("button", { name: "Retry…" }).click();
    await page.getByLabel("Time between two jobs").fill("1h");
    await page.getByRole("button", { name: "Count them first" }).click();
    await page.getByText(/the dry run counted [3-9] jobs/).waitFor();
    await page.getByRole("button", { name: "Start…" }).click();
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.locator(".figure", { hasText: "changed" }).locator("b", { hasText: /^1$/ }).waitFor();
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await page.locator(".badge", { hasText: "paused" }).waitFor();
    await page.getByRole("button", { name: "Resume" }).click();
    await page.locator(".badge", { hasText: "running" }).waitFor();
    await page.getByRole("button", { name: "Abort" }).click();
    await page.locator(".badge", { hasText: "aborted" }).waitFor();
    const id = new URL(page.url()).searchParams.get("id");
    const operation = await system.ask("GET", `/v1/operations/${id}`);
    assert.deepEqual([operation.state, operation.changed], ["aborted", 1]);
    await page.done();
  });

  test("of two people who act on the same jobs, the second one sees refusals", async () => {
    const { outcomes } = await system.until("/v1/subjects/order-62", (story) => story.outcomes[0].status === "missed", "a miss");
    const ids = [outcomes[0].job];
    const made = [];
    for (const by of ["Ada", "Ben"]) made.push(await system.ask("POST", "/v1/operations", { queue: "invoices", act: "retry", filter: { ids }, by }));
    const pages = [];
    for (const { id } of made) {
      const page = await open(system, `operation?id=${id}`);
      await page.getByText("the dry run counted 1 job").waitFor();
      pages.push(page);
    }
    for (const page of pages) {
      await page.getByRole("button", { name: "Start…" }).click();
      await page.getByRole("button", { name: "Start", exact: true }).click();
      await page.locator(".badge", { hasText: "done" }).waitFor();
    }
    const [first, second] = await Promise.all(made.map(({ id }) => system.ask("GET", `/v1/operations/${id}`)));
    assert.deepEqual([first.changed, first.refused, second.changed, second.refused], [1, 0, 0, 1]);
    const refusals = pages[1].getByRole("region", { name: "Refusals" });
    await refusals.getByRole("link", { name: ids[0] }).waitFor();
    await accessible(pages[1], "an operation with refusals");
    for (const page of pages) await page.done();
  });

  test("what destroys asks for the number of jobs", async () => {
    const { outcomes } = await system.until("/v1/subjects/order-61", (story) => story.outcomes[0].status === "missed", "a miss");
    const { id } = await system.ask("POST", "/v1/operations", { queue: "invoices", act: "purge", filter: { ids: [outcomes[0].job] } });
    const page = await open(system, `operation?id=${id}`);
    await page.getByRole("button", { name: "Start…" }).click();
    await page.getByLabel("Type 1 to confirm").fill("2");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByRole("alert").getByText("Type 1 to confirm.").waitFor();
    await page.getByLabel("Type 1 to confirm").fill("1");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.locator(".badge", { hasText: "done" }).waitFor();
    assert.equal((await system.ask("GET", `/v1/operations/${id}`)).changed, 1);
    await page.done();
  });

  test("arguments are edited with a diff, the steps are named, and the invoice arrives", async () => {
    const { outcomes } = await system.until("/v1/subjects/order-4", (story) => story.outcomes[0].status === "missed", "the second miss");
    const page = await open(system, `job?id=${outcomes[0].job}`);
    await page.getByRole("button", { name: "Show the arguments" }).click();
    await page.locator(".json", { hasText: '"email": "…"' }).waitFor();
    await page.getByRole("button", { name: "Reveal personal data" }).click();
    await page.locator(".json", { hasText: "ada.vogel.closed@post.example" }).waitFor();
    await accessible(page, "a dead job");
    await page.getByRole("button", { name: "Edit and retry" }).click();
    const field = page.getByRole("textbox", { name: "Arguments" });
    const text = await field.inputValue();
    await field.fill("{ no JSON");
    await page.getByText("This is no JSON").waitFor();
    await field.fill(text.replace("ada.vogel.closed@", "ada.vogel@"));
    await page.locator(".diff .added", { hasText: "ada.vogel@post.example" }).waitFor();
    await page.getByRole("button", { name: "Retry with these arguments" }).click();
    await page.getByText("Tick each of them").waitFor();
    for (const box of await page.getByRole("checkbox").all()) await box.check();
    await page.getByRole("button", { name: "Retry with these arguments" }).click();
    await page.getByText("The job runs again.").waitFor();
    // The stream tells of the end, without a reload.
    await page.locator(".summary .badge", { hasText: "succeeded" }).waitFor();
    await page.getByRole("heading", { name: "Evidence" }).waitFor();
    const [file] = await Promise.all([page.waitForEvent("download"), page.locator(".evidence").getByRole("link", { name: "open" }).click()]);
    assert.match(file.suggestedFilename(), /\.pdf$/);
    await accessible(page, "a job that succeeded");
    await page.done();
  });

  test("a queue is paused and resumed", async () => {
    const page = await open(system, "queue?name=invoices");
    await page.getByRole("button", { name: "Pause…" }).click();
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await page.locator(".summary .badge", { hasText: "paused" }).waitFor();
    await system.ask("POST", "/v1/events", order(6));
    const { jobs } = await system.until("/v1/jobs?subject=order-6", ({ jobs: found }) => found.length === 1, "the job");
    const waiting = await open(system, `job?id=${jobs[0].id}`);
    await waiting.locator(".whyline", { hasText: "paused" }).waitFor();
    await page.getByRole("button", { name: "Resume" }).click();
    await waiting.locator(".summary .badge", { hasText: "succeeded" }).waitFor();
    await waiting.done();
    await page.done();
  });

  test("quarantine shows the reason and the place", async () => {
    const done = spawnSync(process.env.UPSHOT_TEST_PYTHON, [fileURLToPath(new URL("poison.py", import.meta.url)), system.up.amqp], { encoding: "utf8" });
    assert.equal(done.status, 0, done.stderr);
    await system.until("/v1/quarantine", ({ messages }) => messages.length === 3, "three bad messages");
    const page = await open(system, "quarantine");
    await page.getByRole("link", { name: "contract violation" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("/data").first().waitFor();
    await accessible(page, "a quarantined message");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "unknown type 1" }).click();
    await page.getByText("order.forgotten.v9").first().waitFor();
    await page.waitForURL(/reason=unknown_type/);
    await page.done();
  });

  test("the back button leads through what a person did", async () => {
    const page = await open(system, "jobs");
    await page.getByRole("button", { name: "succeeded" }).click();
    await page.waitForURL(/state=succeeded/);
    await page.getByLabel("Tenant").fill("morgenrot");
    await page.keyboard.press("Enter");
    await page.waitForURL(/tenant=morgenrot/);
    await page.keyboard.press("Escape");
    await page.getByRole("link", { name: "order-1", exact: true }).click();
    await heading(page, "order-1");
    await page.goBack();
    await heading(page, "Jobs");
    assert.match(page.url(), /state=succeeded&tenant=morgenrot/);
    assert.equal(await page.getByLabel("Tenant").inputValue(), "morgenrot");
    await page.goBack();
    assert.match(page.url(), /jobs\?state=succeeded$/);
    await page.goBack();
    await page.waitForURL(/jobs$/);
    await page.getByRole("button", { name: "all", exact: true, pressed: true }).waitFor();
    await page.done();
  });

  test("keys move, open and find, and none acts in a field", async () => {
    const page = await open(system);
    await heading(page, "Now");
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await heading(page, "Jobs");
    await page.getByRole("link", { name: "order-1", exact: true }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    const selected = page.locator("tr.selected");
    const id = await selected.getAttribute("data-id");
    assert.equal(await selected.count(), 1);
    assert.match(page.url(), new RegExp(`sel=${id}`));
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`job\\?id=${id}`));
    await page.goBack();
    await heading(page, "Jobs");
    await page.getByLabel("Subject").fill("");
    await page.getByLabel("Subject").pressSequentially("gq/?jkp");
    assert.equal(await page.getByLabel("Subject").inputValue(), "gq/?jkp");
    assert.equal(await page.getByRole("dialog").count(), 0);
    await page.getByLabel("Subject").fill("");
    await page.getByLabel("Subject").blur();
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keys" }).waitFor();
    await accessible(page, "the keys");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog").getByRole("textbox").fill("order-1");
    await page.keyboard.press("Enter");
    await heading(page, "order-1");
    await page.keyboard.press("/");
    await page.getByRole("dialog").getByRole("textbox").fill("event-1");
    await page.keyboard.press("Enter");
    await page.waitForURL(/job\?id=/);
    await page.keyboard.press("/");
    await page.getByRole("dialog").getByRole("textbox").fill("nothing-like-it");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing is known as").waitFor();
    await page.done();
  });

  test("the theme is the system's, or that of the person, from the first paint", async () => {
    const paper = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await open(system, "", { colorScheme: "dark" });
    await heading(dark, "Now");
    assert.equal(await paper(dark), "rgb(19, 21, 24)");
    await dark.getByRole("button", { name: "Theme: as the system" }).click();
    assert.equal(await paper(dark), "rgb(247, 247, 245)");
    // Before the script of the page has run.
    await dark.route("**/app.js", () => {});
    await dark.goto(`${system.api}/jobs`, { waitUntil: "commit" });
    await dark.waitForFunction(() => document.styleSheets.length > 0 && document.body);
    assert.equal(await paper(dark), "rgb(247, 247, 245)");
    await dark.done();
  });

  test("every screen fits on a phone", async () => {
    const job = (await system.ask("GET", "/v1/subjects/order-4")).outcomes[0].job;
    const page = await open(system, null, { viewport: { width: 320, height: 640 } });
    for (const path of [...SCREENS, `job?id=${job}`, "story?subject=order-5"]) {
      await page.to(path);
      await page.locator("h1").waitFor();
      await fits(page, path);
    }
    await page.done();
  });

  test("every screen with content breaks no rule of accessibility", async () => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open(system, null, { colorScheme });
      for (const [n, path] of SCREENS.entries()) {
        await page.to(path);
        await heading(page, TITLES[n]);
        await accessible(page, `${path} in ${colorScheme}`);
      }
      await page.done();
    }
  });

  test("a page that is cut off says as of when, and goes on by itself", async () => {
    const page = await open(system);
    await heading(page, "Now");
    await page.getByText("as of").waitFor();
    await page.route("**/v1/overview", (route) => route.abort());
    await page.getByText("The API cannot be reached.").waitFor();
    await page.locator(".cut", { hasText: "As of" }).waitFor();
    await page.getByRole("heading", { name: /order\.completed\.v1/ }).waitFor();
    await page.unroute("**/v1/overview");
    await page.locator(".cut").waitFor({ state: "detached" });
    page.faults = page.faults.filter((fault) => !fault.includes("net::ERR_FAILED"));
    await page.done();
  });

  test("a schedule is made, shown with what the clocks do to it, paused and run", async () => {
    const page = await open(system, "schedules");
    await page.getByText("No schedule").waitFor();
    await page.getByRole("button", { name: "Make…" }).click();
    await page.getByLabel("Name", { exact: true }).fill("nightly");
    await page.getByRole("dialog").getByLabel("Queue", { exact: true }).fill("invoices");
    await page.getByLabel("Kind of its jobs").fill("report.write");
    await page.getByLabel("Due at").fill("30 2 * 10 SUN#L");
    await page.getByLabel("Time zone").fill("Europe/Berlln");
    await page.getByRole("button", { name: "Make", exact: true }).click();
    await page.getByRole("alert").getByText("Europe/Berlln").waitFor();
    await page.getByLabel("Time zone").fill("Europe/Berlin");
    await page.getByRole("button", { name: "Make", exact: true }).click();
    const row = page.getByRole("row", { name: /nightly/ });
    await row.getByText("unknown kind").waitFor();
    await row.getByText("4 more").click();
    // On the last Sunday of October the clocks of Berlin go back.
    await row.getByText("its local time exists twice: the first one").first().waitFor();
    await accessible(page, "a schedule");
    await row.getByRole("button", { name: "Run now" }).click();
    await row.getByText("parked").waitFor();
    await row.getByRole("button", { name: "Pause" }).click();
    await row.getByRole("button", { name: "Resume" }).waitFor();
    await row.getByRole("button", { name: "Remove…" }).click();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByText("No schedule").waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await heading(page, "Queues");
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await heading(page, "Schedules");
    await page.done();
  });
});

describe("with authentication", () => {
  let system;
  let shop;
  const tokens = {};
  before(async () => {
    shop = await pages("../../examples/progress/");
    system = await start({ auth: "required", origins: [shop.origin] });
    const token = (name, ...words) => JSON.parse(system.run("token", "create", name, ...words, "--local", "--json")).token;
    tokens.root = token("root", "--role", "administrator", "--all-tenants");
    tokens.viewer = token("watcher", "--role", "viewer", "--all-tenants");
    tokens.acme = token("acme", "--role", "operator", "--tenant", "morgenrot");
    system.token = tokens.root;
    await system.ask("POST", "/v1/events", order(21, { mailbox: "ada.vogel.closed@post.example" }));
    await system.ask("POST", "/v1/events", order(22));
    await system.ask("POST", "/v1/events", order(23, { tenant: "hamburg" }));
    await system.until("/v1/outcomes?status=missed", ({ outcomes }) => outcomes.length === 1, "the miss");
    await system.until("/v1/outcomes?status=achieved_in_time", ({ outcomes }) => outcomes.length === 2, "both invoices");
  });
  after(() => {
    shop?.close();
    return system?.stop();
  });

  async function logIn(page, token) {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Log in" }).click();
  }

  test("a login is asked for, and leads to where the person wanted to go", async () => {
    const page = await open(system, "jobs?state=succeeded");
    await heading(page, "Log in to Upshot");
    await accessible(page, "the login");
    await logIn(page, "upk_000000000000_wrong");
    await page.getByRole("alert").waitFor();
    await logIn(page, tokens.root);
    await page.getByRole("link", { name: "order-22", exact: true }).waitFor();
    await page.reload();
    await page.getByRole("link", { name: "order-22", exact: true }).waitFor();
    await page.to("access");
    await page.getByRole("button", { name: "Log out" }).click();
    await heading(page, "Log in to Upshot");
    await page.done();
  });

  test("a viewer sees what it may not do, and why, and the API refuses it as well", async () => {
    const page = await open(system, "failures");
    await logIn(page, tokens.viewer);
    const retry = page.locator(".group").first().getByRole("button", { name: "Retry" });
    await retry.waitFor();
    assert.equal(await retry.getAttribute("aria-disabled"), "true");
    assert.match(await retry.getAttribute("title"), /right “replay”/);
    await retry.click({ force: true });
    assert.equal(await page.getByRole("dialog").count(), 0);
    const status = await page.evaluate(async () => (await fetch("v1/operations", { method: "POST", headers: { "content-type": "application/json" }, body: '{"queue":"invoices","act":"retry","filter":{"state":"dead"}}' })).status);
    assert.equal(status, 403);
    await page.to("audit");
    await page.getByText("You do not see the audit log").waitFor();
    await page.to("access");
    await page.getByText("You do not see the tokens").waitFor();
    await accessible(page, "the rights of a viewer");
    await page.done();
  });

  test("an operator of one tenant sees its own, and no sums over others", async () => {
    const page = await open(system);
    await logIn(page, tokens.acme);
    await page.getByRole("heading", { name: "morgenrot" }).waitFor();
    assert.equal(await page.getByText("hamburg").count(), 0);
    await page.to("jobs");
    await page.getByRole("link", { name: "order-22", exact: true }).waitFor();
    assert.equal(await page.getByRole("link", { name: "order-23", exact: true }).count(), 0);
    await page.to("queues");
    await page.getByRole("alert").waitFor();
    await page.done();
  });

  test("an administrator makes and revokes a token", async () => {
    const page = await open(system, "access");
    await logIn(page, tokens.root);
    await page.getByRole("button", { name: "Make a token" }).click();
    await page.getByLabel("Name", { exact: true }).fill("monitor");
    await page.getByLabel("Tenants").fill("*");
    await page.getByRole("button", { name: "Make the token" }).click();
    const secret = await page.locator(".secret code").innerText();
    assert.match(secret, /^upk_/);
    await page.getByRole("button", { name: "Done" }).click();
    const row = page.getByRole("row", { name: /monitor/ });
    await row.getByRole("button", { name: "Revoke…" }).click();
    await page.getByRole("button", { name: "Revoke it" }).click();
    await row.waitFor({ state: "detached" });
    const refused = await fetch(`${system.api}/v1/me`, { headers: { authorization: `Bearer ${secret}` } });
    assert.equal(refused.status, 401);
    await page.to("audit");
    await page.getByText("create token").first().waitFor();
    assert.equal(await page.getByText(secret).count(), 0);
    await page.done();
  });

  test("an end user's link shows the order and nothing else", async () => {
    const { link } = await system.ask("POST", "/v1/links", { subject: "order-22", tenant: "morgenrot" });
    const page = await open(system, null, { viewport: { width: 320, height: 640 } });
    await page.goto(link);
    await heading(page, "order-22");
    await page.getByText("Done.").waitFor();
    assert.equal(new URL(page.url()).hash, "");
    await fits(page, "the end user's page");
    await accessible(page, "the end user's page");
    assert.equal(await page.getByRole("navigation").count(), 0);
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /\.pdf$/ }).click()]);
    assert.match(file.suggestedFilename(), /\.pdf$/);
    // Another address and a key lead nowhere else.
    await page.to("jobs");
    await heading(page, "order-22");
    await page.keyboard.press("Control+k");
    assert.equal(await page.getByRole("dialog").count(), 0);
    await page.done();
  });

  test("a link to a job follows it while it waits, and ends when it is revoked", async () => {
    await system.ask("POST", "/v1/queues/invoices/pause", {});
    await system.ask("POST", "/v1/events", order(24));
    const { jobs } = await system.until("/v1/jobs?subject=order-24", ({ jobs: found }) => found.length === 1, "the job");
    const made = await system.ask("POST", "/v1/links", { job: jobs[0].id, tenant: "morgenrot" });
    const page = await open(system, null);
    await page.goto(made.link);
    await page.getByText("Waiting for its turn.").waitFor();
    await system.ask("POST", "/v1/queues/invoices/resume", {});
    await page.getByText("Done.").waitFor();
    await system.ask("DELETE", `/v1/links/${made.id}`);
    await page.reload();
    await heading(page, "Log in to Upshot");
    await page.goto(made.link);
    await page.getByText("This link does not work").waitFor();
    await page.done();
  });

  test("a shop's page on another origin follows a job, says that it is cut off, and hands out the file", async () => {
    await system.ask("POST", "/v1/queues/invoices/pause", {});
    await system.ask("POST", "/v1/events", order(31));
    const { jobs } = await system.until("/v1/jobs?subject=order-31", ({ jobs: found }) => found.length === 1, "the job");
    const made = await system.ask("POST", "/v1/links", { job: jobs[0].id, tenant: "morgenrot" });
    const way = await wire(system.api);
    const address = `${shop.origin}/?api=${encodeURIComponent(way.api)}&job=${jobs[0].id}#${made.link.split("#")[1]}`;
    const page = await open(system, null);
    await page.goto(address);
    await page.getByText("Waiting for its turn.").waitFor();
    const bar = page.getByRole("progressbar", { name: "Your invoice" });
    assert.equal(await bar.getAttribute("aria-valuenow"), null);
    await accessible(page, "a page of a shop");
    // What is shown never becomes less.
    await page.evaluate(() => {
      globalThis.shown = [];
      document.addEventListener("progress", ({ detail }) => globalThis.shown.push(detail.percent ?? 0));
    });
    way.cut();
    await page.getByText(/^No connection\. As of \d\d:\d\d:\d\d$/).waitFor();
    await way.mend();
    await page.getByText("No connection.").waitFor({ state: "hidden" });
    await system.ask("POST", "/v1/queues/invoices/resume", {});
    await page.getByText("✓ Your invoice is ready.").waitFor();
    await page.getByText("It is also in your mailbox.").waitFor();
    assert.equal(await bar.getAttribute("aria-valuenow"), "100");
    const shown = await page.evaluate(() => globalThis.shown);
    assert.deepEqual(shown, [...shown].sort((one, two) => one - two));
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /\.pdf$/ }).click()]);
    assert.match(file.suggestedFilename(), /\.pdf$/);
    assert.ok(!file.url().includes("upl_"), file.url());
    await system.ask("DELETE", `/v1/links/${made.id}`);
    await page.reload();
    await page.getByText("This link does not work any more.").waitFor();
    page.faults = page.faults.filter((fault) => !fault.includes("net::ERR_"));
    await page.done();
    way.cut();
  });
});
