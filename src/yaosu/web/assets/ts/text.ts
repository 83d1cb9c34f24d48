/** Chinese unless the page says it is English. */
export const english = document.documentElement.lang.startsWith("en");

/** The text in the reader's language; `{0}`, `{1}`… are replaced by `values`. */
export function t(zh: string, en: string, ...values: (string | number)[]): string {
  return (english ? en : zh).replace(/\{(\d)\}/g, (_, n: string) => String(values[Number(n)] ?? ""));
}

/** A count with thousands separated, as in the tables. */
export function count(n: number): string {
  return n.toLocaleString("en-US");
}
