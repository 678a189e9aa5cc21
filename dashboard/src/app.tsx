// The page around the screens, and which screen is shown to whom.

import { LEADS, isFindOpen, isHelpOpen } from "./lib/keys";
import { href, place, type Screen } from "./lib/place";
import { lacks, me, session } from "./lib/session";
import { theme, turn } from "./lib/theme";
import { Audit } from "./screens/audit";
import { Access } from "./screens/access";
import { EndUser } from "./screens/end-user";
import { Failures } from "./screens/failures";
import { Find, FindDialog } from "./screens/find";
import { Help } from "./screens/help";
import { JobScreen } from "./screens/job";
import { Jobs } from "./screens/jobs";
import { Away, Login } from "./screens/login";
import { Now } from "./screens/now";
import { OperationScreen } from "./screens/operation";
import { Operations } from "./screens/operations";
import { Outcomes } from "./screens/outcomes";
import { Quarantine } from "./screens/quarantine";
import { QueueScreen } from "./screens/queue";
import { Queues } from "./screens/queues";
import { Schedules } from "./screens/schedules";
import { StoryScreen } from "./screens/story";
import { Tenants } from "./screens/tenants";
import { Dialogs } from "./ui/dialog";
import { Icon } from "./ui/icon";
import { PauseLists } from "./ui/list";
import { Toasts } from "./ui/toast";

const VIEWS: Record<Screen, () => preact.ComponentChildren> = {
  "": () => <Now />,
  find: () => <Find />,
  story: () => <StoryScreen />,
  job: () => <JobScreen />,
  jobs: () => <Jobs />,
  outcomes: () => <Outcomes />,
  failures: () => <Failures />,
  tenants: () => <Tenants />,
  queues: () => <Queues />,
  queue: () => <QueueScreen />,
  schedules: () => <Schedules />,
  operations: () => <Operations />,
  operation: () => <OperationScreen />,
  quarantine: () => <Quarantine />,
  audit: () => <Audit />,
  access: () => <Access />,
};

/** Screens that stand below another one in the navigation. */
const PARENT: Partial<Record<Screen, Screen>> = { story: "find", job: "jobs", queue: "queues", operation: "operations" };

export function App() {
  const now = session.value;
  return (
    <>
      {now.is === "asking" && (
        <p class="reading alone" role="status">
          One moment…
        </p>
      )}
      {now.is === "out" && <Login why={now.why} />}
      {now.is === "cut" && <Away why={now.why} />}
      {now.is === "in" && (now.me.target ? <EndUser me={now.me} target={now.me.target} /> : <Shell />)}
      <Dialogs />
      {isFindOpen.value && now.is === "in" && !now.me.target && <FindDialog />}
      {isHelpOpen.value && <Help />}
      <Toasts />
    </>
  );
}

function Shell() {
  // The API serves the page at the address of a screen only; a proxy may leave out the last slash.
  const screen = place.value.screen ?? "";
  return (
    <div class="shell">
      <a class="skip" href="#main" data-out>
        Skip to the content
      </a>
      <Side screen={screen} />
      <div class="page">
        <Top />
        <main id="main" tabIndex={-1}>
          {VIEWS[screen]()}
        </main>
      </div>
    </div>
  );
}

function Side({ screen }: { screen: Screen }) {
  const chosen = PARENT[screen] ?? screen;
  return (
    <nav class="side" aria-label="Screens">
      <a class="brand" href="./">
        <img src="./icon.svg" alt="" width="24" height="24" /> Upshot
      </a>
      <ul>
        {LEADS.map(([key, to, name]) => {
          const why = to === "audit" ? lacks("see-audit", "installation") : null;
          return (
            <li key={to}>
              <a href={href(to)} aria-current={to === chosen ? "page" : undefined} title={why ?? `g ${key}`} class={why ? "off" : ""}>
                <span>{name}</span>
                <kbd aria-hidden="true">g {key}</kbd>
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

const THEMES = { system: ["half", "Theme: as the system"], light: ["sun", "Theme: light"], dark: ["moon", "Theme: dark"] } as const;

function Top() {
  const [icon, label] = THEMES[theme.value];
  const mine = me.value;
  return (
    <header class="top">
      <button type="button" class="search" onClick={() => (isFindOpen.value = true)}>
        <Icon name="search" />
        <span>Find an order, a job, an event…</span>
        <kbd aria-hidden="true">/</kbd>
      </button>
      <span class="tools">
        <PauseLists />
        <button type="button" class="quiet small round" onClick={turn} aria-label={label} title={label}>
          <Icon name={icon} />
        </button>
        <button type="button" class="quiet small round" onClick={() => (isHelpOpen.value = true)} aria-label="Keys" title="Keys (?)">
          ?
        </button>
        <a class="who" href="access" title="Who you are, and what you may do">
          {mine?.kind === "local" ? "no login" : mine?.name}
        </a>
      </span>
    </header>
  );
}
