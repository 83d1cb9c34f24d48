/** Reads codes with a phone's camera, all that are in view; a photo takes a whole case or shelf at once (R-I2). */
import { readPhoto } from "./photo";
import { h, toast } from "./dom";
import { t } from "./text";

type Read = (video: HTMLVideoElement) => Promise<string[]>;

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>;
}
interface DetectorClass {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats(): Promise<string[]>;
}

const FORMATS = ["code_128", "data_matrix", "qr_code", "ean_13"];
/** The same code in view is one scan; seen again after this pause it is another. */
const SAME_CODE_MS = 2500;

async function nativeReader(): Promise<Read | null> {
  const found = (window as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
  if (!found) return null;
  const formats = await found.getSupportedFormats().catch(() => [] as string[]);
  if (!FORMATS.slice(0, 3).every((format) => formats.includes(format))) return null;
  const detector = new found({ formats: FORMATS.filter((format) => formats.includes(format)) });
  return async (video) => (await detector.detect(video)).map((one) => one.rawValue);
}

async function ownReader(): Promise<Read> {
  const { decodeAll } = await import("./decoder");
  const canvas = document.createElement("canvas");
  return async (video) => {
    const scale = Math.min(1, 1280 / video.videoWidth);
    const width = Math.round(video.videoWidth * scale);
    const height = Math.round(video.videoHeight * scale);
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context || width === 0) return [];
    context.drawImage(video, 0, 0, width, height);
    return (await decodeAll(context.getImageData(0, 0, width, height))).map((one) => one.text);
  };
}

/** A photo from the camera app or the album instead of the live picture; resolves with how many codes it gave. */
async function fromPhoto(file: File, found: (raw: string) => void): Promise<number> {
  const { symbols } = await readPhoto(file);
  const texts = [...new Set(symbols.map((one) => one.text))];
  texts.forEach(found);
  return texts.length;
}

/** Opens the camera until it is closed; each new code goes to `found`. Resolves when closed. */
export async function scanWithCamera(found: (raw: string) => void): Promise<void> {
  if (!navigator.mediaDevices?.getUserMedia) {
    toast(t("浏览器只允许在 HTTPS 地址上使用摄像头，请改用扫码枪或手工输入", "Browsers allow the camera on HTTPS only; use a scanner or type the code"), "warn");
    return;
  }
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } }, audio: false });
  } catch {
    toast(t("无法打开摄像头：请在浏览器设置中允许本站使用", "The camera cannot be opened; allow it for this site in the browser's settings"), "refused");
    return;
  }
  const video = h("video", { playsinline: true, muted: true, autoplay: true }) as HTMLVideoElement;
  const count = h("span", { class: "camera-count", role: "status" }, t("对准追溯码", "Point at the code"));
  const input = h("input", { class: "sr", type: "file", accept: "image/jpeg,image/png", capture: "environment" }) as HTMLInputElement;
  const photo = h("label", { class: "btn" }, input, t("拍照识别全部", "Photo of many"));
  const close = h("button", { class: "btn btn--primary", type: "button" }, t("完成", "Done"));
  const dialog = h("dialog", { class: "dialog camera", "aria-label": t("摄像头扫码", "Scan with the camera") }, h("div", { class: "camera-view" }, video, h("div", { class: "camera-aim" })), h("div", { class: "camera-bar" }, count, photo, close)) as HTMLDialogElement;
  document.body.append(dialog);
  video.srcObject = stream;
  dialog.showModal();
  const closed = new Promise<void>((resolve) => dialog.addEventListener("close", () => resolve(), { once: true }));
  close.addEventListener("click", () => dialog.close());
  let codes = 0;
  let busy = false;
  const tell = (more: number): void => {
    codes += more;
    count.textContent = t("已扫 {0} 个", "{0} scanned", codes);
    navigator.vibrate?.(40);
  };
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    busy = true;
    count.textContent = t("正在识别照片…", "Reading the photo…");
    void fromPhoto(file, found)
      .then((number) => {
        tell(number);
        if (number === 0) toast(t("照片中没有识别到条码，请靠近并对焦后重拍", "No barcode in the photo; take it closer and in focus"), "warn");
      })
      .catch(() => toast(t("无法读取这张照片", "This photo cannot be read"), "refused"))
      .finally(() => (busy = false));
  });
  await video.play().catch(() => undefined);
  const read = (await nativeReader()) ?? (await ownReader());
  const seen = new Map<string, number>();
  while (dialog.open) {
    const raws = busy ? [] : await read(video).catch(() => []);
    const now = performance.now();
    for (const raw of dialog.open ? raws : []) {
      if (now - (seen.get(raw) ?? -Infinity) > SAME_CODE_MS) {
        found(raw);
        tell(1);
      }
      seen.set(raw, now);
    }
    await new Promise((resolve) => window.setTimeout(resolve, 80));
  }
  await closed;
  for (const track of stream.getTracks()) track.stop();
  dialog.remove();
}
