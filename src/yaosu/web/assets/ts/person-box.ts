/**
 * The buyer at a real-name till. A card reader types like a keyboard: number, then Enter, wherever the focus is.
 *
 * The number is checked as it is typed. Once the server has registered the person the form carries its number
 * (`person_id`) and masked texts only: nothing personal stays in the page, its history or the browser's storage.
 */
import { part } from "./dom";
import { postJson } from "./net";
import { t } from "./text";

interface Person {
  person_id: number;
  kind_name: string;
  name: string;
  number: string;
}
interface Checked {
  ok: boolean;
  message: string;
  next: string;
  known: Person | null;
}

const CARD = /^[1-9]\d{16}[\dXx]$/;
const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const TYPING_MS = 250;

/** Whether a text is an identity-card number (GB 11643) and so no trace code: decides only where keys belong. */
function isCard(text: string): boolean {
  if (!CARD.test(text)) return false;
  const sum = WEIGHTS.reduce((total, weight, i) => total + weight * Number(text[i]), 0);
  return "10X98765432"[sum % 11] === text[17]?.toUpperCase();
}

class PersonBox {
  private readonly kind: HTMLSelectElement;
  private readonly number: HTMLInputElement;
  private readonly name: HTMLInputElement;
  private readonly phone: HTMLInputElement;
  private readonly said: HTMLElement;
  private readonly id: HTMLInputElement;
  private readonly hint: string;
  private typing = 0;
  private question = 0;
  private known: Person | null = null;

  constructor(private readonly root: HTMLElement) {
    this.kind = part(root, "[data-person-kind]");
    this.number = part(root, "[data-person-number]");
    this.name = part(root, "[data-person-name]");
    this.phone = part(root, "[data-person-phone]");
    this.said = part(root, "[data-person-said]");
    this.id = part(root, "[data-person-id]");
    this.hint = this.said.textContent ?? "";
    // before the station's own listeners: a card held to the reader while the scan box has the focus is no code
    document.addEventListener("keydown", (event) => this.intercept(event), true);
    this.number.addEventListener("input", () => this.later());
    this.kind.addEventListener("change", () => this.later());
    for (const field of [this.number, this.name, this.phone]) {
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.isComposing) return;
        event.preventDefault();
        // the station's listener gives the focus to the scan box; the next field comes after it
        window.setTimeout(() => void this.entered(), 0);
      });
    }
    part(this.root, "[data-person-go]").addEventListener("click", () => void this.register());
    part(this.root, "[data-person-other]").addEventListener("click", () => {
      this.clear();
      window.setTimeout(() => this.number.focus(), 0);
    });
    document.addEventListener("station:checked", (event) => {
      const { demands } = (event as CustomEvent<{ demands?: unknown[] }>).detail;
      if ((demands?.length ?? 0) > 0 && !this.id.value) this.unfold();
    });
    document.addEventListener("station:submitted", (event) => {
      if ((event as CustomEvent<{ status?: string }>).detail.status === "refused") return;
      this.clear();
      const fold = this.root.closest("details");
      if (fold) fold.open = false;
      for (const field of document.querySelectorAll<HTMLInputElement>("input[data-once]")) field.value = "";
    });
  }

  private intercept(event: KeyboardEvent): void {
    const at = event.target;
    if (event.key !== "Enter" || !(at instanceof HTMLInputElement) || !("scanBox" in at.dataset) || !isCard(at.value.trim())) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.clear();
    this.unfold();
    this.kind.value = "1";
    this.number.value = at.value.trim().toUpperCase();
    at.value = "";
    void this.entered();
  }

  /** On the common till the box is folded away until a product asks for it. */
  private unfold(): void {
    const fold = this.root.closest("details");
    if (fold) fold.open = true;
  }

  private later(): void {
    window.clearTimeout(this.typing);
    this.known = null;
    if (this.number.value.trim().length < 4) {
      this.say(this.hint, "");
      return;
    }
    this.typing = window.setTimeout(() => void this.check(), TYPING_MS);
  }

  private async check(): Promise<boolean> {
    window.clearTimeout(this.typing);
    const asked = ++this.question;
    const answer = await postJson<Checked>(this.root.dataset["personCheck"] ?? "", { kind: this.kind.value, number: this.number.value });
    if (asked !== this.question) return false;
    if (answer.kind === "unreachable") {
      this.say(t("网络中断，暂时无法核对证件", "No network; the document cannot be checked now"), "refused");
      return false;
    }
    if (answer.kind === "refused") {
      this.say(answer.problem.findings[0]?.message ?? answer.problem.message, "refused");
      return false;
    }
    this.known = answer.value.known;
    if (!answer.value.ok) this.say(`${answer.value.message} ${answer.value.next}`, "refused");
    else if (this.known) this.say(t("本单位登记过：{0}，按回车确认", "Registered here before: {0}; press Enter", this.known.name), "ok");
    else this.say(t("号码正确，请填写姓名", "The number is right; enter the name"), "ok");
    return answer.value.ok;
  }

  /** Enter: the number leads to the name, the name to the registration. */
  private async entered(): Promise<void> {
    if (!(await this.check())) {
      this.number.focus();
      this.number.select();
    } else if (this.known || this.name.value.trim()) await this.register();
    else this.name.focus();
  }

  private async register(): Promise<void> {
    const body = { kind: this.kind.value, number: this.number.value, name: this.name.value, phone: this.phone.value };
    const answer = await postJson<Person>(this.root.dataset["personRegister"] ?? "", body);
    if (answer.kind === "unreachable") {
      this.say(t("网络中断，未能登记，请重试", "No network; not registered, try again"), "refused");
      return;
    }
    if (answer.kind === "refused") {
      const { findings, message, next } = answer.problem;
      this.say(findings.length > 0 ? findings.map((f) => `${f.message} ${f.next}`).join(" ") : `${message} ${next}`, "refused");
      const first = findings[0]?.where ?? "";
      (first.endsWith("name") ? this.name : first.endsWith("phone") ? this.phone : this.number).focus();
      return;
    }
    const one = answer.value;
    this.empty();
    part(this.root, "[data-person-text]").textContent = `${one.name} · ${one.kind_name} ${one.number}`;
    this.show(String(one.person_id));
    document.querySelector<HTMLInputElement>("[data-scan-box]")?.focus();
  }

  private clear(): void {
    this.empty();
    this.say(this.hint, "");
    if (this.id.value) this.show("");
  }

  private empty(): void {
    this.known = null;
    this.question += 1;
    for (const field of [this.number, this.name, this.phone]) field.value = "";
  }

  private show(id: string): void {
    this.id.value = id;
    this.root.classList.toggle("person--known", id !== "");
    part(this.root, "[data-person-ask]").hidden = id !== "";
    part(this.root, "[data-person-shown]").hidden = id === "";
    // what was said of the scans depends on who buys
    this.id.dispatchEvent(new Event("change", { bubbles: true }));
  }

  private say(text: string, tone: "" | "ok" | "refused"): void {
    this.said.textContent = text;
    this.said.className = tone === "refused" ? "field-error" : "field-hint";
    this.number.setAttribute("aria-invalid", String(tone === "refused"));
  }
}

export function start(root: HTMLElement): void {
  new PersonBox(root);
}
