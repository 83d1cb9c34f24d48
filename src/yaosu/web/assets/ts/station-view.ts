/** What the scan station shows. Knows nothing of network or storage; every text goes in as text. */
import { codeText, h, part } from "./dom";
import type { Result, Row, Severity } from "./journal";
import type { Problem } from "./net";
import { count, t } from "./text";

export type Mark = Severity | "pending" | "duplicate";

export interface Line extends Row {
  mark: Mark;
  /** For a duplicate: the place of the row it repeats. */
  of?: number;
}

export interface TallyLine {
  label: string;
  expected?: number | null;
  scanned: number;
  /** Packages scanned by level: 箱 2 · 盒 5. */
  levels?: string;
}

export interface Answer {
  bill_no: string;
  bill_id?: number | string | null;
  url?: string;
  /** accepted, partial, refused (nothing recorded) or void. */
  status?: string;
  /** Receipts: what the goods came to against each notice. */
  checks?: { id: number; outcome: string; counts: Record<string, number> }[];
  accepted: number;
  refused: number;
  results: Result[];
}

const SHOWN_MAX = 200;

const VERDICTS: Record<Mark, () => string> = {
  ok: () => t("通过", "OK"),
  warn: () => t("注意", "Check"),
  refused: () => t("不通过", "Refused"),
  pending: () => t("待校验", "Waiting"),
  duplicate: () => t("重复", "Duplicate"),
};

/** A verdict's name: servers may send a short text; the API's stable code is for machines. */
export function named(mark: Mark, r?: Result): string {
  return r?.verdict && !/^[a-z0-9_]+$/.test(r.verdict) ? r.verdict : VERDICTS[mark]();
}

/** 321 零售出库 · 2026-09-29 17:20 · LS-88, with the way to the bill for those who may open it. */
function evidence(r?: Result): HTMLElement | null {
  const found = r?.evidence;
  if (!found) return null;
  const at = new Date(Date.parse(found.happened_at) + 8 * 3600_000).toISOString().slice(0, 16).replace("T", " ");
  const text = `${t("依据", "Evidence")}: ${found.bill_type} ${found.bill_type_name ?? ""} · ${at}`;
  const link = found.bill_id ? h("a", { href: `/bills/${found.bill_id}`, target: "_blank" }, found.bill_no ?? "") : null;
  return h("span", { class: "scan-evidence" }, text, link ? " · " : null, link);
}

const OUTCOMES: Record<string, () => string> = {
  matched: () => t("与上游出库信息相符", "matches the notice"),
  part: () => t("已收部分相符，尚有未到", "matches so far; more is outstanding"),
  mismatch: () => t("与上游出库信息不符，已反馈发货方", "does not match the notice; the seller is told"),
  refused: () => t("有拒收，已通知发货方", "goods were refused; the seller is told"),
};

const KINDS: Record<string, () => string> = {
  matched: () => t("相符", "matched"),
  short: () => t("未到", "outstanding"),
  over: () => t("多出", "over"),
  quarantined: () => t("入待处理区", "to quarantine"),
  refused: () => t("拒收", "refused"),
  wrong: () => t("品种/批号不符", "wrong goods"),
  not_activated: () => t("未激活", "not activated"),
  unknown: () => t("未知", "unknown"),
  elsewhere: () => t("非发往本单位", "belongs elsewhere"),
  sold: () => t("已售出", "already sold"),
  no_notice: () => t("无上游出库信息", "no notice"),
  expired: () => t("已过期", "expired"),
  invalid: () => t("已失效", "not valid"),
  unreadable: () => t("无法识别", "unreadable"),
};

export class StationView {
  readonly box: HTMLInputElement;
  private readonly list: HTMLElement;
  private readonly last: HTMLElement;
  private readonly polite: HTMLElement;
  private readonly urgent: HTMLElement;
  filter: Mark | "all" = "all";
  private drawn = 0;

  constructor(private readonly root: HTMLElement) {
    this.box = part<HTMLInputElement>(root, "[data-scan-box]");
    this.list = part(root, "[data-scan-list]");
    this.last = part(root, "[data-scan-last]");
    this.polite = part(root, "[data-scan-polite]");
    this.urgent = part(root, "[data-scan-urgent]");
  }

  /** The big panel: the last verdict, readable from an arm's length. */
  showLast(line: Line): void {
    const r = line.result;
    const name = named(line.mark, line.mark === "duplicate" ? undefined : r);
    const message = line.mark === "duplicate" ? t("与第 {0} 条相同，未重复计入", "Same as no. {0}; not counted again", line.of ?? 0) : (r?.message ?? "");
    this.last.className = `station-last station-last--${line.mark}`;
    const content = [
      h("p", { class: "station-verdict" }, name),
      h("p", { class: "station-code" }, codeText(r?.code || line.raw)),
      r?.product ? h("p", { class: "station-product" }, [r.product, r.batch && t("批号 {0}", "batch {0}", r.batch), r.expiry && t("有效期至 {0}", "expires {0}", r.expiry)].filter(Boolean).join(" · ")) : null,
      message ? h("p", {}, message) : null,
      line.mark === "duplicate" || line.mark === "ok" ? null : evidence(r),
      r?.next ? h("p", { class: "station-next" }, r.next) : null,
    ];
    this.last.replaceChildren(...content.filter((element) => element !== null));
  }

  /** Back to waiting: the last verdict belonged to a bill that is done. */
  rest(): void {
    this.last.className = "station-last";
    this.last.replaceChildren(h("p", { class: "station-verdict" }, t("等待扫描", "Ready to scan")), h("p", {}, t("可以开始下一单。", "Go on with the next bill.")));
  }

  flash(mark: Mark): void {
    if (mark === "pending") return;
    this.root.classList.remove("flash-ok", "flash-warn", "flash-refused", "flash-duplicate");
    void this.root.offsetWidth;
    this.root.classList.add(`flash-${mark}`);
  }

  announce(text: string, urgent: boolean): void {
    (urgent ? this.urgent : this.polite).textContent = text;
  }

  /** The list, newest first; only the newest 200 of the chosen kind stand in the page. */
  draw(lines: Line[]): void {
    window.cancelAnimationFrame(this.drawn);
    this.drawn = window.requestAnimationFrame(() => this.drawNow(lines));
  }

  private drawNow(lines: Line[]): void {
    const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("[data-n]")?.dataset["n"];
    const chosen = this.filter === "all" ? lines : lines.filter((line) => line.mark === this.filter);
    this.list.replaceChildren(...chosen.slice(-SHOWN_MAX).reverse().map((line) => this.row(line)));
    if (focused) (this.list.querySelector<HTMLElement>(`[data-n="${focused}"]`) ?? this.box).focus();
    part(this.root, "[data-scan-empty]").hidden = lines.length > 0;
    const more = part(this.root, "[data-scan-more]");
    more.hidden = chosen.length <= SHOWN_MAX;
    more.textContent = t("显示最近 {0} 条，共 {1} 条", "Newest {0} of {1} shown", SHOWN_MAX, count(chosen.length));
    const numbers: Record<string, number> = { all: lines.length, ok: 0, warn: 0, refused: 0, pending: 0, duplicate: 0 };
    let boxes = 0;
    for (const line of lines) {
      numbers[line.mark] = (numbers[line.mark] ?? 0) + 1;
      if (line.mark === "ok" || line.mark === "warn") boxes += line.result?.qty ?? 0;
    }
    for (const chip of this.root.querySelectorAll<HTMLElement>("[data-scan-filter]")) {
      const kind = chip.dataset["scanFilter"] ?? "all";
      part(chip, "b").textContent = count(numbers[kind] ?? 0);
      chip.setAttribute("aria-pressed", String(kind === this.filter));
      chip.hidden = kind !== "all" && kind !== "ok" && (numbers[kind] ?? 0) === 0;
    }
    part(this.root, "[data-scan-codes]").textContent = count(lines.length - (numbers["duplicate"] ?? 0));
    part(this.root, "[data-scan-boxes]").textContent = count(boxes);
  }

  private row(line: Line): HTMLElement {
    const r = line.result;
    const facts = [r?.level_name, r?.product, r?.batch, r?.qty && r.qty > 1 ? t("{0} 盒", "{0} boxes", count(r.qty)) : ""].filter(Boolean).join(" · ");
    const remark = line.mark === "duplicate" ? t("与第 {0} 条相同", "same as no. {0}", line.of ?? 0) : (r?.message ?? "");
    return h(
      "li",
      { class: `scan scan--${line.mark}`, "data-n": String(line.n), tabindex: "-1" },
      h("span", { class: "scan-n" }, String(line.n)),
      h("span", { class: "scan-main" }, codeText(r?.code || line.raw), facts ? h("span", { class: "scan-facts" }, facts) : null),
      h(
        "span",
        { class: "scan-verdict" },
        h("span", { class: `verdict verdict--${line.mark === "duplicate" ? "warn" : line.mark}` }, line.mark === "duplicate" ? VERDICTS.duplicate() : named(line.mark, r)),
        remark && line.mark !== "ok" ? h("span", { class: "scan-note" }, remark) : null,
        line.mark === "refused" ? evidence(r) : null,
        r?.next && line.mark !== "ok" && line.mark !== "duplicate" ? h("span", { class: "scan-next" }, r.next) : null,
      ),
      h("button", { class: "scan-remove", type: "button", "data-remove": String(line.n), "aria-label": t("删除第 {0} 条", "Remove no. {0}", line.n), title: t("删除 (Del)", "Remove (Del)") }, "×"),
    );
  }

  tally(lines: TallyLine[]): void {
    const place = part(this.root, "[data-scan-tally]");
    place.replaceChildren(
      ...lines.map((line) => {
        const expected = line.expected ?? null;
        const state = expected === null ? "" : line.scanned > expected ? " tally--over" : line.scanned === expected ? " tally--done" : "";
        const bar = expected === null ? null : (h("progress", { max: String(Math.max(expected, 1)), value: String(Math.min(line.scanned, expected)), "aria-label": line.label }) as HTMLElement);
        const note = expected === null ? "" : line.scanned > expected ? t("多 {0}", "{0} over", count(line.scanned - expected)) : line.scanned === expected ? t("已齐", "complete") : t("差 {0}", "{0} short", count(expected - line.scanned));
        return h(
          "li",
          { class: "tally" + state },
          h("span", { class: "tally-label" }, line.label),
          h("span", { class: "tally-count" }, h("b", {}, count(line.scanned)), expected === null ? "" : ` / ${count(expected)}`),
          bar,
          note || line.levels ? h("span", { class: "tally-note" }, [note, line.levels].filter(Boolean).join(" · ")) : null,
        );
      }),
    );
  }

  /** A line above the box that stays until it is settled; "" takes it away. */
  notice(name: string, text: string, tone: "info" | "warn" | "refused" = "warn", next = "", findings: Problem["findings"] = []): void {
    const place = part(this.root, "[data-scan-notices]");
    place.querySelector(`[data-notice="${name}"]`)?.remove();
    if (!text) return;
    place.append(
      h(
        "div",
        { class: `alert alert--${tone}`, "data-notice": name, role: tone === "refused" ? "alert" : "status" },
        h(
          "div",
          {},
          h("b", {}, text),
          next ? h("p", {}, next) : null,
          findings.length > 0 ? h("ul", { class: "findings" }, ...findings.slice(0, 100).map((f) => h("li", { class: "finding" }, f.where ? h("span", { class: "finding-where" }, f.where) : null, h("span", { class: "finding-text" }, f.message, f.next ? h("small", {}, f.next) : null)))) : null,
        ),
      ),
    );
  }

  /** The server's answer to a bill: what counted, what did not, and why. */
  answered(answer: Answer): void {
    const place = part(this.root, "[data-scan-answer]");
    const odd = answer.results.filter((r) => r.severity !== "ok");
    const recorded = answer.status !== "refused";
    const url = answer.url ?? (answer.bill_id ? `/bills/${answer.bill_id}` : "");
    const head = recorded
      ? t("单据 {0} 已提交：接受 {1}，不通过 {2}", "Bill {0} submitted: {1} accepted, {2} refused", answer.bill_no, count(answer.accepted), count(answer.refused))
      : t("单据 {0} 未登记：追溯码均不通过，没有任何变动", "Bill {0} not recorded: every code was refused; nothing changed", answer.bill_no);
    place.hidden = false;
    place.replaceChildren(
      h(
        "div",
        { class: `alert alert--${!recorded ? "refused" : answer.refused > 0 ? "warn" : "ok"}` },
        h(
          "div",
          {},
          h("b", {}, head),
          ...(answer.checks ?? []).map((one) => this.checked(one)),
          url ? h("p", {}, h("a", { href: url, "data-bill-link": true }, t("查看单据", "Open the bill"))) : null,
          odd.length > 0 ? h("ul", { class: "findings" }, ...odd.slice(0, SHOWN_MAX).map((r) => this.finding(r))) : null,
        ),
      ),
    );
  }

  private finding(r: Result): HTMLElement {
    const name = /^[a-z0-9_]+$/.test(r.verdict) ? "" : r.verdict;
    const text = h("span", { class: "finding-text" }, [name, r.message].filter(Boolean).join("："), r.next ? h("small", {}, r.next) : null);
    return h("li", { class: `finding finding--${r.severity}` }, h("span", { class: "finding-where" }, r.code || r.raw), text);
  }

  /** One receipt check in a line, with the way to its page. */
  private checked(one: { id: number; outcome: string; counts: Record<string, number> }): HTMLElement {
    const counts = Object.entries(one.counts).map(([kind, n]) => `${KINDS[kind]?.() ?? kind} ${count(n)}`);
    const name = t("验收核对：{0}", "Receipt check: {0}", OUTCOMES[one.outcome]?.() ?? one.outcome);
    return h("p", { "data-check": one.outcome }, h("a", { href: `/checks/${one.id}` }, name), counts.length > 0 ? ` · ${counts.join(" · ")}` : "");
  }

  buttons(state: { ready: number; skipped: number; sending: boolean; undo: boolean }): void {
    const submit = part<HTMLButtonElement>(this.root, "[data-scan-submit]");
    submit.disabled = state.sending || state.ready === 0;
    submit.setAttribute("aria-busy", String(state.sending));
    part(submit, "span").textContent = state.sending
      ? t("正在提交…", "Submitting…")
      : `${submit.dataset["label"] ?? ""}${state.ready > 0 ? t("（{0}）", " ({0})", count(state.ready)) : ""}`;
    const skipped = part(this.root, "[data-scan-skipped]");
    skipped.hidden = state.skipped === 0;
    skipped.textContent = t("不通过的 {0} 条不提交，处理后请删除", "{0} refused codes are not submitted; remove them when settled", count(state.skipped));
    part<HTMLButtonElement>(this.root, "[data-scan-undo]").disabled = !state.undo;
  }
}
