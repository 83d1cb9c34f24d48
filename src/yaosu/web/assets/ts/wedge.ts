/**
 * A scanner that types: characters come as keys, Enter or Tab ends a code, and the group separator of GS1 codes
 * comes as the character 0x1D or as Ctrl+]. Everything lands in one box, whatever had the focus before.
 */
export type Via = "scan" | "typed" | "pasted" | "camera";

export const GS = "\x1d";

/** A hand does not keep this pace over a whole code; scanners are at 1–15 ms a key. */
const SCANNER_MS_PER_KEY = 35;
const SCANNER_KEYS_MIN = 6;

export interface WedgeEvents {
  code(raw: string, via: Via): void;
  /** An input method is composing: the scanner's keys would be eaten. */
  composing(on: boolean): void;
  /** Any key or touch: the moment a browser allows sound. */
  gesture(): void;
}

export function editable(element: Element | null): boolean {
  return element instanceof HTMLElement && (element.isContentEditable || element.matches("input, textarea, select"));
}

function dialogOpen(): boolean {
  return document.querySelector("dialog[open]") !== null;
}

export class Wedge {
  private keys = 0;
  private first = 0;
  private last = 0;
  private readonly handheld = window.matchMedia("(pointer: coarse)").matches;

  constructor(
    private readonly box: HTMLInputElement,
    private readonly root: HTMLElement,
    private readonly events: WedgeEvents,
  ) {
    box.addEventListener("keydown", (event) => this.onKey(event));
    box.addEventListener("paste", (event) => this.onPaste(event));
    box.addEventListener("compositionstart", () => events.composing(true));
    box.addEventListener("compositionend", () => events.composing(false));
    box.addEventListener("blur", () => this.later());
    box.addEventListener("pointerdown", () => (box.inputMode = "text"));
    document.addEventListener("keydown", (event) => this.redirect(event), true);
    document.addEventListener("focusout", () => this.later());
    document.addEventListener("pointerdown", () => events.gesture());
    // after a click on a button or on nothing the next scan must not go astray
    document.addEventListener("click", (event) => {
      if (event.target instanceof Element && !editable(event.target) && !event.target.closest("label, a, summary")) this.later(true);
    });
    document.addEventListener("close", () => this.later(true), true);
    window.addEventListener("focus", () => this.later());
    root.addEventListener("change", (event) => {
      if (event.target instanceof HTMLSelectElement) this.later(true);
    });
    this.focus();
  }

  focus(): void {
    if (dialogOpen() || this.box.disabled) return;
    // a handheld scans into the box: its screen keyboard comes only when the box is touched
    if (this.handheld && document.activeElement !== this.box) this.box.inputMode = "none";
    this.box.focus({ preventScroll: true });
  }

  /** Takes the focus back once the browser has settled it, unless somebody is typing elsewhere. */
  private later(fromButtons = false): void {
    window.setTimeout(() => {
      const at = document.activeElement;
      if (at === this.box || dialogOpen()) return;
      const nowhere = at === null || at === document.body || at.id === "main";
      if (nowhere || (fromButtons && !(editable(at) && !(at instanceof HTMLSelectElement)))) this.focus();
    }, 0);
  }

  /** A character typed while a button or nothing has the focus belongs to the box. */
  private redirect(event: KeyboardEvent): void {
    this.events.gesture();
    const target = event.target as Element | null;
    if (target === this.box || editable(target) || dialogOpen()) {
      // Enter in another field of the station means: done there, go on scanning
      if (event.key === "Enter" && target !== this.box && target instanceof HTMLInputElement && this.root.contains(target) && !event.isComposing) {
        event.preventDefault();
        this.focus();
      }
      return;
    }
    const separator = event.ctrlKey && event.code === "BracketRight";
    const character = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (character || event.key === GS) this.focus();
    else if (separator) {
      event.preventDefault();
      this.focus();
      this.insert(GS);
    }
  }

  private onKey(event: KeyboardEvent): void {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.ctrlKey && !event.altKey && event.code === "BracketRight") {
      event.preventDefault();
      this.beat();
      this.insert(GS);
      return;
    }
    // some scanners send CR and LF as Ctrl+M and Ctrl+J
    const control = event.ctrlKey && !event.shiftKey && !event.altKey && (event.code === "KeyM" || event.code === "KeyJ");
    const tab = event.key === "Tab" && !event.shiftKey && this.box.value !== "";
    if ((event.key === "Enter" && !event.ctrlKey) || control || tab) {
      event.preventDefault();
      this.finish();
      return;
    }
    if (event.key.length === 1 && !event.ctrlKey && !event.metaKey) this.beat();
  }

  private beat(): void {
    const now = performance.now();
    if (this.box.value === "" || this.keys === 0) {
      this.keys = 0;
      this.first = now;
    }
    this.keys += 1;
    this.last = now;
  }

  private insert(text: string): void {
    const at = this.box.selectionStart ?? this.box.value.length;
    this.box.setRangeText(text, at, this.box.selectionEnd ?? at, "end");
  }

  /** Takes what stands in the box as a code; nothing happens when it is empty. */
  finish(): void {
    const raw = this.box.value;
    this.box.value = "";
    const pace = this.keys > 1 ? (this.last - this.first) / (this.keys - 1) : Infinity;
    const scanner = this.keys >= SCANNER_KEYS_MIN && pace <= SCANNER_MS_PER_KEY;
    this.keys = 0;
    // only line ends and blanks around are noise; inside, the text stays as it came
    const code = raw.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
    if (code) this.events.code(code, scanner ? "scan" : "typed");
  }

  private onPaste(event: ClipboardEvent): void {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim()).filter(Boolean);
    if (lines.length < 2) return;
    event.preventDefault();
    for (const line of lines) this.events.code(line, "pasted");
  }
}
