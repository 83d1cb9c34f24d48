/**
 * What the scans of a bill come to: boxes and packages by product and batch, against what was announced.
 *
 * A line of the server with a product (and batch) is counted here; one without carries the server's own number.
 */
import type { Line, TallyLine } from "./station-view";

export interface ServerTally extends TallyLine {
  product?: string;
  batch?: string;
}

/** Boxes and packages by level of one product and batch, of the scans that count. */
interface Counted {
  product: string;
  batch: string;
  boxes: number;
  levels: Map<string, number>;
}

function counts(lines: Line[]): Map<string, Counted> {
  const found = new Map<string, Counted>();
  for (const { mark, result } of lines) {
    if (!result || (mark !== "ok" && mark !== "warn") || !result.product) continue;
    const key = `${result.product}\n${result.batch}`;
    const entry = found.get(key) ?? { product: result.product, batch: result.batch, boxes: 0, levels: new Map<string, number>() };
    entry.boxes += result.qty || 0;
    if (result.level_name) entry.levels.set(result.level_name, (entry.levels.get(result.level_name) ?? 0) + 1);
    found.set(key, entry);
  }
  return found;
}

function covers(line: ServerTally, entry: Counted): boolean {
  return entry.product === line.product && (!line.batch || entry.batch === line.batch);
}

function levelText(entry: Counted): string {
  return [...entry.levels].map(([name, n]) => `${name} ${n}`).join(" · ");
}

export class Tally {
  constructor(private announced: ServerTally[]) {}

  /** The server's newer lines in place of those it gave before. */
  renew(lines: ServerTally[]): void {
    this.announced = lines;
  }

  /** The scans of a bill that went on record: they count from now on as what earlier bills brought. */
  settle(lines: Line[]): void {
    const done = counts(lines);
    for (const line of this.announced) {
      if (line.product) for (const entry of done.values()) if (covers(line, entry)) line.scanned = (line.scanned || 0) + entry.boxes;
    }
  }

  /** Each announced line with what came of it, then what nobody announced. */
  against(lines: Line[]): TallyLine[] {
    const counted = counts(lines);
    const shown = this.announced.map((line) => {
      if (!line.product) return line;
      let boxes = 0;
      let levels = "";
      for (const [key, entry] of counted) {
        if (!covers(line, entry)) continue;
        boxes += entry.boxes;
        levels = levelText(entry);
        counted.delete(key);
      }
      return { label: line.label, expected: line.expected ?? null, scanned: boxes + (line.scanned || 0), levels };
    });
    if (this.announced.some((line) => !line.product)) return shown;
    const extra = [...counted.values()].map((entry) => ({
      label: [entry.product, entry.batch].filter(Boolean).join(" · "),
      expected: shown.length > 0 ? 0 : null,
      scanned: entry.boxes,
      levels: levelText(entry),
    }));
    return [...shown, ...extra];
  }
}
