/** One thing the server says is wrong, with what to do (the API's problem body). */
export interface Problem {
  code: string;
  message: string;
  next: string;
  findings: { code: string; message: string; next: string; where: string }[];
}

/** What became of a request. "unreachable": nobody answered, or the server asks to come back; try the same again. */
export type Outcome<T> =
  | { kind: "ok"; value: T }
  | { kind: "refused"; status: number; problem: Problem }
  | { kind: "unreachable"; afterMs: number };

export function csrfToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
}

function asProblem(status: number, body: unknown): Problem {
  const given = (typeof body === "object" && body !== null ? body : {}) as Partial<Problem>;
  return {
    code: given.code ?? `http_${status}`,
    message: given.message ?? `HTTP ${status}`,
    next: given.next ?? "",
    findings: given.findings ?? [],
  };
}

/** Sends a request to our own server; never throws for what the network does. */
export async function send<T>(
  method: string,
  url: string,
  body: BodyInit | null,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<Outcome<T>> {
  const stop = new AbortController();
  const timer = window.setTimeout(() => stop.abort(), timeoutMs);
  try {
    const answer = await fetch(url, {
      method,
      body,
      credentials: "same-origin",
      signal: stop.signal,
      headers: { accept: "application/json", "x-csrf-token": csrfToken(), ...headers },
    });
    if (answer.status === 429 || answer.status >= 500) {
      return { kind: "unreachable", afterMs: 1000 * Number(answer.headers.get("retry-after") ?? 0) };
    }
    const parsed: unknown = answer.status === 204 ? null : await answer.json().catch(() => undefined);
    if (!answer.ok) return { kind: "refused", status: answer.status, problem: asProblem(answer.status, parsed) };
    // a page instead of JSON: a proxy or portal of the network stands in between
    if (parsed === undefined) return { kind: "unreachable", afterMs: 0 };
    return { kind: "ok", value: parsed as T };
  } catch {
    return { kind: "unreachable", afterMs: 0 };
  } finally {
    window.clearTimeout(timer);
  }
}

export function postJson<T>(url: string, value: unknown, timeoutMs = 20_000): Promise<Outcome<T>> {
  return send<T>("POST", url, JSON.stringify(value), { "content-type": "application/json" }, timeoutMs);
}

/** Waiting times between tries: 1, 2, 4 … 30 s; cut short when the browser says the network is back. */
export class Backoff {
  private tries = 0;
  private timer = 0;
  private wake: (() => void) | null = null;

  constructor() {
    window.addEventListener("online", () => this.now());
  }

  wait(atLeastMs: number): Promise<void> {
    const ms = Math.max(atLeastMs, Math.min(30_000, 1000 * 2 ** this.tries));
    this.tries += 1;
    return new Promise((resolve) => {
      this.wake = resolve;
      this.timer = window.setTimeout(resolve, ms);
    });
  }

  now(): void {
    window.clearTimeout(this.timer);
    this.wake?.();
    this.wake = null;
  }

  reset(): void {
    this.tries = 0;
  }
}
