/**
 * The scan station: scan, hear the verdict, go on; submit once, safely.
 *
 * Scanning never waits for the network. Codes are checked in small groups in the order of scanning; what is not
 * yet acknowledged stays in the journal. A bill is sent under one number until the server has answered.
 */
import { Journal, type Outbox, type Result, type Row } from "./journal";
import { Backoff, postJson } from "./net";
import { Speaker, type Sound } from "./sound";
import { Tally, type ServerTally } from "./station-tally";
import { StationView, named, type Answer, type Line, type Mark } from "./station-view";
import { english, t } from "./text";
import { part, toast } from "./dom";
import { keepForm, movementBody, withRejects } from "./movement";
import { confirmed } from "./preview";
import { GS, Wedge, type Via } from "./wedge";

interface CheckAnswer {
  results: Result[];
  tally?: ServerTally[];
}

/** Scanning: small groups answer soon. A long paste or a day without network: fewer round trips. */
const GROUP_MAX = 50;
const GROUP_MAX_BACKLOG = 500;
const GATHER_MS = 25;
const DUPLICATE_SHOWN_MS = 1500;

export class Station {
  private readonly journal: Journal;
  private readonly view: StationView;
  private readonly wedge: Wedge;
  private readonly speaker = new Speaker();
  private readonly checkAgain = new Backoff();
  private readonly sendAgain = new Backoff();
  private readonly form: HTMLFormElement;
  private readonly places = new Map<string, number>();
  private readonly sendRefused: boolean;
  private readonly codesMax: number;
  private readonly tally: Tally;
  private checking = false;
  private sending = false;
  /** Grows when the context changes: answers to older questions are not taken. */
  private question = 0;
  private halted = false;
  /** A duplicate is said at once; an earlier code's "ok" arriving a moment later must not wipe it out. */
  private duplicateUntil = 0;
  private drawing = 0;

  constructor(private readonly root: HTMLElement) {
    this.form = part<HTMLFormElement>(root, "form");
    this.journal = new Journal(root.dataset["stationKey"] ?? location.pathname);
    this.view = new StationView(root);
    this.sendRefused = root.dataset["sendRefused"] === "true";
    this.codesMax = Number(root.dataset["codesMax"] ?? 10_000);
    this.tally = new Tally(JSON.parse(root.dataset["tally"] || "[]") as ServerTally[]);
    this.wedge = new Wedge(this.view.box, root, {
      code: (raw, via) => this.scanned(raw, via),
      composing: (on) => this.view.notice("ime", on ? t("输入法处于中文状态，请切换到英文再扫描", "An input method is active; switch it off before scanning") : ""),
      gesture: () => this.speaker.unlock(),
    });
    this.listen();
    this.oneWindow();
    for (const row of this.journal.rows.values()) this.remember(row);
    if (this.journal.rows.size > 0) toast(t("已恢复上次未提交的 {0} 条", "{0} unsubmitted scans restored", this.journal.rows.size), "info");
    keepForm(root);
    const prefill = JSON.parse(root.dataset["prefill"] || "[]") as string[];
    if (this.journal.rows.size === 0) for (const raw of prefill) this.remember(this.journal.add(raw, "pasted"));
    this.refresh();
    void this.check();
    if (this.journal.head.outbox) void this.deliver();
  }

  /** Takes a code from any source; what is already in the list is shown as such and not counted again. */
  scanned(raw: string, via: Via): void {
    if (this.halted) return;
    if (this.journal.rows.size - (this.journal.head.outbox?.rows.length ?? 0) >= this.codesMax) {
      this.view.notice("full", t("本单已满 {0} 条，请先提交", "The bill is full ({0} codes); submit it first", this.codesMax), "refused");
      this.signal("refused");
      return;
    }
    const known = this.places.get(raw);
    if (known !== undefined) {
      const line: Line = { n: 0, raw, via, at: "", mark: "duplicate", of: known };
      this.view.showLast(line);
      this.view.announce(t("重复，与第 {0} 条相同", "Duplicate of no. {0}", known), true);
      this.signal("duplicate");
      this.duplicateUntil = performance.now() + DUPLICATE_SHOWN_MS;
      return;
    }
    const row = this.journal.add(raw, via);
    this.duplicateUntil = 0;
    this.remember(row);
    if (!this.root.dataset["checkUrl"]) this.signal("ok", "pending");
    this.view.showLast({ ...row, mark: "pending" });
    this.refresh();
    window.setTimeout(() => void this.check(), GATHER_MS);
  }

  // ---- the list ----

  private remember(row: Row): void {
    if (!this.places.has(row.raw)) this.places.set(row.raw, row.n);
    const code = row.result?.code;
    if (code && !this.places.has(code)) this.places.set(code, row.n);
  }

  /** Rows of the bill being made; those in the outbox belong to the one being sent. */
  private waiting(): Row[] {
    const sent = new Set(this.journal.head.outbox?.rows ?? []);
    return [...this.journal.rows.values()].filter((row) => !sent.has(row.n));
  }

  private line(row: Row): Line {
    const code = row.result?.code;
    const of = code ? this.places.get(code) : undefined;
    if (of !== undefined && of !== row.n) return { ...row, mark: "duplicate", of };
    return { ...row, mark: row.result?.severity ?? "pending" };
  }

  private lines(): Line[] {
    return this.waiting().map((row) => this.line(row));
  }

  private toSend(): Line[] {
    return this.lines().filter((line) => line.mark !== "duplicate" && (this.sendRefused || line.mark !== "refused"));
  }

  /** Many changes in a moment (a paste of thousands of lines) are drawn once. */
  private refresh(): void {
    this.drawing ||= window.setTimeout(() => {
      this.drawing = 0;
      this.redraw();
    }, 16);
  }

  private redraw(): void {
    const lines = this.lines();
    const ready = this.toSend().length;
    this.view.draw(lines);
    this.view.tally(this.tally.against(lines));
    this.view.buttons({
      ready,
      skipped: this.sendRefused ? 0 : lines.filter((line) => line.mark === "refused").length,
      sending: this.journal.head.outbox !== undefined,
      undo: lines.length > 0,
    });
    this.view.notice(
      "storage",
      this.journal.safe ? "" : t("浏览器无法保存更多扫描记录，刷新页面会丢失，请尽快提交", "The browser cannot keep more scans; a reload would lose them. Submit soon"),
      "refused",
    );
  }

  private remove(n: number): void {
    this.journal.remove(n);
    this.places.clear();
    for (const row of this.journal.rows.values()) this.remember(row);
    this.view.notice("full", "");
    this.refresh();
  }

  private undo(): void {
    const row = this.waiting().pop();
    if (!row) return;
    this.remove(row.n);
    toast(t("已撤销：{0}", "Undone: {0}", row.raw.replaceAll(GS, "␝")));
  }

  private signal(sound: Sound, mark?: Mark): void {
    this.speaker.play(sound);
    this.view.flash(mark ?? (sound === "done" ? "ok" : sound));
  }

  // ---- checking ----

  private context(): Record<string, string> {
    const found: Record<string, string> = {};
    new FormData(this.form).forEach((value, key) => {
      if (typeof value === "string" && key !== "_csrf" && key !== "scan") found[key] = value;
    });
    return found;
  }

  private async check(): Promise<void> {
    const url = this.root.dataset["checkUrl"];
    if (!url || this.checking || this.halted) return;
    this.checking = true;
    try {
      for (;;) {
        const backlog = this.waiting().filter((row) => !row.result);
        const group = backlog.slice(0, backlog.length > GROUP_MAX_BACKLOG ? GROUP_MAX_BACKLOG : GROUP_MAX);
        if (group.length === 0) break;
        const question = this.question;
        const answer = await postJson<CheckAnswer>(url, { codes: group.map((row) => row.raw), context: this.context() });
        if (question !== this.question) continue;
        if (answer.kind === "unreachable") {
          this.view.notice("offline", t("网络中断：可继续扫描，{0} 条已保存在本机，恢复后自动校验", "No network: keep scanning; {0} codes are kept here and checked when it is back", backlog.length));
          await this.checkAgain.wait(answer.afterMs);
          continue;
        }
        this.checkAgain.reset();
        this.view.notice("offline", "");
        if (answer.kind === "refused") {
          this.refusedRequest("check", answer.status, answer.problem);
          break;
        }
        this.view.notice("check", "");
        // what a product asks of the sale beside its code: who buys, on what prescription
        this.root.dispatchEvent(new CustomEvent("station:checked", { bubbles: true, detail: answer.value }));
        if (!this.judged(group, answer.value)) break;
      }
    } finally {
      this.checking = false;
    }
  }

  /** Takes the verdicts; false when the server answered for fewer codes than asked. */
  private judged(group: Row[], answer: CheckAnswer): boolean {
    let worst: Mark = "ok";
    let last: Line | null = null;
    for (const [i, row] of group.entries()) {
      const result = answer.results[i];
      if (!result) {
        this.view.notice("check", t("服务器没有答复全部追溯码，请刷新页面重试", "The server did not answer for every code; reload and try again"), "refused");
        return false;
      }
      if (!this.journal.rows.has(row.n)) continue;
      row.result = result;
      this.journal.save(row);
      this.remember(row);
      const line = this.line(row);
      const rank: Mark[] = ["ok", "warn", "duplicate", "refused"];
      if (!last || rank.indexOf(line.mark) >= rank.indexOf(worst)) {
        worst = line.mark;
        last = line;
      }
    }
    if (answer.tally) this.tally.renew(answer.tally);
    if (last && (worst !== "ok" || performance.now() > this.duplicateUntil)) {
      this.view.showLast(last);
      const said = [named(last.mark, last.result), last.result?.product, last.mark === "ok" ? "" : last.result?.message, last.mark === "ok" ? "" : last.result?.next];
      this.view.announce(said.filter(Boolean).join(english ? ", " : "，"), worst !== "ok");
      this.signal(worst === "pending" ? "ok" : worst);
    }
    this.refresh();
    return true;
  }

  private recheck(): void {
    this.question += 1;
    for (const row of this.waiting()) {
      delete row.result;
      this.journal.save(row);
    }
    this.places.clear();
    for (const row of this.journal.rows.values()) this.remember(row);
    this.refresh();
    void this.check();
  }

  private refusedRequest(name: string, status: number, problem: { message: string; next: string; findings: { code: string; message: string; next: string; where: string }[] }): void {
    const expired = status === 401 ? t("登录已过期：请刷新本页重新登录，扫描记录仍保存在本机", "Signed out: reload this page and sign in again; your scans are kept here") : problem.next;
    this.view.notice(name, problem.message, "refused", expired, problem.findings);
    this.signal("refused");
  }

  // ---- submitting ----

  private number(): string {
    const field = this.form.elements.namedItem("bill_no");
    const typed = field instanceof HTMLInputElement ? field.value.trim() : "";
    if (typed) return typed;
    if (!this.journal.head.bill_no) {
      const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
      const noise = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => letters[byte % 32]).join("");
      const day = new Date(Date.now() + 8 * 3600_000).toISOString().slice(0, 10).replaceAll("-", "");
      this.journal.head.bill_no = `${this.root.dataset["billPrefix"] ?? "B"}${day}-${noise}`;
      this.journal.saveHead();
    }
    return this.journal.head.bill_no;
  }

  /** With `data-preview-url` the effects are shown first, and sent once they are confirmed. */
  private submit(agreed = false): void {
    this.wedge.finish();
    if (this.halted || this.journal.head.outbox || !this.root.dataset["submitUrl"]) return;
    const lines = this.toSend();
    if (lines.length === 0) {
      toast(t("还没有可提交的追溯码", "Nothing to submit yet"), "warn");
      return;
    }
    if (!this.form.reportValidity()) return;
    const bill_no = this.number();
    const body = movementBody(this.form);
    const whole = { ...body, bill_no, codes: withRejects(lines.map((line) => line.raw), body) };
    const preview = this.root.dataset["previewUrl"];
    if (preview && !agreed) {
      void confirmed(preview, whole).then((yes) => {
        if (yes) this.submit(true);
      });
      return;
    }
    this.journal.head.outbox = {
      bill_no,
      body: JSON.stringify(whole),
      rows: lines.map((line) => line.n),
    };
    this.journal.saveHead();
    this.refresh();
    void this.deliver();
  }

  /** Sends the outbox until there is an answer; the same number and the same bytes each time. */
  private async deliver(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    try {
      for (;;) {
        const outbox = this.journal.head.outbox;
        if (!outbox) break;
        const answer = await postJson<Answer>(this.root.dataset["submitUrl"] ?? "", JSON.parse(outbox.body), 180_000);
        if (answer.kind === "unreachable") {
          this.view.notice("submit", t("单据 {0} 尚未送达，已保存在本机并自动重试；可继续扫描下一单", "Bill {0} is not delivered yet; it is kept here and retried. You can scan on", outbox.bill_no));
          await this.sendAgain.wait(answer.afterMs);
          continue;
        }
        this.sendAgain.reset();
        delete this.journal.head.outbox;
        if (answer.kind === "refused") {
          // the number stays: nothing was saved under it, and a corrected list may use it
          this.journal.saveHead();
          this.refusedRequest("submit", answer.status, answer.problem);
        } else {
          this.view.notice("submit", "");
          const recorded = answer.value.status !== "refused";
          if (recorded) this.settle(outbox);
          else this.keep(outbox, answer.value);
          this.places.clear();
          for (const row of this.journal.rows.values()) this.remember(row);
          this.view.answered(answer.value);
          if (this.waiting().length === 0) this.view.rest();
          this.view.announce(t("单据已提交，接受 {0}，不通过 {1}", "Submitted: {0} accepted, {1} refused", answer.value.accepted, answer.value.refused), false);
          this.signal(!recorded ? "refused" : answer.value.refused > 0 ? "warn" : "done");
          this.root.dispatchEvent(new CustomEvent("station:submitted", { bubbles: true, detail: answer.value }));
        }
        this.refresh();
        break;
      }
    } finally {
      this.sending = false;
    }
  }

  /** The bill is on record: its scans leave the list and its number is used up. */
  private settle(outbox: Outbox): void {
    const sent = new Set(outbox.rows);
    this.tally.settle([...this.journal.rows.values()].filter((row) => sent.has(row.n)).map((row) => this.line(row)));
    for (const n of outbox.rows) this.journal.remove(n);
    if (this.journal.head.bill_no === outbox.bill_no) this.journal.head.bill_no = "";
    this.journal.saveHead();
    const field = this.form.elements.namedItem("bill_no");
    if (field instanceof HTMLInputElement && !field.readOnly && field.value.trim() === outbox.bill_no) field.value = "";
  }

  /** Nothing was recorded: the scans stay, each with what the server said of it. */
  private keep(outbox: Outbox, answer: Answer): void {
    for (const [i, n] of outbox.rows.entries()) {
      const row = this.journal.rows.get(n);
      const said = answer.results[i];
      if (!row || !said) continue;
      row.result = { ...row.result, ...said, product: row.result?.product ?? "" };
      this.journal.save(row);
    }
    this.journal.saveHead();
  }

  // ---- keys, buttons, windows ----

  private listen(): void {
    document.addEventListener("keydown", (event) => {
      if (document.querySelector("dialog[open]")) return;
      const at = event.target as HTMLElement;
      if (event.key === "F9" || (event.ctrlKey && event.key === "Enter")) {
        event.preventDefault();
        this.submit();
      } else if (event.key === "Delete" && at.closest?.("[data-n]")) {
        event.preventDefault();
        const row = at.closest<HTMLElement>("[data-n]");
        const after = row?.nextElementSibling as HTMLElement | null;
        this.remove(Number(row?.dataset["n"]));
        (after ?? this.view.box).focus();
      } else if (event.key === "Escape" && at.closest?.("[data-n]")) {
        this.view.box.focus();
      } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (at === this.view.box || at.closest?.("[data-n]"))) {
        this.walk(at, event.key === "ArrowDown");
        event.preventDefault();
      } else if (event.ctrlKey && event.key.toLowerCase() === "z" && at === this.view.box && this.view.box.value === "") {
        event.preventDefault();
        this.undo();
      }
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.root.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("button");
      if (!button) return;
      if (button.dataset["remove"]) this.remove(Number(button.dataset["remove"]));
      else if (button.dataset["scanFilter"]) {
        this.view.filter = button.dataset["scanFilter"] as Mark | "all";
        this.refresh();
      } else if ("scanUndo" in button.dataset) this.undo();
      else if ("scanMute" in button.dataset) this.toggleSound(button);
      else if ("scanCamera" in button.dataset) void this.camera();
    });
    this.form.addEventListener("change", (event) => {
      if (event.target instanceof HTMLElement && "recheck" in event.target.dataset) this.recheck();
      else void this.check();
    });
    const mute = this.root.querySelector<HTMLElement>("[data-scan-mute]");
    mute?.setAttribute("aria-pressed", String(this.speaker.muted));
  }

  private walk(from: HTMLElement, down: boolean): void {
    const row = from.closest<HTMLElement>("[data-n]");
    const next = row ? (down ? row.nextElementSibling : row.previousElementSibling) : down ? this.root.querySelector("[data-n]") : null;
    ((next as HTMLElement | null) ?? (down && row ? row : this.view.box)).focus();
  }

  private toggleSound(button: HTMLElement): void {
    this.speaker.mute(!this.speaker.muted);
    button.setAttribute("aria-pressed", String(this.speaker.muted));
    this.speaker.unlock();
    this.speaker.play("ok");
  }

  private async camera(): Promise<void> {
    const { scanWithCamera } = await import("./camera-scan");
    await scanWithCamera((raw) => this.scanned(raw, "camera"));
    this.wedge.focus();
  }

  /** The same list in two windows would be submitted twice with different contents: the newest window has it. */
  private oneWindow(): void {
    const channel = new BroadcastChannel(`yaosu:${this.root.dataset["stationKey"] ?? location.pathname}`);
    channel.postMessage("opened");
    channel.addEventListener("message", () => {
      this.halted = true;
      this.view.box.disabled = true;
      this.view.notice("window", t("本作业台已在另一个窗口打开，请在那里继续，或刷新本页接回", "This station was opened in another window; go on there, or reload this page to take it back"), "refused");
    });
  }
}

export function start(root: HTMLElement): void {
  new Station(root);
}
