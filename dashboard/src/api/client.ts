// The API, as its OpenAPI document describes it.

import createClient from "openapi-fetch";
import { marked, printed } from "./exact";
import type { paths } from "./schema";
import type { Problem } from "./types";

/** The folder of the page, which is where the API is: a proxy may put a prefix before both. */
export const base = new URL(".", document.baseURI).href.replace(/\/$/, "");

/** An answer that is no success, or none at all (status 0). */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
  ) {
    super(problem.detail ?? problem.title ?? `The API answers ${status}.`);
  }

  get code(): string {
    return this.problem.code ?? "";
  }
}

/** What learns of each answer: when the API was reached, and that the session is over. */
export const heard = {
  answer: (_serverTime: number | null) => {},
  unauthenticated: () => {},
};

/** A server before the API may not answer for long; a read gives up then. */
const PATIENCE_MS = 20_000;

async function send(request: Request): Promise<Response> {
  let response: Response;
  try {
    const signals = [request.signal];
    if (request.method === "GET") signals.push(AbortSignal.timeout(PATIENCE_MS));
    response = await fetch(request, { signal: AbortSignal.any(signals) });
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw new Refused(0, { detail: "The API cannot be reached." });
  }
  const date = Date.parse(response.headers.get("date") ?? "");
  heard.answer(Number.isNaN(date) ? null : date);
  if (response.status === 204) return response;
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  const { status, statusText, headers } = response;
  return new Response(isJson ? marked(text) : text, { status, statusText, headers });
}

export const api = createClient<paths>({
  baseUrl: base,
  fetch: send,
  bodySerializer: (body) => printed(body),
  credentials: "same-origin",
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of an answer; anything but a success is an error. */
export async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) return data as T;
  if (response.status === 401) heard.unauthenticated();
  throw new Refused(response.status, typeof error === "object" && error !== null ? error : {});
}

/** The cursor of a link to the next page. */
export function cursorOf(next: string | null): string | undefined {
  if (next === null) return undefined;
  return new URL(next, document.baseURI).searchParams.get("cursor") ?? undefined;
}

/** An address of the API as this page reaches it, whatever name the API has for itself. */
export function own(address: string): string {
  const { pathname } = new URL(address, document.baseURI);
  const start = pathname.lastIndexOf("/v1/");
  return start < 0 ? address : base + pathname.slice(start);
}
