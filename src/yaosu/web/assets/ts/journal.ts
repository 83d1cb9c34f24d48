/**
 * What was scanned and not yet acknowledged, kept in the browser: one small entry per scan, so that a reload, a
 * crash or a day without network loses nothing and a long list costs nothing per scan.
 */
import type { Via } from "./wedge";

export type Severity = "ok" | "warn" | "refused";

export interface Result {
  raw: string;
  code: string;
  severity: Severity;
  verdict: string;
  message: string;
  next: string;
  product: string;
  batch: string;
  expiry: string;
  level_name: string;
  qty: number;
  status: string;
  /** The bill that explains the verdict; its number only for those who are party to it. */
  evidence?: { bill_type: number; bill_type_name?: string; happened_at: string; bill_no?: string | null; bill_id?: number | null } | null;
}

export interface Row {
  /** Place in the order of scanning, from 1, over the life of the station. */
  n: number;
  raw: string;
  via: Via;
  at: string;
  /** Absent until the server has looked at it. */
  result?: Result;
}

/** A submission under way: the same bytes are sent until the server answers. */
export interface Outbox {
  bill_no: string;
  body: string;
  rows: number[];
}

interface Head {
  next: number;
  bill_no: string;
  outbox?: Outbox;
}

export class Journal {
  readonly rows = new Map<number, Row>();
  head: Head = { next: 1, bill_no: "" };
  /** False once the browser refused to keep an entry (storage full or forbidden). */
  safe = true;
  private readonly prefix: string;

  constructor(key: string) {
    this.prefix = `yaosu:station:${key}:`;
    this.load();
  }

  private load(): void {
    const found: Row[] = [];
    try {
      this.head = { ...this.head, ...(JSON.parse(localStorage.getItem(this.prefix + "head") ?? "{}") as Partial<Head>) };
      for (let i = 0; i < localStorage.length; i += 1) {
        const key = localStorage.key(i) ?? "";
        if (key.startsWith(this.prefix + "row:")) found.push(JSON.parse(localStorage.getItem(key) ?? "") as Row);
      }
    } catch {
      this.safe = false;
    }
    found.sort((a, b) => a.n - b.n);
    for (const row of found) {
      this.rows.set(row.n, row);
      this.head.next = Math.max(this.head.next, row.n + 1);
    }
  }

  add(raw: string, via: Via): Row {
    const row: Row = { n: this.head.next, raw, via, at: new Date().toISOString() };
    this.head.next += 1;
    this.rows.set(row.n, row);
    this.save(row);
    return row;
  }

  save(row: Row): void {
    this.write("row:" + row.n, row);
  }

  saveHead(): void {
    this.write("head", this.head);
  }

  remove(n: number): void {
    this.rows.delete(n);
    try {
      localStorage.removeItem(`${this.prefix}row:${n}`);
    } catch {
      this.safe = false;
    }
  }

  private write(name: string, value: unknown): void {
    try {
      localStorage.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      this.safe = false;
    }
  }
}
