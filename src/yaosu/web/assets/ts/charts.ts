/**
 * Draws the table inside `<figure data-chart="line|bar|stack">`: first column = categories, each further column = a
 * series. The table stays for screen readers, printing and copying; without script it is simply a table.
 */
import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsCoreOption } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, LineChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

const COLOURS = ["#0d7377", "#d98e04", "#1d5a8c", "#7a9e2f", "#b3261e", "#6b5b95"];

function number(cell: Element | undefined): number | null {
  const text = (cell?.textContent ?? "").replace(/[,%\s]/g, "");
  return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
}

function options(table: HTMLTableElement, kind: string): EChartsCoreOption {
  const names = [...(table.tHead?.rows[0]?.cells ?? [])].slice(1).map((cell) => cell.textContent?.trim() ?? "");
  const rows = [...(table.tBodies[0]?.rows ?? [])];
  const font = getComputedStyle(document.body).fontFamily;
  const line = "#dde4e4";
  return {
    color: COLOURS,
    animationDuration: 300,
    textStyle: { fontFamily: font, color: "#46595d" },
    grid: { left: 8, right: 16, top: names.length > 1 ? 40 : 16, bottom: 8, containLabel: true },
    ...(names.length > 1 ? { legend: { data: names, top: 4, left: 4, icon: "roundRect", itemWidth: 12, itemHeight: 8 } } : {}),
    // rich text is drawn on the canvas; the HTML tooltip would need inline styles, which the policy forbids
    tooltip: { trigger: "axis", renderMode: "richText", confine: true, textStyle: { fontFamily: font } },
    xAxis: { type: "category", data: rows.map((row) => row.cells[0]?.textContent?.trim() ?? ""), axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, axisLabel: { color: "#5f7175" } },
    yAxis: { type: "value", splitLine: { lineStyle: { color: "#ebf0f0" } }, axisLabel: { color: "#5f7175" } },
    series: names.map((name, i) => ({
      name,
      type: kind === "line" ? "line" : "bar",
      ...(kind === "stack" ? { stack: "all" } : {}),
      barMaxWidth: 28,
      symbolSize: 5,
      lineStyle: { width: 2 },
      data: rows.map((row) => number(row.cells[i + 1])),
    })),
  };
}

export function start(figure: HTMLElement): void {
  const table = figure.querySelector("table");
  if (!table) return;
  const place = document.createElement("div");
  place.className = "chart-place";
  place.setAttribute("aria-hidden", "true");
  figure.prepend(place);
  figure.classList.add("chart--drawn");
  const chart = init(place, undefined, { renderer: "canvas" });
  chart.setOption(options(table, figure.dataset["chart"] ?? "bar"));
  new ResizeObserver(() => chart.resize()).observe(place);
}
