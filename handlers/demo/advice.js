// Says what is wrong with the demo's orders, where to look, and how to mend it.
//
//   node advice.js API UPSHOT FOLDER
//
// API is the address of the API, UPSHOT the command, FOLDER where a corrected order is written.
"use strict";

const fs = require("fs");
const path = require("path");

const [api, upshot, folder] = process.argv.slice(2);

async function read(place) {
  const answer = await fetch(api + place);
  if (!answer.ok) throw new Error(`${place} was answered ${answer.status}`);
  return answer.json();
}

// The job of one outcome of this status, with its arguments. Where `why` is given, it is the reason.
async function some(status, why) {
  const { outcomes } = await read(`/v1/outcomes?status=${status}`);
  const found = outcomes.find((outcome) => !why || why.test((outcome.reason || {}).message));
  return found && read(`/v1/jobs/${found.job}?args=true&reveal=true`);
}

function lost(job) {
  const [, tenant, key] = /^tenant ([^|]*)\|(.*)$/.exec((job.parked && job.parked.condition) || "") || [];
  const mend = key
    ? `
  A customer says on the phone that the invoice came after all? Confirm it:

    ${upshot} confirm invoices --tenant=${tenant} '${key}' --fact provider=phone
`
    : "";
  return `
Overdue: a mail provider (lostmail.example) accepted mails and dropped them. Nothing failed, so no
error shows it. Upshot knows, because no confirmation of the delivery came.

    ${upshot} overdue
    ${upshot} story ${job.subject}
${mend}
  Or settle it, with a reason that stays in the books:

    ${upshot} waive ${job.id} --reason='the invoice went by post'
`;
}

function refused(job) {
  const file = path.join(folder, "corrected-order.json");
  const order = { ...job.args, customer: { ...job.args.customer } };
  order.customer.email = order.customer.email.replace(".closed@", "@");
  fs.writeFileSync(file, `${JSON.stringify(order, null, 2)}\n`);
  return `
Missed: a few mailboxes are closed, and the mail server refused their mail (550).

    ${upshot} outcomes --status=missed
    ${upshot} story ${job.subject}

  The customer has another address? ${file} is the order with it:

    ${upshot} retry ${job.id} --args ${file}
`;
}

async function main() {
  const [overdue, missed] = [await some("overdue"), await some("missed", /\b550\b/)];
  if (overdue) process.stdout.write(lost(overdue));
  if (missed) process.stdout.write(refused(missed));
}

main().catch((error) => {
  console.error(`demo: ${error.message}`);
  process.exit(1);
});
