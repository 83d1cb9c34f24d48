/** Reads all codes of a photo: as it is, and in enlarged overlapping quarters, as the server does. */
import { decodeAll, type Found, type Point } from "./decoder";

const EDGE_MAX = 3200;
/** How far apart, in lengths of the symbol, the same text is another label; as on the server. */
const APART = 0.75;

export interface Photo {
  bitmap: ImageBitmap;
  symbols: Found[];
}

function middle(one: Found): Point {
  const n = one.corners.length;
  return { x: one.corners.reduce((sum, c) => sum + c.x, 0) / n, y: one.corners.reduce((sum, c) => sum + c.y, 0) / n };
}

function length(one: Found): number {
  const [a, b, c, d] = one.corners;
  return a && b && c && d ? Math.max(Math.hypot(a.x - c.x, a.y - c.y), Math.hypot(b.x - d.x, b.y - d.y)) : 0;
}

/** Whether two readings of one text are of one label. */
function sameLabel(one: Found, other: Found): boolean {
  const [m, n] = [middle(one), middle(other)];
  return Math.hypot(m.x - n.x, m.y - n.y) < APART * Math.max(length(one), length(other));
}

function pixels(bitmap: ImageBitmap, x: number, y: number, width: number, height: number, scale: number): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  context.drawImage(bitmap, x, y, width, height, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** The photo, upright, and its symbols with places in its own pixels, from above to below. */
export async function readPhoto(file: Blob): Promise<Photo> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  const whole = Math.min(1, EDGE_MAX / Math.max(width, height));
  const symbols: Found[] = [];
  const look = async (x: number, y: number, w: number, h: number, scale: number): Promise<void> => {
    for (const one of await decodeAll(pixels(bitmap, x, y, w, h, scale), true)) {
      const placed = { ...one, corners: one.corners.map((c) => ({ x: c.x / scale + x, y: c.y / scale + y })) };
      if (!symbols.some((other) => other.text === one.text && other.format === one.format && sameLabel(placed, other))) symbols.push(placed);
    }
  };
  await look(0, 0, width, height, whole);
  for (const left of [0, 0.4])
    for (const top of [0, 0.4]) {
      const w = 0.6 * width;
      const h = 0.6 * height;
      await look(left * width, top * height, w, h, Math.max(whole, Math.min(2, EDGE_MAX / Math.max(w, h))));
    }
  symbols.sort((a, b) => middle(a).y - middle(b).y || middle(a).x - middle(b).x);
  return { bitmap, symbols };
}
