// Logs people in to a running API with an identity provider of another make: npm's oidc-provider.
// `scripts/test-login` starts the API and calls this:
//
//   node tests/login/login.mjs FOLDER ISSUER API
//
// FOLDER has the node_modules with oidc-provider, ISSUER is the provider's address to be, API the API's.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, issuer, api] = process.argv.slice(2);
const found = createRequire(`${folder}/`).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found));

const PEOPLE = {
  ada: { groups: ["staff", "ops"], tenants: ["acme"] },
  ben: { groups: ["staff"], tenants: ["*"] },
  eve: { groups: ["guests"], tenants: ["acme"] },
};
const provider = new Provider(issuer, {
  clients: [{ client_id: "upshot", client_secret: "s3cr3t/+", redirect_uris: [`${api}/v1/login/callback`] }],
  claims: { openid: ["sub"], profile: ["name"], groups: ["groups", "tenants"] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, ...PEOPLE[id] }) }),
});
const server = provider.listen(Number(new URL(issuer).port), "127.0.0.1");
await new Promise((ready) => server.once("listening", ready));

/** A browser: cookies by origin, redirects one by one. */
class Browser {
  jars = new Map();

  async send(address, { method = "GET", form, json } = {}) {
    const url = new URL(address, api);
    const jar = this.jars.get(url.origin) ?? new Map();
    this.jars.set(url.origin, jar);
    const headers = { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") };
    let body;
    if (form) body = new URLSearchParams(form);
    if (json) [body, headers["content-type"]] = [JSON.stringify(json), "application/json"];
    if (method !== "GET") headers.origin = url.origin;
    const answer = await fetch(url, { method, headers, body, redirect: "manual" });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      if (value && !/max-age=0/i.test(set)) jar.set(name, value);
      else jar.delete(name);
    }
    const to = answer.headers.get("location");
    return { status: answer.status, to: to && new URL(to, url).href, text: await answer.text() };
  }

  async json(address, options) {
    const { status, text } = await this.send(address, options);
    return { status, said: text ? JSON.parse(text) : null };
  }

  /** Logs in at the provider; the address to which the provider sends the browser back. */
  async callback(person) {
    let { to } = await this.send("/v1/login");
    for (let step = 0; step < 20; step += 1) {
      if (to.startsWith(`${api}/v1/login/callback`)) return to;
      const page = await this.send(to);
      if (page.to) {
        to = page.to;
        continue;
      }
      const form = /prompt" value="consent"/.test(page.text)
        ? { prompt: "consent" }
        : { prompt: "login", login: person, password: "any" };
      to = (await this.send(to, { method: "POST", form })).to;
    }
    throw new Error(`the provider does not end: ${to}`);
  }

  async logIn(person) {
    return this.json(await this.callback(person));
  }
}

const browser = new Browser();
assert.equal((await browser.json("/v1/me")).status, 401);
const callback = await browser.callback("ada");
assert.equal((await browser.send(callback)).status, 303);
const { said: me } = await browser.json("/v1/me");
assert.deepEqual([me.kind, me.name, me.role, me.scope.tenants], ["person", "ada", "operator", ["acme"]]);
assert.equal((await browser.json(callback)).status, 400, "a callback counts once");
console.log("a person has the role and the tenants of its claims");

const stranger = new Browser();
assert.equal((await stranger.json(await new Browser().callback("ben"))).status, 400);
assert.equal((await stranger.json("/v1/me")).status, 401);
console.log("only the browser that began a login ends it");

const { status, said } = await new Browser().logIn("eve");
assert.deepEqual([status, said.type.split(/[:/]/).pop()], [403, "login-refused"]);
assert.match(said.detail, /guests/);
console.log("a person without a role is told so");

const { said: codes } = await browser.json("/v1/device", { method: "POST", json: { name: "a test" } });
const decision = { user_code: codes.user_code, approve: true };
assert.equal((await browser.json("/v1/device/approve", { method: "POST", json: decision })).status, 204);
const poll = { method: "POST", json: { device_code: codes.device_code } };
const { said: device } = await new Browser().json("/v1/device/token", poll);
const bearer = { headers: { authorization: `Bearer ${device.token}` } };
assert.equal((await (await fetch(`${api}/v1/me`, bearer)).json()).role, "operator");
console.log("a device gets the rights of its person");

assert.equal((await browser.send("/v1/session", { method: "DELETE" })).status, 204);
assert.equal((await browser.json("/v1/me")).status, 401);
console.log("a logout ends the session");
server.close();
process.exit(0);
