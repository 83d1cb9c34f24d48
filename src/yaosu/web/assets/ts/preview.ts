/** What a correction would do, shown before it is confirmed (R-X3). The server works it out; nothing is changed. */
import { codeText, h, part, toast } from "./dom";
import { postJson, type Problem } from "./net";
import { t } from "./text";

interface Said {
  raw: string;
  code: string;
  severity: string;
  message: string;
  next: string;
}
interface Preview {
  possible: boolean;
  kept: { code: string; later_bill: number; qty: number }[];
  taken_back: string[];
  added: Said[];
  removed: string[];
  blocked: Problem | null;
  result: { results: Said[]; qty: number } | null;
}

/** Codes listed in each part; the rest is counted. */
const LISTED = 60;

/** Asks the server about `body` and shows the effects; true once somebody confirms them. */
export async function confirmed(url: string, body: object): Promise<boolean> {
  const answer = await postJson<Preview>(url, body, 60_000);
  if (answer.kind === "unreachable") {
    toast(t("服务器没有回应，请稍后再试", "No answer from the server; try again"), "warn");
    return false;
  }
  const dialog = part<HTMLDialogElement>(document, "#effects");
  const place = part<HTMLElement>(dialog, "[data-preview]");
  const yes = part<HTMLButtonElement>(dialog, "[data-preview-confirm]");
  const shown = answer.kind === "ok" ? answer.value : null;
  place.replaceChildren(...(shown ? effects(shown) : [refusal((answer as { problem: Problem }).problem)]));
  yes.hidden = !shown?.possible;
  dialog.showModal();
  return await new Promise((settle) => {
    const choose = (): void => {
      dialog.returnValue = "yes";
      dialog.close();
    };
    yes.addEventListener("click", choose, { once: true });
    dialog.addEventListener(
      "close",
      () => {
        yes.removeEventListener("click", choose);
        settle(dialog.returnValue === "yes");
        dialog.returnValue = "";
      },
      { once: true },
    );
  });
}

function refusal(problem: Problem): HTMLElement {
  const list = h("ul", { class: "findings" });
  for (const f of problem.findings.slice(0, LISTED)) {
    list.append(h("li", { class: "finding finding--refused" }, f.where && h("span", { class: "finding-where" }, f.where), h("span", { class: "finding-text" }, f.message, f.next && h("small", {}, f.next))));
  }
  return h("div", { class: "alert alert--refused", role: "alert" }, h("div", {}, h("b", {}, problem.message), h("p", {}, problem.next), list));
}

function effects(shown: Preview): HTMLElement[] {
  const parts: HTMLElement[] = [];
  if (shown.blocked) parts.push(refusal(shown.blocked));
  const refused = shown.result?.results.filter((one) => one.severity === "refused") ?? [];
  const added = shown.added.filter((one) => one.severity !== "refused");
  const again = shown.taken_back.length - shown.removed.length;
  if (shown.kept.length > 0) {
    parts.push(section(t("已继续流转，保持不变", "Moved on since: left as they are"), shown.kept.length, shown.kept.map((one) => h("li", {}, codeText(one.code), " ", h("a", { href: `/trace?code=${encodeURIComponent(one.code)}`, target: "_blank", rel: "noopener" }, t("流转", "history"))))));
  }
  if (added.length > 0) parts.push(section(t("新增", "Added"), added.length, added.map((one) => h("li", {}, codeText(one.code), one.severity === "warn" && h("small", {}, ` ${one.message}`)))));
  if (shown.removed.length > 0) parts.push(section(t("从本单移除，恢复到登记前的状态", "Removed: back to what they were before"), shown.removed.length, shown.removed.map((code) => h("li", {}, codeText(code)))));
  if (again > 0) parts.push(h("p", {}, t("冲回后按新内容重新登记：{0} 码", "Taken back and recorded anew: {0} codes", again)));
  if (refused.length > 0) parts.push(section(t("不通过，不会登记", "Refused: not recorded"), refused.length, refused.map((one) => h("li", {}, codeText(one.code || one.raw), ` ${one.message}`, one.next && h("small", { class: "muted" }, ` → ${one.next}`)))));
  if (parts.length === 0) parts.push(h("p", {}, t("追溯码没有变化，只更正表头。", "No code changes; only the header is corrected.")));
  if (!shown.possible && !shown.blocked) parts.unshift(h("p", { class: "field-error" }, t("没有追溯码可以登记，不能提交。", "No code could be recorded; nothing to submit.")));
  return parts;
}

function section(title: string, count: number, rows: HTMLElement[]): HTMLElement {
  const list = h("ul", { class: "lines" }, ...rows.slice(0, LISTED));
  if (count > LISTED) list.append(h("li", { class: "muted" }, t("等共 {0} 个", "{0} in all", count)));
  return h("section", {}, h("h3", {}, `${title} · ${count}`), list);
}
