/**
 * A file sent in pieces of 4 MB and resumed where it stopped, also after a reload of the page.
 *
 * POST url {name,size} → {id, offset}; PATCH url/id with `Upload-Offset` and bytes → {offset}; GET url/id → {offset}.
 */
import { part } from "./dom";
import { Backoff, postJson, send, type Outcome } from "./net";
import { t } from "./text";

const PIECE_BYTES = 4 * 1024 * 1024;

interface Place {
  id?: string;
  offset: number;
}

class Upload {
  private readonly url: string;
  private readonly again = new Backoff();
  private paused = false;
  /** The newest chosen file; an older one stops at its next piece. */
  private current: File | null = null;

  constructor(private readonly root: HTMLElement) {
    this.url = root.dataset["uploadUrl"] ?? "";
    const input = part<HTMLInputElement>(root, "[data-upload-file]");
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) void this.start(file);
    });
    root.addEventListener("dragover", (event) => {
      event.preventDefault();
      root.classList.add("upload--over");
    });
    root.addEventListener("dragleave", () => root.classList.remove("upload--over"));
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      root.classList.remove("upload--over");
      const file = event.dataTransfer?.files[0];
      if (file) void this.start(file);
    });
    part(root, "[data-upload-pause]").addEventListener("click", () => this.pause());
    root.closest("form")?.addEventListener("submit", (event) => {
      const id = part<HTMLInputElement>(root, "[data-upload-id]").value;
      if (!id && (this.current || "uploadRequired" in input.dataset)) {
        event.preventDefault();
        this.problem(this.current ? t("文件尚未上传完毕", "The file is still being sent") : t("请选择文件", "Choose a file"));
      }
    });
  }

  private pause(): void {
    this.paused = !this.paused;
    part(this.root, "[data-upload-pause]").textContent = this.paused ? t("继续", "Resume") : t("暂停", "Pause");
    if (!this.paused && this.current) void this.start(this.current);
  }

  private problem(text: string): void {
    const place = part(this.root, "[data-upload-error]");
    place.hidden = text === "";
    place.textContent = text;
  }

  private show(file: File, offset: number, note = ""): void {
    part(this.root, "[data-upload-state]").hidden = false;
    part(this.root, "[data-upload-name]").textContent = file.name;
    const percent = file.size === 0 ? 100 : Math.floor((100 * offset) / file.size);
    part<HTMLProgressElement>(this.root, "[data-upload-bar]").value = percent;
    const size = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MB`;
    part(this.root, "[data-upload-text]").textContent = note || `${percent}% · ${size(offset)} / ${size(file.size)}`;
    part(this.root, "[data-upload-pause]").hidden = offset >= file.size;
  }

  /** The same request until somebody answers; null when the server refuses it (which is shown). */
  private async insist<T>(file: File, offset: number, request: () => Promise<Outcome<T>>, goneIsFine = false): Promise<T | null | "gone"> {
    for (;;) {
      const answer = await request();
      if (answer.kind === "ok") {
        this.again.reset();
        return answer.value;
      }
      if (answer.kind === "refused") {
        if (goneIsFine && (answer.status === 404 || answer.status === 409 || answer.status === 410)) return "gone";
        this.problem([answer.problem.message, answer.problem.next].filter(Boolean).join(" "));
        return null;
      }
      if (this.paused || this.current !== file) return null;
      this.show(file, offset, t("网络中断，稍后自动继续", "No network; continuing by itself soon"));
      await this.again.wait(answer.afterMs);
    }
  }

  private async start(file: File): Promise<void> {
    this.current = file;
    this.paused = false;
    part(this.root, "[data-upload-pause]").textContent = t("暂停", "Pause");
    this.problem("");
    part<HTMLInputElement>(this.root, "[data-upload-id]").value = "";
    this.show(file, 0);
    const remembered = `yaosu:upload:${this.url}:${file.name}:${file.size}:${file.lastModified}`;
    let id = localStorage.getItem(remembered) ?? "";
    let offset = 0;
    if (id) {
      const place = await this.insist(file, 0, () => send<Place>("GET", `${this.url}/${id}`, null, {}, 20_000), true);
      if (place === null) return;
      if (place === "gone") id = "";
      else offset = place.offset;
    }
    if (!id) {
      const place = await this.insist(file, 0, () => postJson<Place>(this.url, { name: file.name, size: file.size }));
      if (place === null || place === "gone" || place.id === undefined) return;
      id = String(place.id);
      offset = place.offset;
      localStorage.setItem(remembered, id);
    }
    while (offset < file.size) {
      if (this.paused || this.current !== file) return;
      const at = offset;
      const piece = file.slice(at, at + PIECE_BYTES);
      const headers = { "upload-offset": String(at), "content-type": "application/octet-stream" };
      let place = await this.insist(file, at, () => send<Place>("PATCH", `${this.url}/${id}`, piece, headers, 120_000), true);
      // the piece arrived but its answer was lost, or two windows send: ask where the server stands
      if (place === "gone") place = await this.insist(file, at, () => send<Place>("GET", `${this.url}/${id}`, null, {}, 20_000));
      if (place === null || place === "gone" || this.current !== file) return;
      offset = place.offset;
      this.show(file, offset);
    }
    localStorage.removeItem(remembered);
    part<HTMLInputElement>(this.root, "[data-upload-id]").value = id;
    this.show(file, file.size, t("已上传", "Uploaded"));
    this.root.dispatchEvent(new CustomEvent("upload:done", { bubbles: true, detail: { id } }));
  }
}

export function start(root: HTMLElement): void {
  new Upload(root);
}
