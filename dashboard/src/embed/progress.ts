// The element <upshot-progress>: a job's progress on any page. Served as /progress.js.

import { type Job, as, follow, place } from "./follow";
import { START, type State, type View } from "./view";
import { words } from "./words";

export { follow, words };

/** So that no state is told by colour alone. */
const ICONS: Partial<Record<State, string>> = { succeeded: "✓", dead: "✕", refused: "✕", again: "↻" };

const STYLE = `:host{display:block}[hidden]{display:none!important}[part=bar]{height:.5em;margin:.4em 0;border-radius:.25em;overflow:hidden;background:var(--upshot-track,#8884)}
[part=fill]{height:100%;width:0;background:var(--upshot-fill,#2563eb)}:host([state=succeeded]) [part=fill]{background:#15803d}
:host([state=dead]) [part=fill]{background:#b91c1c}`;

const make = (part: string, ...inside: Node[]) => {
  const made = document.createElement(part === "file" ? "a" : "div");
  made.setAttribute("part", part);
  made.append(...inside);
  return made;
};

/** Changes a text only if it is another one, so that nothing is read aloud twice. */
const say = (where: HTMLElement, text: string) => {
  if (where.textContent !== text) where.textContent = text;
  where.hidden = !text;
};

export class UpshotProgress extends HTMLElement {
  static observedAttributes = ["job", "base", "src", "token", "link", "label"];

  /** How the job is. */
  view: View = START;
  private given = "";
  private stop: AbortController | null = null;
  private state = make("state");
  private fill = make("fill");
  private bar = make("bar", this.fill);
  private detail = make("detail");
  private summary = make("summary");
  private files = make("files");
  private cut = make("cut");

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    for (const each of [this.state, this.cut]) each.setAttribute("role", "status");
    this.bar.setAttribute("role", "progressbar");
    root.append(this.state, this.bar, this.detail, this.summary, this.files, this.cut);
  }

  /** An API token or a capability link, without an attribute that shows it in the page. */
  set credential(text: string) {
    this.given = text;
    this.restart();
  }

  connectedCallback() {
    document.addEventListener("visibilitychange", this.seen);
    this.restart();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.seen);
    this.stop?.abort();
  }

  attributeChangedCallback(_: string, before: string | null, after: string | null) {
    if (before !== after && this.isConnected) this.restart();
  }

  private get which(): Job {
    const of = (name: string) => this.getAttribute(name) ?? "";
    return { job: of("job"), base: of("base"), src: of("src"), credential: this.given || of("link") || of("token") };
  }

  /** A browser opens six connections to a server, so a page that is not seen has none. */
  private seen = () => {
    if (document.hidden) this.stop?.abort();
    else if (!this.view.isOver) this.run();
  };

  private restart() {
    this.show(START);
    this.run();
  }

  private run() {
    this.stop?.abort();
    const { job, src } = this.which;
    if (!this.isConnected || document.hidden || !(job || src)) return;
    this.stop = new AbortController();
    void follow(this.which, this.stop.signal, (view) => this.tell(view), this.view);
  }

  private tell(view: View) {
    if (this.view.isOver) return;
    this.show(view);
    this.dispatchEvent(new CustomEvent(view.isOver ? "done" : "progress", { detail: view, bubbles: true }));
  }

  private show(view: View) {
    this.view = view;
    const { state, percent, step, message, cut } = view;
    this.setAttribute("state", state);
    say(this.state, [ICONS[state], words[state]].filter(Boolean).join(" "));
    const detail = [percent === null || view.isOver ? "" : `${percent} %`, message ?? step].filter(Boolean).join(": ");
    say(this.detail, detail);
    say(this.summary, view.summary ?? "");
    say(this.cut, cut === null ? "" : cut ? `${words.away} ${words.as_of} ${new Date(cut).toTimeString().slice(0, 8)}` : words.away);
    this.bar.hidden = ["absent", "gone", "refused", "cancelled"].includes(state);
    this.fill.style.width = `${percent ?? 0}%`;
    this.bar.setAttribute("aria-label", this.getAttribute("label") ?? words.label);
    this.bar.setAttribute("aria-valuetext", detail || words[state]);
    if (percent === null) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", `${percent}`);
    this.files.replaceChildren(...view.files.map((file) => this.link(file)));
    this.files.hidden = !view.files.length;
  }

  /** A link to a file. With a credential, a click asks for a ticket, which the address then carries. */
  private link(file: string): HTMLElement {
    const { base, bearer } = place(this.which);
    const path = file.slice(file.lastIndexOf("/v1/"));
    const link = make("file") as HTMLAnchorElement;
    link.href = base + path;
    link.textContent = decodeURIComponent(path.slice(path.lastIndexOf("/") + 1));
    if (bearer)
      link.onclick = async (event) => {
        event.preventDefault();
        const answer = await fetch(`${base}/v1/tickets`, {
          ...as(bearer, { "content-type": "application/json" }),
          method: "POST",
          body: JSON.stringify({ path }),
        }).catch(() => null);
        if (answer?.ok) location.href = `${link.href}?ticket=${(await answer.json()).ticket}`;
        else say(this.cut, answer?.status === 401 ? words.refused : words.away);
      };
    return link;
  }
}

if (!customElements.get("upshot-progress")) customElements.define("upshot-progress", UpshotProgress);
