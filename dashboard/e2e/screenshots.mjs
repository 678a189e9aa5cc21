// Writes every screen, in light and dark, to docs/screenshots/: from the real system with orders of the
// made-up shop, some of which are refused or lost.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { browser, start } from "./system.mjs";

const folder = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
mkdirSync(folder, { recursive: true });

const system = await start({ within: "20s" });
const chromium = await browser();
try {
  await fill();
  for (const theme of ["light", "dark"]) await all(theme);
} finally {
  await chromium.close();
  await system.stop();
}

/** Orders of all kinds, and a few acts of operators. */
async function fill() {
  system.run("demo-orders", "--count", "120", "--rate", "20", "--wait");
  const poison = fileURLToPath(new URL("poison.py", import.meta.url));
  const done = spawnSync(process.env.UPSHOT_TEST_PYTHON, [poison, system.up.amqp], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stderr);
  await system.until("/v1/quarantine", ({ messages }) => messages.length === 3, "three bad messages");
  const { outcomes } = await system.until("/v1/outcomes?status=overdue", ({ outcomes: found }) => found.length >= 4, "overdue orders");
  const [first, second] = outcomes;
  await system.ask("POST", `/v1/outcomes/${first.job}/owner`, { owner: "Night shift", by: "Ada" });
  await system.ask("POST", `/v1/outcomes/${first.job}/note`, { note: "The provider looks for the mail.", by: "Ada" });
  await system.ask("POST", `/v1/outcomes/${second.job}/owner`, { owner: "Billing", by: "Ben" });
  const body = { queue: "invoices", act: "retry", filter: { state: "dead" }, reason: "The mailboxes are open again", by: "Ada" };
  const { id } = await system.ask("POST", "/v1/operations", body);
  await system.until(`/v1/operations/${id}`, ({ state }) => state === "counted", "the count of an operation");
  const role = { tenants: ["*"], expires_in: "90d" };
  await system.ask("POST", "/v1/tokens", { name: "monitor", role: "viewer", ...role });
  await system.ask("POST", "/v1/tokens", { name: "night-shift", role: "operator", ...role });
  await system.ask("POST", "/v1/tokens", { name: "shop-berlin", role: "producer", tenants: ["berlin"], sources: ["/shops/berlin"] });
}

async function all(theme) {
  const first = async (query) => (await system.ask("GET", `/v1/outcomes?${query}`)).outcomes[0];
  const overdue = await first("status=overdue");
  const missed = await first("status=missed");
  const achieved = await first("status=achieved_in_time");
  const screens = [
    ["now", ""],
    ["overdue", "outcomes"],
    ["failures", "failures"],
    ["story", `story?subject=${overdue.subject}`],
    ["job-dead", `job?id=${missed.job}`],
    ["job-succeeded", `job?id=${achieved.job}`],
    ["jobs", "jobs"],
    ["queues", "queues"],
    ["queue", "queue?name=invoices"],
    ["operations", "operations"],
    ["operation", `operation?id=${(await system.ask("GET", "/v1/operations")).operations[0].id}`],
    ["quarantine", "quarantine"],
    ["audit", "audit"],
    ["access", "access"],
  ];
  const page = await opened(theme, { width: 1280, height: 800 });
  for (const [name, path] of screens) {
    await page.goto(`${system.api}/${path}`);
    await shot(page, name, theme);
  }
  await page.goto(`${system.api}/failures`);
  await page.getByRole("button", { name: /^Retry/ }).click();
  await page.getByRole("dialog").waitFor();
  await shot(page, "retry", theme);
  await page.goto(`${system.api}/`);
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  await shot(page, "keys", theme);
  await page.context().close();

  const phone = await opened(theme, { width: 320, height: 640 });
  for (const [name, path] of screens.slice(0, 2)) {
    await phone.goto(`${system.api}/${path}`);
    await shot(phone, `phone-${name}`, theme);
  }
  await phone.context().close();
}

async function opened(colorScheme, viewport) {
  const context = await chromium.newContext({ colorScheme, viewport, reducedMotion: "reduce" });
  const dist = process.env.UPSHOT_TEST_DIST;
  if (dist) await context.route(/\/app\.(js|css)$/, (route) => route.fulfill({ path: `${dist}/${new URL(route.request().url()).pathname.slice(1)}` }));
  return context.newPage();
}

async function shot(page, name, theme) {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.locator(".reading").waitFor({ state: "detached" });
  await page.waitForLoadState("networkidle");
  await page.screenshot({ path: `${folder}${name}-${theme}.png` });
}
