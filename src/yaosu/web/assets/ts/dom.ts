import { t } from "./text";

type Child = Node | string | null | undefined | false;

/** An element with attributes and children; text is always text, never markup. */
export function h(tag: string, attributes: Record<string, string | boolean> = {}, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** The element inside `root` that must be there; a template that forgot it is a defect. */
export function part<T extends HTMLElement>(root: ParentNode, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`missing ${selector}`);
  return found;
}

/** A code as the `code` macro draws it: digits grouped by margins, copied text unchanged. */
export function codeText(raw: string): HTMLElement {
  const shown = raw.replace(/\x1d/g, "␝");
  if (!/^\d{20}$/.test(shown)) return h("code", { class: "trace" }, shown);
  return h("code", { class: "trace" }, h("span", { class: "g" }, shown.slice(0, 7)), h("span", { class: "g" }, shown.slice(7)));
}

/** A short message at the edge of the window that goes away by itself. */
export function toast(message: string, tone: "ok" | "warn" | "refused" | "info" = "info"): void {
  const place = document.getElementById("toasts");
  if (!place) return;
  const shown = h("div", { class: `toast toast--${tone}` }, message);
  place.append(shown);
  window.setTimeout(() => shown.remove(), tone === "refused" ? 9000 : 5000);
}

/** Copies `text`; says so. Works without the clipboard API too (plain HTTP in a pharmacy's network). */
export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = h("textarea", { class: "sr" }) as HTMLTextAreaElement;
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  toast(t("已复制", "Copied"), "ok");
}
