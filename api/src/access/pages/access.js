// The page /access: takes a token from the address, logs in, and shows who is logged in, a device to
// approve, or what a capability link leads to. It writes text only, never markup.
"use strict";

// The token leaves the address before anything else happens, so that it stays in no history.
const given = location.hash.slice(1);
if (given) history.replaceState(null, "", location.pathname + location.search);

const $ = (id) => document.getElementById(id);
const show = (id, is) => { $(id).hidden = !is; };
const say = (id, text) => { $(id).textContent = text; show(id, Boolean(text)); };
const only = (section) => ["wait", "login", "me", "shown"].forEach((id) => show(id, id === section));
const make = (name, text, kind) => {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

/** Asks the API. A failure is an error with the problem's words. */
async function ask(method, path, body) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), credentials: "same-origin" });
  } catch {
    throw Object.assign(new Error("The server cannot be reached. Check your connection and try again."), { status: 0 });
  }
  const text = await answer.text();
  let said = null;
  try { said = text ? JSON.parse(text) : null; } catch { /* no JSON: the status says it */ }
  if (answer.ok) return { status: answer.status, said };
  const words = said && said.detail ? said.detail : `The server answers ${answer.status}.`;
  throw Object.assign(new Error(words), { status: answer.status });
}

const time = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

// ---- Logging in

async function start() {
  if (/^up[klb]_/.test(given)) {
    try {
      return enter((await ask("POST", "v1/session", { token: given })).said);
    } catch (why) {
      const isLink = why.status === 401 && given.startsWith("upl_");
      return login(isLink ? "This link does not work: it has expired, or was revoked. Ask for another one where you got it." : why.message);
    }
  }
  try {
    enter((await ask("GET", "v1/me")).said);
  } catch (why) {
    login(why.status === 401 ? "" : why.message);
  }
}

async function login(problem) {
  only("login");
  say("login-problem", problem);
  try {
    const { said } = await ask("GET", "v1/access");
    const code = new URLSearchParams(location.search).get("code");
    const to = code ? `/access?code=${encodeURIComponent(code)}` : "/access";
    $("oidc-link").href = `v1/login?to=${encodeURIComponent(to)}`;
    show("oidc", said.provider);
  } catch { /* the form for a token is there */ }
  $("token").focus();
}

$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  // Somebody may paste the whole address of a link.
  const token = $("token").value.trim().replace(/^.*#/, "");
  try {
    const { said } = await ask("POST", "v1/session", { token });
    $("token").value = "";
    enter(said);
  } catch (why) {
    say("login-problem", why.message);
    $("token").select();
  } finally {
    button.disabled = false;
  }
});

$("logout").addEventListener("click", async () => {
  try {
    await ask("DELETE", "v1/session");
    login("");
  } catch (why) {
    say("device-done", why.message);
  }
});

function enter(me) {
  if (me.target) shown(me);
  else person(me);
}

// ---- Who is logged in

const KINDS = {
  local: "Nobody in particular",
  token: "API token",
  person: "Person",
  first_administrator: "First administrator: make an API token for yourself within the hour",
};
const all = (names) => (names.includes("*") ? "all" : names.join(", "));

function person(me) {
  only("me");
  document.title = `${me.name} · Upshot`;
  $("me-name").textContent = me.kind === "local" ? "No login is needed" : me.name;
  show("me-open", me.kind === "local");
  show("logout", me.kind !== "local");
  const facts = [
    ["Logged in as", KINDS[me.kind] || me.kind],
    ["Role", me.role],
    ["Rights", me.rights.join(", ")],
    ["Tenants", all(me.scope.tenants)],
    ["Queues", all(me.scope.queues)],
    ["Sources", all(me.scope.sources)],
    ["Until", me.until && time(me.until)],
  ];
  $("me-facts").replaceChildren(
    ...facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", name), make("dd", value)]),
  );
  show("device-form", me.kind === "person");
  const code = new URLSearchParams(location.search).get("code");
  if (me.kind === "person" && code) {
    $("code").value = code;
    look();
  }
}

let device = "";

async function look() {
  device = $("code").value.trim();
  say("device-problem", "");
  say("device-done", "");
  try {
    const { said } = await ask("GET", `v1/device?user_code=${encodeURIComponent(device)}`);
    $("device-name").textContent = said.name;
    $("device-address").textContent = said.address ? `at ${said.address}` : "";
    $("device-code").textContent = device.toUpperCase();
    show("device", true);
    show("device-form", false);
    $("device-no").focus();
  } catch (why) {
    say("device-problem", why.message);
    $("code").select();
  }
}

async function decide(approve) {
  try {
    await ask("POST", "v1/device/approve", { user_code: device, approve });
    say("device-done", approve ? "The device is logged in. You can close this page." : "The device is refused.");
  } catch (why) {
    say("device-done", why.message);
  }
  show("device", false);
  show("device-form", true);
  $("code").value = "";
  history.replaceState(null, "", location.pathname);
}

$("device-form").addEventListener("submit", (event) => { event.preventDefault(); look(); });
$("device-yes").addEventListener("click", () => decide(true));
$("device-no").addEventListener("click", () => decide(false));

// ---- What a capability link shows

/** Jobs whose changes are streamed. A browser opens few connections to a server at the same time. */
const STREAMS = 3;
/** How often the rest is looked at, ms. */
const LOOK_MS = 15000;
const FINAL = ["succeeded", "dead", "cancelled"];
const cards = new Map();
let target = null;

function shown(me) {
  target = me.target;
  only("shown");
  $("shown-title").textContent = target.subject || "Your job";
  document.title = `${target.subject || "Your job"} · Upshot`;
  $("shown-until").textContent = me.until ? `This page works until ${time(me.until)}.` : "";
  round();
}

/** Looks once, and again later while something may change. */
async function round() {
  if (!document.hidden) {
    try {
      await (target.job ? one(target.job) : many(target.subject));
      say("shown-cut", "");
    } catch (why) {
      if (why.status === 401) return login("This page has ended. Open your link again, or ask for another one.");
      if (why.status !== 404) say("shown-cut", `As of ${new Date().toLocaleTimeString()}: ${why.message}`);
    }
    show("shown-none", cards.size === 0);
  }
  const open = [...cards.values()].some((card) => !card.isFinal);
  setTimeout(round, open || cards.size === 0 ? LOOK_MS : 4 * LOOK_MS);
}

async function many(subject) {
  const { said } = await ask("GET", `v1/subjects/${encodeURIComponent(subject)}`);
  for (const outcome of said.outcomes) await one(outcome.job, outcome);
}

async function one(id, known, again) {
  const card = cards.get(id);
  if (card && (card.isFinal || card.stream) && !again) return;
  let job;
  try {
    job = (await ask("GET", `v1/jobs/${id}`)).said;
  } catch (why) {
    if (why.status !== 404 || !known) throw why;
    // Of a forgotten job, the outcome is left.
    const state = known.status.startsWith("achieved") ? "succeeded" : known.status === "cancelled" ? "cancelled" : "dead";
    job = { kind: known.kind, state };
  }
  if (job.status === "accepted") return;
  let outcome = known;
  if (!outcome) outcome = (await ask("GET", `v1/outcomes/${id}`)).said;
  draw(id, job, outcome);
}

/** What a state means, in words that promise nothing. */
function words(job, outcome) {
  const waiting = job.waiting_for;
  const again = waiting && waiting.retry_at ? ` The next try is at ${time(waiting.retry_at)}.` : "";
  switch (job.state) {
    case "running": return ["In progress.", ""];
    case "ready":
      return [job.attempts > 0 ? "It did not work yet, and will be tried again shortly." : "Waiting for its turn.", ""];
    case "scheduled":
      return [(waiting && waiting.class ? "It did not work yet." : "Planned for later.") + again, ""];
    case "parked": return [`Waiting for something else before it can continue.${again}`, ""];
    case "succeeded":
      if (outcome && outcome.status === "awaiting") return ["Done. A confirmation is still missing.", ""];
      if (outcome && outcome.status === "partial") return ["Done in part.", "bad"];
      return [outcome && outcome.status === "achieved_late" ? "Done, later than expected." : "Done.", "good"];
    case "dead":
      if (outcome && outcome.status === "waived") return ["It did not work, and was settled in another way.", ""];
      return ["It did not work. It is not tried again by itself; somebody has to look at it.", "bad"];
    case "cancelled": return ["Cancelled.", ""];
    default: return [job.state, ""];
  }
}

function draw(id, job, outcome) {
  let card = cards.get(id);
  if (!card) {
    card = { item: make("li") };
    cards.set(id, card);
    $("jobs").append(card.item);
  }
  card.job = { ...card.job, ...job };
  card.outcome = outcome || card.outcome;
  card.isFinal = FINAL.includes(card.job.state) && !(card.outcome && card.outcome.status === "awaiting");
  const [text, kind] = words(card.job, card.outcome);
  const parts = [make("h2", card.job.kind)];
  const state = make("p", text, `state ${kind}`);
  state.setAttribute("role", "status");
  parts.push(state);
  const progress = card.job.progress;
  if (card.job.state === "running" && progress) {
    const bar = make("progress");
    bar.max = 100;
    bar.value = progress.percent;
    bar.setAttribute("aria-label", "Progress");
    parts.push(bar, make("p", `${progress.percent} %${progress.message ? `: ${progress.message}` : ""}`, "hint"));
  }
  const summary = card.outcome && card.outcome.summary;
  if (summary && FINAL.includes(card.job.state)) parts.push(make("p", summary));
  const due = card.outcome && card.outcome.expected_by;
  if (due && !FINAL.includes(card.job.state)) {
    const late = card.outcome.status === "overdue" ? "It was expected by" : "It is expected by";
    parts.push(make("p", `${late} ${time(due)}.`, "hint"));
  }
  const files = (card.job.links && card.job.links.files) || [];
  if (files.length) {
    const list = make("ul", "", "files");
    for (const file of files) {
      // The address is the API's; the page stays on its own origin.
      const path = new URL(file, location.href).pathname;
      const link = make("a", decodeURIComponent(path.split("/").pop()));
      link.href = path;
      link.download = "";
      const entry = make("li");
      entry.append(link);
      list.append(entry);
    }
    parts.push(list);
  }
  card.item.replaceChildren(...parts);
  if (card.isFinal) close(card);
  else watch(id, card);
}

function close(card) {
  if (card.stream) card.stream.close();
  card.stream = null;
}

function watch(id, card) {
  const streams = [...cards.values()].filter((other) => other.stream).length;
  if (card.stream || streams >= STREAMS || FINAL.includes(card.job.state)) return;
  const stream = new EventSource(`v1/jobs/${id}/progress`);
  card.stream = stream;
  const change = (event) => draw(id, JSON.parse(event.data));
  stream.addEventListener("snapshot", change);
  stream.addEventListener("change", change);
  // What the work came to, and its files, are with the job.
  const end = () => { close(card); one(id, null, true).catch(() => {}); };
  stream.addEventListener("end", end);
  stream.addEventListener("gone", () => close(card));
  // A closed stream is opened again at the next look.
  stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) close(card); });
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) [...cards.values()].forEach(close);
});

start();
