/**
 * The split station: scan a box, say how many units for which prescription, scan on; one submission for all lines.
 *
 * A keyboard scanner may fire wherever the focus is: what looks like a trace code in a number field is taken as a scan.
 * Lines and the number of the act stay in the browser until the server has answered, so a retry books nothing twice.
 */
import { codeText, h, part, toast } from "./dom";
import { type Problem, postJson } from "./net";
import { Speaker } from "./sound";
import { t } from "./text";
import { Wedge } from "./wedge";

interface Looked {
  raw: string;
  code: string;
  ok: boolean;
  message: string;
  next: string;
  drug_id: number | null;
  product: string;
  prep_unit: string;
  opened: boolean;
  total: number;
  left: number;
  until: string | null;
}
interface Line {
  box: Looked;
  units: string;
  prescription: string;
  dosage: string;
  error: string;
}
interface Kept {
  number: string;
  lines: Line[];
}

/** Longer than any number of units: a scanner wrote into the field. */
const CODE_CHARS_MIN = 10;

function newNumber(prefix: string): string {
  const now = new Date();
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const clock = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  return `${prefix}-${day}-${clock}${String(Math.floor(Math.random() * 10_000)).padStart(4, "0")}`;
}

class SplitStation {
  private readonly speaker = new Speaker();
  private readonly wedge: Wedge;
  private readonly box: HTMLInputElement;
  private readonly list: HTMLElement;
  private readonly last: HTMLElement;
  private readonly button: HTMLButtonElement;
  private readonly form: HTMLFormElement;
  private readonly key: string;
  private lines: Line[] = [];
  private number: string;
  private sending = false;

  constructor(private readonly root: HTMLElement) {
    this.box = part<HTMLInputElement>(root, "[data-scan-box]");
    this.list = part(root, "[data-split-lines]");
    this.last = part(root, "[data-split-last]");
    this.button = part<HTMLButtonElement>(root, "[data-split-submit]");
    this.form = part<HTMLFormElement>(root, "form");
    this.key = root.dataset["stationKey"] ?? location.pathname;
    this.number = newNumber(root.dataset["prefix"] ?? "CL");
    this.restore();
    this.wedge = new Wedge(this.box, root, {
      code: (raw) => void this.scanned(raw),
      composing: (on) => {
        if (on) this.say("warn", t("输入法处于中文状态，请切换到英文再扫描", "An input method is active; switch it off before scanning"));
      },
      gesture: () => this.speaker.unlock(),
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "F9" || (event.key === "Enter" && event.ctrlKey)) {
        event.preventDefault();
        void this.submit();
      }
    });
    this.draw();
    const prefill = root.dataset["prefill"];
    if (prefill && this.lines.length === 0) void this.scanned(prefill);
  }

  private restore(): void {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key) ?? "null") as Kept | null;
      if (!kept || kept.lines.length === 0) return;
      this.lines = kept.lines;
      this.number = kept.number;
      toast(t("已恢复上次未提交的 {0} 行", "{0} unsubmitted lines restored", this.lines.length), "info");
    } catch {
      localStorage.removeItem(this.key);
    }
  }

  private keep(): void {
    localStorage.setItem(this.key, JSON.stringify({ number: this.number, lines: this.lines } satisfies Kept));
  }

  private async scanned(raw: string): Promise<void> {
    const owner = new FormData(this.form).get("owner");
    const body = { codes: [raw], ...(owner ? { owner: Number(owner) } : {}) };
    const answer = await postJson<{ items: Looked[] }>(this.root.dataset["look"] ?? "", body);
    if (answer.kind !== "ok") {
      this.refuse(answer.kind === "refused" ? answer.problem : null);
      return;
    }
    const found = answer.value.items[0];
    if (!found) return;
    if (!found.ok) {
      this.say("refused", found.message, found.next, found);
      this.speaker.play("refused");
      this.wedge.focus();
      return;
    }
    const before = this.lines[this.lines.length - 1];
    this.lines.push({ box: found, units: "", prescription: before?.prescription ?? "", dosage: "", error: "" });
    this.say("ok", t("剩余 {0} {1}", "{0} {1} left", this.left(found), found.prep_unit), "", found);
    this.speaker.play("ok");
    this.changed();
    this.list.querySelector<HTMLInputElement>(`[data-line="${this.lines.length - 1}"] [data-field="units"]`)?.focus();
  }

  /** What the box still holds beside the lines on the page. */
  private left(box: Looked, without?: Line): number {
    const asked = this.lines.filter((l) => l.box.code === box.code && l !== without);
    return box.left - asked.reduce((sum, l) => sum + (Number(l.units) || 0), 0);
  }

  private say(tone: string, verdict: string, next = "", box?: Looked): void {
    this.last.className = `station-last station-last--${tone}`;
    const shown = [h("p", { class: "station-verdict" }, verdict)];
    if (box?.product) shown.push(h("p", { class: "station-product" }, box.product));
    if (box?.code) shown.push(h("p", {}, codeText(box.code)));
    if (next) shown.push(h("p", { class: "station-next" }, next));
    this.last.replaceChildren(...shown);
  }

  private changed(): void {
    this.keep();
    this.draw();
  }

  private draw(): void {
    this.list.replaceChildren(...this.lines.map((line, n) => this.row(line, n)));
    const empty = this.root.querySelector<HTMLElement>("[data-split-empty]");
    if (empty) empty.hidden = this.lines.length > 0;
    part(this.root, "[data-split-count]").textContent = String(this.lines.length);
    const people = new Set(this.lines.map((l) => l.prescription).filter(Boolean));
    part(this.root, "[data-split-people]").textContent = String(people.size);
    this.button.disabled = this.lines.length === 0 || this.sending;
  }

  private row(line: Line, n: number): HTMLElement {
    const field = (name: "units" | "prescription" | "dosage", label: string, max: number): HTMLElement => {
      const input = h("input", {
        type: "text", value: line[name], "data-field": name, "aria-label": label, maxlength: String(max), autocomplete: "off",
        inputmode: name === "units" ? "numeric" : "text",
      }) as HTMLInputElement;
      input.addEventListener("input", () => this.typed(line, name, input));
      input.addEventListener("focus", () => input.select());
      input.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && !event.ctrlKey && !event.isComposing) this.entered(line, n, name, input);
      });
      return h("div", { class: `field split-field--${name}` }, h("label", {}, label, input));
    };
    const remove = h("button", { type: "button", class: "btn btn--small btn--quiet", "aria-label": t("删除第 {0} 行", "Remove line {0}", n + 1) }, "×");
    remove.addEventListener("click", () => {
      this.lines.splice(n, 1);
      this.changed();
      this.wedge.focus();
    });
    const rest = h("p", { class: "split-left", "data-left": true });
    const row = h("li", { class: "split-line", "data-line": String(n) },
      h("div", { class: "split-box" }, h("b", {}, line.box.product), codeText(line.box.code), rest),
      field("units", t("数量（{0}）", "Units ({0})", line.box.prep_unit), 64),
      field("prescription", t("处方号", "Prescription"), 64),
      field("dosage", t("用法用量（选填）", "Dosage (optional)"), 100),
      remove,
      line.error ? h("p", { class: "split-error", role: "alert" }, line.error) : null);
    this.rest(line, rest);
    return row;
  }

  private rest(line: Line, place: Element): void {
    const left = this.left(line.box);
    const opened = line.box.opened ? t("已开封", "opened") : t("整盒，发放即开封", "closed, opened by this");
    place.textContent = `${opened} · ${t("发放后剩 {0} / {1} {2}", "{0} of {1} {2} left after", left, line.box.total, line.box.prep_unit)}`;
    place.classList.toggle("split-left--over", left < 0);
  }

  private typed(line: Line, name: "units" | "prescription" | "dosage", input: HTMLInputElement): void {
    line[name] = input.value.trim();
    line.error = "";
    this.keep();
    this.lines.forEach((one, n) => {
      const place = this.list.querySelector(`[data-line="${n}"] [data-left]`);
      if (place) this.rest(one, place);
    });
  }

  /** Enter goes on: units → prescription → scan box; a scanner's code in the units field is a scan. */
  private entered(line: Line, n: number, name: string, input: HTMLInputElement): void {
    if (name === "units" && input.value.trim().length >= CODE_CHARS_MIN) {
      const raw = input.value.trim();
      line.units = "";
      input.value = "";
      this.keep();
      void this.scanned(raw);
      return;
    }
    if (name === "units") this.list.querySelector<HTMLInputElement>(`[data-line="${n}"] [data-field="prescription"]`)?.focus();
  }

  private async submit(): Promise<void> {
    if (this.sending || this.lines.length === 0) return;
    let wrong = 0;
    for (const line of this.lines) {
      line.error = /^[1-9]\d{0,6}$/.test(line.units) ? "" : t("请填写数量（正整数）", "Give a positive whole number of units");
      if (line.error) wrong += 1;
    }
    if (wrong) {
      this.changed();
      this.speaker.play("refused");
      return;
    }
    this.sending = true;
    this.draw();
    const fields = new FormData(this.form);
    const body = {
      number: this.number,
      lines: this.lines.map((l) => ({ code: l.box.raw, units: Number(l.units), prescription_no: l.prescription, dosage: l.dosage })),
      ...(fields.get("type") ? { type: Number(fields.get("type")) } : {}),
      ...(fields.get("owner") ? { owner: Number(fields.get("owner")) } : {}),
    };
    const answer = await postJson<{ order_id: number }>(this.root.dataset["submit"] ?? "", body);
    this.sending = false;
    if (answer.kind === "ok") {
      localStorage.removeItem(this.key);
      this.speaker.play("done");
      location.assign(`/split/orders/${answer.value.order_id}`);
      return;
    }
    this.refuse(answer.kind === "refused" ? answer.problem : null);
    this.draw();
  }

  private refuse(problem: Problem | null): void {
    this.speaker.play("refused");
    if (!problem) {
      this.say("warn", t("没有收到服务器的答复", "No answer from the server"), t("请再次提交；同一单号不会重复登记。", "Submit again; the same number is not booked twice."));
      return;
    }
    this.say("refused", problem.message, problem.next);
    for (const one of problem.findings) {
      const at = /^lines\[(\d+)\]/.exec(one.where);
      const line = at ? this.lines[Number(at[1])] : undefined;
      if (line) line.error = [one.message, one.next].filter(Boolean).join(" ");
    }
    this.changed();
  }
}

export function start(root: HTMLElement): void {
  new SplitStation(root);
}
