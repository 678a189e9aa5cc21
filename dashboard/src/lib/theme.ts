// Dark or light. `theme.js`, which the page loads first, applies the choice before the first paint.

import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEY = "upshot.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export const theme = signal<Theme>(stored());

export function turn() {
  theme.value = NEXT[theme.value];
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme.value;
  remember(KEY, theme.value === "system" ? "" : theme.value);
}

/** Keeps a small choice of this person in the browser, where it lets us. */
export function remember(key: string, value: string) {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // A browser without storage forgets it with the page.
  }
}

export function remembered(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}
