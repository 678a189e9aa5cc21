// The login: with the identity provider where there is one, with a token otherwise.

import { useEffect, useState } from "preact/hooks";
import { api, ask } from "../api/client";
import type { Access } from "../api/types";
import { begin, enter } from "../lib/session";

/** Where the browser comes back to: the address of this page below the API. */
function here(): string {
  const { pathname, search } = window.location;
  return pathname.slice(pathname.lastIndexOf("/")) + search;
}

export function Login({ why }: { why: string }) {
  const [access, know] = useState<Access | null>(null);
  const [isBusy, busy] = useState(false);
  useEffect(() => {
    document.title = "Log in · Upshot";
    // Without an answer the form for a token is there.
    ask(api.GET("/v1/access")).then(know, () => {});
  }, []);
  return (
    <main class="alone">
      <h1>
        <img src="./icon.svg" alt="" width="32" height="32" /> Log in to Upshot
      </h1>
      {why && (
        <p class="problem" role="alert">
          {why}
        </p>
      )}
      {access?.provider && (
        <p>
          <a class="button key" href={`v1/login?to=${encodeURIComponent(here())}`}>
            Log in with your organisation
          </a>
        </p>
      )}
      <form
        onSubmit={async (event) => {
          event.preventDefault();
          const field = (event.currentTarget as HTMLFormElement).elements.namedItem("token") as HTMLInputElement;
          busy(true);
          // Somebody may paste the whole address of a link.
          await enter(field.value.trim().replace(/^.*#/, ""));
          busy(false);
        }}
      >
        <div class="field">
          <label for="token">{access?.provider ? "Or with a token" : "Token"}</label>
          <input id="token" name="token" type="password" autocomplete="off" spellcheck={false} required aria-describedby="token-hint" />
          <p id="token-hint" class="hint">
            An API token (<code>upk_…</code>), or the code of a link that you were given (<code>upl_…</code>). An administrator
            makes one with <code>upshot token create</code>.
          </p>
        </div>
        <button type="submit" class={access?.provider ? "quiet" : "key"} aria-disabled={isBusy}>
          Log in
        </button>
      </form>
    </main>
  );
}

const AGAIN_MS = 3_000;

/** The API does not answer: the page tries again by itself. */
export function Away({ why }: { why: string }) {
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) void begin();
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <main class="alone">
      <h1>Upshot does not answer</h1>
      <p class="problem" role="alert">
        {why}
      </p>
      <p class="hint">This page tries again every few seconds.</p>
    </main>
  );
}
