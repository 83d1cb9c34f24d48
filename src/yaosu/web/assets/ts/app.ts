/** Loaded on every page: htmx, small conveniences, and the islands a page asks for. */
import htmx from "htmx.org";
import { copy, toast } from "./dom";
import { csrfToken } from "./net";
import { phoneTables } from "./phone-tables";
import { t } from "./text";

document.addEventListener("htmx:configRequest", (event) => {
  const { headers } = (event as CustomEvent<{ headers: Record<string, string> }>).detail;
  headers["X-CSRF-Token"] = csrfToken();
});
document.addEventListener("htmx:sendError", () => toast(t("网络中断，请稍后重试", "No network; try again"), "refused"));
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = (event as CustomEvent<{ xhr: XMLHttpRequest }>).detail;
  let message = `HTTP ${xhr.status}`;
  try {
    const body = JSON.parse(xhr.responseText) as { message?: string; next?: string };
    message = [body.message, body.next].filter(Boolean).join(" ");
  } catch {
    // a page came back instead of a problem body; the status says enough
  }
  toast(message, "refused");
});

document.addEventListener("click", (event) => {
  const target = (event.target as Element).closest<HTMLElement>("[data-set-lang],[data-back],[data-copy],[data-open],[data-close],[data-print]");
  if (!target) return;
  const { setLang, copy: text, open } = target.dataset;
  if (setLang) {
    event.preventDefault();
    document.cookie = `yaosu_lang=${setLang};path=/;max-age=31536000;samesite=lax`;
    location.reload();
  } else if ("back" in target.dataset) history.back();
  else if (text !== undefined) void copy(text);
  else if (open) (document.getElementById(open) as HTMLDialogElement | null)?.showModal();
  else if ("print" in target.dataset) window.print();
  else target.closest("dialog")?.close();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && location.hash === "#nav") location.hash = "main";
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key !== "/" || typing || event.ctrlKey || event.altKey || document.querySelector("[data-scan-station]")) return;
  const box = document.querySelector<HTMLElement>('[data-hotkey="/"]');
  if (!box) return;
  event.preventDefault();
  box.focus();
});

/** A form sent twice by a nervous double click would be two bills. */
document.addEventListener("submit", (event) => {
  const form = event.target as HTMLFormElement;
  if (event.defaultPrevented || form.method === "get" || form.method === "dialog") return;
  if (form.dataset["sent"]) {
    event.preventDefault();
    return;
  }
  form.dataset["sent"] = "1";
  window.setTimeout(() => delete form.dataset["sent"], 8000);
});
document.addEventListener("change", (event) => {
  if (event.target instanceof HTMLElement && "autosubmit" in event.target.dataset) event.target.closest("form")?.requestSubmit();
});

type Island = () => Promise<{ start(root: HTMLElement): void }>;

/** Loaded when a page has one; a station needs no charts and a list needs no camera. */
const ISLANDS: [selector: string, load: Island][] = [
  ["[data-scan-station]", () => import("./station")],
  ["[data-split-station]", () => import("./split-station")],
  ["[data-person-box]", () => import("./person-box")],
  ["[data-org-picker]", () => import("./org-picker")],
  ["[data-upload]", () => import("./upload")],
  ["[data-table-filter]", () => import("./table-filter")],
  ["[data-capture]", () => import("./capture")],
  ["[data-chart]", () => import("./charts")],
];
const started = new WeakSet<HTMLElement>();

function islands(root: ParentNode): void {
  for (const [selector, load] of ISLANDS) {
    const found = [...root.querySelectorAll<HTMLElement>(selector)].filter((element) => !started.has(element));
    if (found.length === 0) continue;
    for (const element of found) started.add(element);
    void load().then(({ start }) =>
      found.forEach((element) => {
        start(element);
        // from here on it listens; who is quicker than the module (a test) can wait for it
        element.dataset["live"] = "";
      }),
    );
  }
}
islands(document);
// a place far down the navigation is shown without scrolling for it
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest" });
phoneTables(document);
// a link to a dialog opens it: /bills/7#void
const wanted = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
if (wanted instanceof HTMLDialogElement) wanted.showModal();
// what htmx brings into the page comes alive too
document.addEventListener("htmx:afterSettle", () => {
  islands(document);
  phoneTables(document);
});

(window as { htmx?: typeof htmx }).htmx = htmx;
