// Reads again and again what a screen shows, while somebody looks.

import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Refused } from "../api/client";
import { serverNow } from "./time";

export interface Live<T> {
  data: Signal<T | undefined>;
  /** Why the last read failed; `null` when it did not. */
  error: Signal<Refused | null>;
  /** When `data` was read, by the server's clock. */
  at: Signal<number>;
  /** Reads at once. */
  again: () => Promise<void>;
}

/** How long after an error the next read waits, at least. */
const AFTER_ERROR_MS = 3_000;

class Reader<T> implements Live<T> {
  data = signal<T | undefined>(undefined);
  error = signal<Refused | null>(null);
  at = signal(0);
  private abort = new AbortController();
  private timer = 0;
  private isReading = false;
  private isStopped = false;

  constructor(
    private read: (stop: AbortSignal) => Promise<T>,
    private every: number,
  ) {}

  start() {
    document.addEventListener("visibilitychange", this.seen);
    void this.again();
  }

  stop() {
    this.isStopped = true;
    document.removeEventListener("visibilitychange", this.seen);
    clearTimeout(this.timer);
    this.abort.abort();
  }

  /** A hidden page reads nothing; one that is seen again reads at once. */
  private seen = () => {
    clearTimeout(this.timer);
    if (!document.hidden) void this.again();
  };

  again = async (): Promise<void> => {
    if (this.isReading || this.isStopped) return;
    this.isReading = true;
    clearTimeout(this.timer);
    try {
      const data = await this.read(this.abort.signal);
      if (this.isStopped) return;
      this.data.value = data;
      this.at.value = serverNow();
      this.error.value = null;
    } catch (error) {
      if (this.isStopped) return;
      this.error.value = error instanceof Refused ? error : new Refused(0, { detail: String(error) });
    } finally {
      this.isReading = false;
      const error = this.error.value;
      const wait = error ? Math.max(AFTER_ERROR_MS, this.every) : this.every;
      // Each refusal is on record: what was refused once is not asked for again and again.
      const isRefused = error?.status === 401 || error?.status === 403;
      if (!this.isStopped && !document.hidden && this.every > 0 && !isRefused) this.timer = window.setTimeout(() => void this.again(), wait);
    }
  };
}

/** What `read` answers, read again every `every` ms; 0 for once. Another `key` begins anew. */
export function useLive<T>(key: string, read: (stop: AbortSignal) => Promise<T>, every = 2_000): Live<T> {
  const reader = useMemo(() => new Reader(read, every), [key, every]);
  useEffect(() => {
    reader.start();
    return () => reader.stop();
  }, [reader]);
  return reader;
}
