// Verifies a message of a webhook with npm's standardwebhooks:
//
//   node tests/webhook/verify.mjs FOLDER SECRET < MESSAGE
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, secret] = process.argv.slice(2);
const { Webhook } = createRequire(`${folder}/`)("standardwebhooks");
const { headers, body } = JSON.parse(readFileSync(0, "utf8"));
const said = new Webhook(secret).verify(body, headers);
assert.equal(said.type, "alarm.fired");
assert.throws(() => new Webhook(secret).verify(`${body} `, headers));
