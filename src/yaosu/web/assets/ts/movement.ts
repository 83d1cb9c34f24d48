/**
 * From the fields of a bill's form to the body of `POST /api/v1/movements`.
 *
 * `name="header.reason"` lands in `header`; a `datetime-local` field gets China's zone; `data-lines` splits a text by
 * lines; boxes with `data-list` that share a name become a list. What is empty is left out.
 */
const CHINA = "+08:00";

/** Now in China, as a `datetime-local` field or the API writes it. */
export function chinaNow(seconds = false): string {
  return new Date(Date.now() + 8 * 3600_000).toISOString().slice(0, seconds ? 19 : 16);
}

function time(field: HTMLInputElement): string {
  // a time nobody touched means now, whenever the page was opened
  if ("now" in field.dataset && !field.dataset["touched"]) return chinaNow(true) + CHINA;
  return field.value.length === 16 ? `${field.value}:00${CHINA}` : field.value + CHINA;
}

function put(body: Record<string, unknown>, name: string, value: unknown): void {
  const [head, key] = name.split(".", 2) as [string, string | undefined];
  if (key === undefined) {
    body[head] = value;
    return;
  }
  const inner = (body[head] ??= {}) as Record<string, unknown>;
  inner[key] = value;
}

/** The fields of `form`, without the scan box and the token. */
export function movementBody(form: HTMLFormElement): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const lists: Record<string, string[]> = {};
  for (const field of form.elements) {
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement)) continue;
    if (!field.name || field.name === "scan" || field.name === "_csrf" || field.disabled) continue;
    if (field instanceof HTMLInputElement && (field.type === "checkbox" || field.type === "radio")) {
      if (!field.checked) continue;
      if ("list" in field.dataset) (lists[field.name] ??= []).push(field.value);
      else put(body, field.name, field.type === "radio" ? field.value : true);
    } else if ("lines" in field.dataset) {
      const lines = field.value.split(/\r\n|\r|\n/).map((line) => line.trim()).filter(Boolean);
      if (lines.length > 0) body[field.name] = lines;
    } else if (field instanceof HTMLInputElement && field.type === "datetime-local") {
      if (field.value || "now" in field.dataset) put(body, field.name, time(field));
    } else if (field.value.trim() !== "") put(body, field.name, field.value.trim());
  }
  return { ...body, ...lists };
}

/** The codes of a bill: what was scanned, and what the form rejects by code, each once. */
export function withRejects(codes: string[], body: Record<string, unknown>): string[] {
  const rejects = Array.isArray(body["rejects"]) ? (body["rejects"] as string[]) : [];
  return [...new Set([...codes, ...rejects])];
}

/** Fields `data-now` show the time until somebody sets it; `data-next-number` gets a fresh number after each bill. */
export function keepForm(root: HTMLElement): void {
  const times = [...root.querySelectorAll<HTMLInputElement>("input[data-now]")];
  const tick = (): void => {
    for (const field of times) if (!field.dataset["touched"]) field.value = chinaNow();
  };
  for (const field of times) field.addEventListener("input", () => (field.value ? (field.dataset["touched"] = "1") : delete field.dataset["touched"]));
  tick();
  window.setInterval(tick, 20_000);
  root.addEventListener("station:submitted", (event) => {
    const { bill_id } = (event as CustomEvent<{ bill_id?: number | null }>).detail;
    for (const field of times) delete field.dataset["touched"];
    tick();
    if (!bill_id) return;
    const number = root.querySelector<HTMLInputElement>("input[data-next-number]");
    if (number) void nextNumber(number);
    const onward = root.querySelector<HTMLElement>("[data-onward]");
    if (onward) location.assign(`${onward.dataset["onward"] || "/bills/"}${bill_id}`);
  });
}

/** The server's next proposal; on any trouble the field stays empty and the station makes a number itself. */
async function nextNumber(field: HTMLInputElement): Promise<void> {
  const answer = await fetch(field.dataset["nextNumber"] ?? "", { headers: { accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || field.value) return;
  const { bill_no } = (await answer.json()) as { bill_no?: string };
  if (bill_no && !field.value) field.value = bill_no;
}
