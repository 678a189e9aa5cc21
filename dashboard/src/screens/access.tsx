// Access: who I am and what I may do; devices, API tokens and links.

import { useEffect, useState } from "preact/hooks";
import { api, ask } from "../api/client";
import type { Me, Right, Role, Token } from "../api/types";
import { useLive } from "../lib/live";
import { params } from "../lib/place";
import { lacks, leave, me } from "../lib/session";
import { whole } from "../lib/time";
import { Act } from "../ui/act";
import { Badge } from "../ui/badge";
import { Choice, Dialog, Field, Form, close, show } from "../ui/dialog";
import { type Column, List } from "../ui/list";
import { Empty, Page, Shown } from "../ui/state";
import { Ago, Copy, Facts, Id, Moment } from "../ui/text";
import { say } from "../ui/toast";
import { LinkForm } from "./links";

const KINDS: Record<string, string> = {
  local: "Nobody in particular",
  token: "API token",
  person: "Person",
  first_administrator: "First administrator: make an API token for yourself within the hour",
};

/** Every right, and what it allows. */
const RIGHTS: [Right, string][] = [
  ["publish", "publish events"],
  ["see-own", "see a job or a subject by name"],
  ["see", "see lists, queues, figures, quarantine"],
  ["see-metrics", "see metrics"],
  ["share", "make and revoke links"],
  ["retry", "run a job again"],
  ["cancel", "cancel a job"],
  ["schedule", "move a job, change its priority"],
  ["pause", "pause, resume, release"],
  ["signal", "send signals"],
  ["waive", "settle outcomes, notes, owners"],
  ["replay", "run many dead jobs again"],
  ["see-arguments", "see personal data"],
  ["edit-arguments", "run with other arguments"],
  ["purge", "forget dead jobs"],
  ["erase", "erase a subject"],
  ["configure", "limits and configuration"],
  ["see-audit", "read the audit log"],
  ["administer", "tokens, links, sessions"],
];

const all = (names: string[]) => (names.includes("*") ? "all" : names.join(", "));

export function Access() {
  const mine = me.value;
  if (mine === null) return null;
  return (
    <Page
      title="Access"
      name="Access"
      aside={
        mine.kind !== "local" && <Act run={leave}>Log out</Act>
      }
    >
      {mine.kind === "local" && (
        <p class="banner">This API asks for no authentication: everybody who reaches it may do everything. That is so on loopback; docs/access.md says how to change it.</p>
      )}
      {mine.kind === "person" && <Devices />}
      <div class="columns even">
        <div>
          <Mine me={mine} />
          <section aria-labelledby="links">
            <h2 id="links">Links for end users</h2>
            <p>
              A link shows one job or one subject, its progress and its files, without a login and without any other screen. It expires, and can
              be revoked.
            </p>
            <p class="row">
              <Act right="share" tone="key" run={() => LinkForm({})}>
                Make a link
              </Act>
              <Act right="share" run={revokeLink}>
                Revoke a link…
              </Act>
            </p>
          </section>
        </div>
        <Rights me={mine} />
      </div>
      <Tokens />
    </Page>
  );
}

function Mine({ me: mine }: { me: Me }) {
  return (
    <section aria-labelledby="me">
      <h2 id="me">You</h2>
      <Facts
        of={[
          ["Name", mine.name],
          ["Logged in as", KINDS[mine.kind] ?? mine.kind],
          ["Role", mine.role],
          ["Tenants", all(mine.scope.tenants)],
          ["Queues", all(mine.scope.queues)],
          ["Sources", all(mine.scope.sources)],
          ["Until", mine.until && <Moment at={mine.until} />],
        ]}
      />
    </section>
  );
}

function Rights({ me: mine }: { me: Me }) {
  return (
    <section aria-labelledby="rights">
      <h2 id="rights">Your rights</h2>
      <ul class="rights">
        {RIGHTS.map(([right, what]) => {
          const has = mine.rights.includes(right);
          return (
            <li key={right} class={has ? "" : "off"}>
              <Badge tone={has ? "good" : "plain"} icon={has ? "check" : "dash"}>
                {right}
              </Badge>
              <span class="faint">
                {what}
                {!has && <span class="offscreen"> (you do not have it)</span>}
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function revokeLink() {
  show(
    <Form
      title="Revoke a link"
      action="Revoke it"
      tone="bad"
      right="share"
      run={async (fields) => {
        await ask(api.DELETE("/v1/links/{link}", { params: { path: { link: (fields["link"] ?? "").trim() } } }));
        say("The link is revoked: it works no longer, also where it is open.");
      }}
    >
      <Field label="The link's id" name="link" required first hint="The maker of a link gets it together with the link." />
    </Form>,
  );
}

function Devices() {
  const given = params.value["code"] ?? "";
  const [device, know] = useState<{ code: string; name: string; address: string | null } | null>(null);
  const [problem, fail] = useState("");
  const look = async (code: string) => {
    fail("");
    try {
      const found = await ask(api.GET("/v1/device", { params: { query: { user_code: code } } }));
      know({ code, name: found.name, address: found.address });
    } catch (error) {
      fail((error as Error).message);
    }
  };
  useEffect(() => {
    if (given) void look(given);
  }, [given]);
  const decide = async (approve: boolean) => {
    if (!device) return;
    await ask(api.POST("/v1/device/approve", { body: { user_code: device.code, approve } }));
    know(null);
    say(approve ? "The device is logged in." : "The device is refused.");
  };
  return (
    <section class="panel" aria-labelledby="device">
      <h2 id="device">Log in a device</h2>
      {device ? (
        <>
          <p>
            <b>{device.name}</b> {device.address && `at ${device.address}`} shows the code <code>{device.code.toUpperCase()}</code>. If you approve, it may
            do all that you may do. Approve only if you have just started the login yourself, and the codes are the same.
          </p>
          <p class="row">
            <Act tone="key" run={() => decide(true)}>
              Approve
            </Act>
            <Act run={() => decide(false)}>Refuse</Act>
          </p>
        </>
      ) : (
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault();
            void look(String(new FormData(event.currentTarget as HTMLFormElement).get("code")).trim());
          }}
        >
          <input name="code" required maxLength={40} defaultValue={given} placeholder="WDJB-MJHT" aria-label="Code that the device shows" autocomplete="off" spellcheck={false} />
          <button type="submit" class="quiet">
            Look
          </button>
        </form>
      )}
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}

function Tokens() {
  const why = lacks("administer");
  if (why)
    return (
      <section aria-labelledby="tokens">
        <h2 id="tokens">API tokens</h2>
        <Empty title="You do not see the tokens">{why}</Empty>
      </section>
    );
  return <TokenList />;
}

function TokenList() {
  const live = useLive("tokens", (signal) => ask(api.GET("/v1/tokens", { signal })), 10_000);
  const done = () => void live.again();
  return (
    <section aria-labelledby="tokens">
      <header class="row between">
        <h2 id="tokens">API tokens</h2>
        <Act right="administer" tone="key" run={() => createToken(done)}>
          Make a token
        </Act>
      </header>
      <Shown live={live}>
        {({ tokens }) => (
          <List
            label="API tokens"
            rows={tokens}
            id={(row) => row.id}
            columns={columns(done)}
            empty={<Empty title="No token">A token is for a service: a shop that publishes, a monitor that reads. It has a role and tenants, and an end.</Empty>}
          />
        )}
      </Shown>
    </section>
  );
}

function columns(done: () => void): Column<Token>[] {
  return [
    {
      head: "Name",
      grows: true,
      cell: (row) => (
        <>
          <b>{row.name}</b>
          <span class="sub faint">
            <Id id={row.id} />
          </span>
        </>
      ),
    },
    { head: "Role", cell: (row) => row.role },
    { head: "Tenants", cell: (row) => all(row.scope.tenants) },
    { head: "Made", right: true, cell: (row) => <Ago at={row.created_at} /> },
    { head: "Last used", right: true, cell: (row) => (row.used_at ? <Ago at={row.used_at} /> : <span class="faint">never</span>) },
    { head: "Ends", right: true, cell: (row) => (row.expires_at ? <Ago at={row.expires_at} /> : <span class="faint">never</span>) },
    {
      head: "Actions",
      right: true,
      cell: (row) => (
        <span class="actions">
          <Act right="administer" run={() => rotate(row, done)}>
            Rotate…
          </Act>
          <Act right="administer" run={() => revoke(row, done)}>
            Revoke…
          </Act>
        </span>
      ),
    },
  ];
}

const ROLES = [
  ["viewer", "viewer: sees lists, queues and outcomes"],
  ["operator", "operator: sees and changes jobs and outcomes"],
  ["producer", "producer: publishes events, sees its own"],
  ["administrator", "administrator: everything"],
] as const;

const listed = (text: string | undefined) => (text ?? "").split(/[\s,]+/).filter(Boolean);

function createToken(done: () => void) {
  show(
    <Form
      title="Make an API token"
      action="Make the token"
      right="administer"
      run={async (fields) => {
        const sources = listed(fields["sources"]);
        const body = {
          name: fields["name"] ?? "",
          role: fields["role"] as Role,
          tenants: listed(fields["tenants"]),
          ...(sources.length ? { sources } : {}),
          ...(fields["expires_in"]?.trim() ? { expires_in: fields["expires_in"].trim() } : {}),
        };
        const made = await ask(api.POST("/v1/tokens", { body }));
        done();
        show(<Secret token={made.token} name={made.name} />);
      }}
    >
      <Field label="Name" name="name" required first placeholder="shop" />
      <Choice label="Role" name="role" value="viewer" options={ROLES} />
      <Field label="Tenants" name="tenants" required placeholder="*" hint="Names with commas between them; * for all." />
      <Field label="Sources" name="sources" hint="Of a producer: the sources of its events; * for all." />
      <Field label="Ends in" name="expires_in" placeholder="90d" hint="Left empty: never." />
    </Form>,
  );
}

function rotate(token: Token, done: () => void) {
  show(
    <Form
      title={`Rotate ${token.name}`}
      action="Make another secret"
      right="administer"
      run={async (fields) => {
        const body = fields["overlap"]?.trim() ? { overlap: fields["overlap"].trim() } : {};
        const made = await ask(api.POST("/v1/tokens/{token}/rotate", { params: { path: { token: token.id } }, body }));
        done();
        show(<Secret token={made.token} name={made.name} />);
      }}
    >
      <Field label="The old secret works for" name="overlap" value="1h" first hint="0s ends it at once." />
    </Form>,
  );
}

function revoke(token: Token, done: () => void) {
  show(
    <Form
      title={`Revoke ${token.name}`}
      action="Revoke it"
      tone="bad"
      right="administer"
      run={async () => {
        await ask(api.DELETE("/v1/tokens/{token}", { params: { path: { token: token.id } } }));
        say(`${token.name} is revoked.`);
        done();
      }}
    >
      <p>Requests with it are refused at once, open streams end within 30 seconds, and so do sessions that it began.</p>
    </Form>,
  );
}

function Secret({ token, name }: { token: string; name: string }) {
  return (
    <Dialog title={`The token of ${name}`}>
      <p>It is shown only now ({whole(Date.now())}). Keep it where {name} reads its secrets.</p>
      <p class="secret">
        <code>{token}</code>
        <Copy text={token} what="the token" />
      </p>
      <div class="row end">
        <button type="button" class="key" data-first onClick={close}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
