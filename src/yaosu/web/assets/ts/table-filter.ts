/** `<input data-table-filter="table-id">` hides the rows of a table that do not contain every word typed. */
import { t } from "./text";

function apply(input: HTMLInputElement): void {
  const table = document.getElementById(input.dataset["tableFilter"] ?? "");
  if (!(table instanceof HTMLTableElement)) return;
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0]?.rows ?? []) {
    const text = (row.textContent ?? "").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    if (!row.hidden) shown += 1;
  }
  const note = document.querySelector(`[data-table-count="${table.id}"]`);
  if (note) note.textContent = t("{0} 行", "{0} rows", shown);
}

export function start(input: HTMLElement): void {
  if (!(input instanceof HTMLInputElement)) return;
  input.addEventListener("input", () => apply(input));
  apply(input);
}
