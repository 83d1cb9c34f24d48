/** The capture page: photos in, codes with verdicts out; frames over the photo show what was read (R-I2). */
import type { Found, Point } from "./decoder";
import { codeText, copy, h, part, toast } from "./dom";
import { csrfToken, postJson } from "./net";
import { readPhoto } from "./photo";
import { t } from "./text";

interface Verdict {
  raw: string;
  code: string | null;
  kind: string;
  verdict: string;
  message: string;
  next: string;
  product: { name?: string; generic_name?: string } | null;
  warnings: { severity: string }[];
}
interface Symbol {
  kind: string;
  raw: string;
  symbology: string;
  corners: [number, number][];
}

const SVG = "http://www.w3.org/2000/svg";
const VERIFY_AT_ONCE = 1000;

class Capture {
  private readonly list: HTMLElement;
  private readonly view: HTMLElement;
  private readonly state: HTMLElement;
  private readonly server: HTMLButtonElement;
  private readonly seen = new Map<string, HTMLElement>();
  private readonly codes: string[] = [];
  private last: File | null = null;

  constructor(private readonly root: HTMLElement) {
    this.list = part(root, "[data-capture-list]");
    this.view = part(root, "[data-capture-view]");
    this.state = part(root, "[data-capture-state]");
    this.server = part<HTMLButtonElement>(root, "[data-capture-server]");
    for (const name of ["[data-capture-camera]", "[data-capture-file]"]) {
      const input = part<HTMLInputElement>(root, name);
      input.addEventListener("change", () => {
        const files = [...(input.files ?? [])];
        input.value = "";
        void this.take(files);
      });
    }
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.take([...(event.dataTransfer?.files ?? [])]);
    });
    document.addEventListener("paste", (event) => void this.take([...(event.clipboardData?.files ?? [])]));
    this.server.addEventListener("click", () => void this.ask());
    part(root, "[data-capture-copy]").addEventListener("click", () => void copy(this.codes.join("\n")));
    part(root, "[data-capture-clear]").addEventListener("click", () => location.reload());
  }

  private async take(files: File[]): Promise<void> {
    for (const file of files.filter((one) => one.type.startsWith("image/"))) {
      this.state.textContent = t("正在识别…", "Reading…");
      try {
        const { bitmap, symbols } = await readPhoto(file);
        this.last = file;
        this.server.hidden = false;
        await this.show(bitmap.width, bitmap.height, URL.createObjectURL(file), symbols);
      } catch {
        this.state.textContent = t("无法读取这张照片，请用 JPEG 或 PNG 照片", "This picture cannot be read; use a JPEG or PNG");
      }
    }
  }

  /** What the browser could not read the server may: it looks longer and turns the picture. */
  private async ask(): Promise<void> {
    if (!this.last) return;
    this.server.disabled = true;
    try {
      const answer = await fetch("/api/v1/captures", { method: "POST", body: this.last, headers: { "content-type": this.last.type, "x-csrf-token": csrfToken() } });
      const body = (await answer.json()) as { width: number; height: number; symbols: Symbol[]; message?: string };
      if (!answer.ok) toast(body.message ?? `HTTP ${answer.status}`, "refused");
      else {
        const symbols = body.symbols.map((one) => ({ text: one.raw, format: one.symbology, corners: one.corners.map(([x, y]) => ({ x, y })) }));
        this.view.lastElementChild?.remove();
        await this.show(body.width, body.height, URL.createObjectURL(this.last), symbols);
      }
    } catch {
      toast(t("服务器没有应答", "The server did not answer"), "warn");
    } finally {
      this.server.disabled = false;
    }
  }

  private async show(width: number, height: number, address: string, symbols: Found[]): Promise<void> {
    const image = h("img", { src: address, alt: t("照片", "Photo") });
    const frames = document.createElementNS(SVG, "svg");
    frames.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.view.append(h("figure", { class: "capture-photo" }, image));
    this.view.lastElementChild?.append(frames);
    const fresh: string[] = [];
    const shapes: [SVGPolygonElement, string][] = [];
    for (const one of symbols) {
      shapes.push([this.frame(frames, one.corners), one.text]);
      if (!this.seen.has(one.text)) {
        const row = h("li", { class: "capture-row", tabindex: "0" }, codeText(one.text));
        this.seen.set(one.text, row);
        this.list.append(row);
        fresh.push(one.text);
      }
      const row = this.seen.get(one.text);
      const shape = shapes[shapes.length - 1]?.[0];
      for (const [on, off] of [["mouseenter", "mouseleave"], ["focus", "blur"]] as const) {
        row?.addEventListener(on, () => shape?.classList.add("is-on"));
        row?.addEventListener(off, () => shape?.classList.remove("is-on"));
      }
    }
    await this.verify(fresh);
    this.tellCopies(symbols);
    for (const [shape, text] of shapes) shape.setAttribute("class", this.seen.get(text)?.dataset["tone"] ?? "warn");
    this.finish(symbols.length);
  }

  /** One code at several places of one photo: a copied label, unless one package carries it on two sides. */
  private tellCopies(symbols: Found[]): void {
    const places = new Map<string, number>();
    for (const one of symbols) places.set(`${one.format} ${one.text}`, (places.get(`${one.format} ${one.text}`) ?? 0) + 1);
    for (const [key, count] of places) {
      const row = this.seen.get(key.slice(key.indexOf(" ") + 1));
      if (count < 2 || !row?.dataset["code"] || row.dataset["copied"]) continue;
      row.dataset["tone"] = row.dataset["copied"] = "refused";
      row.classList.add("capture-row--refused");
      row.append(h("strong", { class: "capture-what" }, t("这个码在照片中出现在 {0} 处：若贴在不同的包装上，就是复制的码，请隔离并反馈", "This code stands at {0} places in the photo: on different packages it is a copied code; quarantine and report it", count)));
    }
  }

  private frame(svg: Element, corners: Point[]): SVGPolygonElement {
    const shape = document.createElementNS(SVG, "polygon");
    shape.setAttribute("points", corners.map((c) => `${c.x},${c.y}`).join(" "));
    svg.append(shape);
    return shape;
  }

  private async verify(raws: string[]): Promise<void> {
    for (let at = 0; at < raws.length; at += VERIFY_AT_ONCE) {
      const part = raws.slice(at, at + VERIFY_AT_ONCE);
      const answer = await postJson<{ items: Verdict[] }>("/api/v1/codes/verify", { codes: part });
      if (answer.kind !== "ok") {
        toast(answer.kind === "refused" ? answer.problem.message : t("服务器没有应答，判定稍后再试", "The server did not answer; no verdicts now"), "warn");
        return;
      }
      answer.value.items.forEach((one, n) => this.tell(part[n] ?? one.raw, one));
    }
  }

  private tell(raw: string, one: Verdict): void {
    const row = this.seen.get(raw);
    if (!row) return;
    const isCode = one.code !== null;
    const refused = one.warnings.some((w) => w.severity === "refused") || (isCode && one.kind !== "unit");
    const tone = !isCode ? "warn" : refused ? "refused" : "ok";
    row.dataset["tone"] = tone;
    row.classList.add(`capture-row--${tone}`);
    const name = one.product?.generic_name ?? one.product?.name ?? "";
    row.append(h("span", { class: "capture-what" }, [name, one.message, one.next].filter(Boolean).join(" · ")));
    if (isCode) row.dataset["code"] = one.code as string;
    if (isCode && !this.codes.includes(one.code as string)) this.codes.push(one.code as string);
  }

  private finish(found: number): void {
    part(this.root, "[data-capture-empty]").hidden = this.seen.size > 0;
    part(this.root, "[data-capture-count]").textContent = String(this.codes.length);
    for (const name of ["[data-capture-copy]", "[data-capture-clear]"]) part<HTMLButtonElement>(this.root, name).disabled = this.seen.size === 0;
    this.state.textContent = found === 0 ? t("没有识别到条码：请靠近、对焦、避免反光，或由服务器再识别一次", "No barcode found: closer, in focus, no reflections, or let the server try") : t("这张照片识别到 {0} 个条码，共 {1} 个追溯码", "{0} barcodes in this photo, {1} trace codes in all", found, this.codes.length);
  }
}

export function start(root: HTMLElement): void {
  new Capture(root);
}
