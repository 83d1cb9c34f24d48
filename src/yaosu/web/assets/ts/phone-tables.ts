/** Tables on a narrow screen: few columns are folded in, many become cards whose cells carry their headings. */

const NARROW = window.matchMedia("(max-width: 720px)");
const FEW = 3;
const OTHERS = ".phone-cards, [data-scan-station], [data-split-station], [data-chart], .chart";

function label(table: HTMLTableElement): void {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.textContent?.trim() ?? "");
  for (const row of table.tBodies[0]?.rows ?? []) {
    let column = 0;
    for (const cell of row.cells) {
      if (cell.colSpan === 1 && heads[column] && !cell.dataset["head"]) cell.dataset["head"] = heads[column];
      column += cell.colSpan;
    }
  }
}

/** Once for what is on the page, and again for what comes into it. */
export function phoneTables(root: ParentNode): void {
  if (!NARROW.matches) return;
  for (const wrap of root.querySelectorAll<HTMLElement>(".main .table-wrap, .plain-main .table-wrap")) {
    const table = wrap.querySelector<HTMLTableElement>("table.table");
    if (!table?.tHead || wrap.closest(OTHERS)) continue;
    const few = (table.tHead.rows[0]?.cells.length ?? 0) <= FEW;
    wrap.classList.add(few ? "table-wrap--few" : "table-wrap--cards");
    if (!few) label(table);
  }
}

NARROW.addEventListener("change", () => phoneTables(document));
