/**
 * Choosing an organisation by a few characters: own partners at once, the directory after a moment.
 * `<div data-org-picker data-partners='[{"id","name","uscc","note"}]'>` with a text field and a hidden one.
 */
import { h, part } from "./dom";
import { t } from "./text";

interface Choice {
  id: number;
  name: string;
  uscc: string;
  note?: string;
}

const SHOWN_MAX = 12;
const WAIT_MS = 160;

class Picker {
  private readonly text: HTMLInputElement;
  private readonly value: HTMLInputElement;
  private readonly list: HTMLElement;
  private readonly partners: Choice[];
  private choices: Choice[] = [];
  private at = -1;
  private timer = 0;
  private asked = "";

  constructor(private readonly root: HTMLElement) {
    this.text = part<HTMLInputElement>(root, "input[role=combobox]");
    this.value = part<HTMLInputElement>(root, "input[type=hidden]");
    this.list = part(root, "[role=listbox]");
    this.partners = JSON.parse(root.dataset["partners"] || "[]") as Choice[];
    this.text.addEventListener("focus", () => this.suggest());
    this.text.addEventListener("input", () => {
      this.set(null);
      this.suggest();
    });
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.text.addEventListener("blur", () => window.setTimeout(() => this.leave(), 120));
    this.list.addEventListener("pointerdown", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("[data-at]");
      event.preventDefault();
      if (row) this.choose(Number(row.dataset["at"]));
    });
    this.judge();
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this.list.hidden) this.suggest();
      const n = this.choices.length;
      if (n > 0) this.at = (this.at + (event.key === "ArrowDown" ? 1 : n - 1) + (this.at < 0 && event.key === "ArrowUp" ? 1 : 0)) % n;
      this.draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!this.list.hidden && this.choices.length > 0 && !this.value.value) this.choose(Math.max(this.at, 0));
    } else if (event.key === "Escape") this.list.hidden = true;
  }

  private matches(words: string): Choice[] {
    const wanted = words.toLowerCase();
    return this.partners.filter((one) => one.name.toLowerCase().includes(wanted) || one.uscc.toLowerCase().startsWith(wanted));
  }

  private suggest(): void {
    const words = this.value.value ? "" : this.text.value.trim();
    this.choices = this.matches(words).slice(0, SHOWN_MAX);
    this.at = words && this.choices.length > 0 ? 0 : -1;
    this.draw();
    window.clearTimeout(this.timer);
    if (words) this.timer = window.setTimeout(() => void this.ask(words), WAIT_MS);
  }

  private async ask(words: string): Promise<void> {
    this.asked = words;
    const answer = await fetch(`/api/v1/orgs?limit=20&q=${encodeURIComponent(words)}`, { headers: { accept: "application/json" } }).catch(() => null);
    if (!answer?.ok || this.asked !== words || document.activeElement !== this.text || this.value.value) return;
    const { items } = (await answer.json()) as { items: Choice[] };
    const known = new Set(this.choices.map((one) => one.id));
    const own = Number(this.root.dataset["own"] ?? 0);
    this.choices = [...this.choices, ...items.filter((one) => !known.has(one.id) && one.id !== own)].slice(0, SHOWN_MAX);
    if (this.at < 0 && this.choices.length > 0) this.at = 0;
    this.draw(this.choices.length === 0);
  }

  private draw(none = false): void {
    this.list.hidden = this.choices.length === 0 && !none;
    this.text.setAttribute("aria-expanded", String(!this.list.hidden));
    this.list.replaceChildren(
      ...this.choices.map((one, i) =>
        h("li", { role: "option", id: `${this.list.id}-${i}`, "data-at": String(i), "aria-selected": String(i === this.at) }, h("span", {}, one.name), h("small", {}, [one.uscc, one.note].filter(Boolean).join(" · "))),
      ),
      ...(none ? [h("li", { class: "picker-none" }, t("没有找到该企业", "No such organisation"))] : []),
    );
    if (this.at >= 0) {
      this.text.setAttribute("aria-activedescendant", `${this.list.id}-${this.at}`);
      this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
    } else this.text.removeAttribute("aria-activedescendant");
  }

  private choose(i: number): void {
    const one = this.choices[i];
    if (!one) return;
    this.text.value = one.name;
    this.list.hidden = true;
    this.text.setAttribute("aria-expanded", "false");
    this.set(one);
  }

  private set(one: Choice | null): void {
    const id = one ? String(one.id) : "";
    if (this.value.value === id) return this.judge();
    this.value.value = id;
    this.judge();
    this.value.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** A name that was typed and not chosen stands for nobody. */
  private judge(): void {
    const open = (this.text.required || this.text.value.trim() !== "") && !this.value.value;
    this.text.setCustomValidity(open ? t("请从列表中选择企业", "Choose an organisation from the list") : "");
  }

  private leave(): void {
    this.list.hidden = true;
    if (this.value.value || !this.text.value.trim()) return;
    const exact = this.choices.find((one) => one.name === this.text.value.trim() || one.uscc === this.text.value.trim().toUpperCase());
    if (exact) this.choose(this.choices.indexOf(exact));
  }
}

export function start(root: HTMLElement): void {
  new Picker(root);
}
