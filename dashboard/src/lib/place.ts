// Where the page is: the screen and its parameters, held by the address alone.
//
// Each screen is one segment, so that relative addresses hold below any prefix of a proxy.
// What a person does (opens, filters, sorts) makes an entry of the history; what follows from it
// (a selection by keys, text that is still being typed) replaces the entry.

import { computed, signal } from "@preact/signals";

/** The screens, by the segment of their address. The API serves the page at each of them. */
export const SCREENS = [
  "", "find", "story", "job", "jobs", "outcomes", "failures", "tenants", "queues", "queue", "schedules", "operations", "operation",
  "quarantine", "audit", "access",
] as const;
export type Screen = (typeof SCREENS)[number];
export type Params = Record<string, string | undefined>;

export interface Place {
  screen: Screen | null;
  params: Record<string, string>;
}

/** Reads an address. A segment that is no screen is `null`. */
export function read(address: URL): Place {
  const segment = address.pathname.slice(address.pathname.lastIndexOf("/") + 1);
  const screen = SCREENS.find((name) => name === segment) ?? null;
  return { screen, params: Object.fromEntries(address.searchParams) };
}

/** Writes an address relative to the folder of the page; parameters without a value are left out. */
export function href(screen: Screen, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value) query.set(name, value);
  const text = query.toString();
  return `${screen === "" ? "./" : screen}${text && `?${text}`}`;
}

const here = () => new URL(window.location.href);
const current = signal<Place>({ screen: "", params: {} });

export const place = computed(() => current.value);
export const params = computed(() => current.value.params);

/** Begins to follow the address. */
export function follow() {
  current.value = read(here());
  window.addEventListener("popstate", () => {
    current.value = read(here());
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download") || link.dataset["out"] !== undefined) return;
    const to = new URL(link.href);
    if (to.origin !== window.location.origin || read(to).screen === null || to.hash) return;
    event.preventDefault();
    go(to.href);
  });
}

/** Opens an address as a step of a person. */
export function go(address: string) {
  const to = new URL(address, document.baseURI);
  if (to.href === here().href) return;
  const isOther = to.pathname !== here().pathname;
  window.history.pushState(null, "", to);
  current.value = read(to);
  if (isOther) window.scrollTo(0, 0);
}

/** Changes parameters of this screen; `undefined` removes one. */
export function change(changes: Params, how: "push" | "replace" = "push") {
  const { screen, params: before } = current.value;
  const to = href(screen ?? "", { ...before, ...changes });
  if (how === "push") return go(to);
  const address = new URL(to, document.baseURI);
  window.history.replaceState(null, "", address);
  current.value = read(address);
}
