// The principal of this page, and what it may do.

import { computed, signal } from "@preact/signals";
import { Refused, api, ask, heard } from "../api/client";
import type { Me, Right } from "../api/types";
import { learn } from "./time";

export type Session =
  | { is: "asking" }
  | { is: "out"; why: string }
  | { is: "cut"; why: string }
  | { is: "in"; me: Me };

export const session = signal<Session>({ is: "asking" });
export const me = computed<Me | null>(() => (session.value.is === "in" ? session.value.me : null));

/** When the API was last heard of, ms of this browser. */
export const heardAt = signal(0);

heard.answer = (serverTime) => {
  heardAt.value = Date.now();
  if (serverTime !== null) learn(serverTime);
};
heard.unauthenticated = () => {
  if (session.value.is !== "in") return;
  const isLink = session.value.me.target !== null;
  const why = isLink
    ? "This page has ended. Open your link again, or ask for another one where you got it."
    : "Your session has ended. Log in to continue here.";
  session.value = { is: "out", why };
};

const CREDENTIAL = /^up[klb]_/;

/** Takes a link that somebody opens in the tab where this page already is. */
export const followLinks = () =>
  window.addEventListener("hashchange", () => {
    if (CREDENTIAL.test(window.location.hash.slice(1))) void begin();
  });

/** Finds out who looks at this page. A credential in the fragment is taken out of the address first. */
export async function begin() {
  const given = window.location.hash.slice(1);
  if (CREDENTIAL.test(given)) {
    window.history.replaceState(null, "", window.location.pathname + window.location.search);
    return enter(given);
  }
  try {
    session.value = { is: "in", me: await ask(api.GET("/v1/me")) };
  } catch (error) {
    session.value = outcome(error);
  }
}

function outcome(error: unknown): Session {
  if (error instanceof Refused && error.status === 401) return { is: "out", why: "" };
  return { is: "cut", why: (error as Error).message };
}

/** Exchanges a token for a session. */
export async function enter(token: string) {
  try {
    session.value = { is: "in", me: await ask(api.POST("/v1/session", { body: { token } })) };
  } catch (error) {
    const isLink = error instanceof Refused && error.status === 401 && token.startsWith("upl_");
    const why = isLink
      ? "This link does not work: it has expired, or was revoked. Ask for another one where you got it."
      : (error as Error).message;
    session.value = { is: "out", why };
  }
}

export async function leave() {
  await ask(api.DELETE("/v1/session"));
  session.value = { is: "out", why: "" };
}

/** Why this principal may not do something; `null` if it may. */
export function lacks(right: Right, needs?: "all-tenants" | "installation"): string | null {
  const mine = me.value;
  if (mine === null) return "You are not logged in.";
  if (!mine.rights.includes(right)) return `This needs the right “${right}”, which you do not have.`;
  const all = (names: string[]) => names.includes("*");
  if (needs && !all(mine.scope.tenants)) return "This adds up over all tenants, and you see only some.";
  if (needs === "installation" && !(all(mine.scope.queues) && all(mine.scope.sources)))
    return "This is about the whole installation, and you see a part of it.";
  return null;
}
