/** The decoder for browsers that have none of their own: only the symbologies found on drug packages (1011). */
import { BinaryBitmap, Code128Reader, DataMatrixReader, DecodeHintType, EAN13Reader, HybridBinarizer, QRCodeReader, RGBLuminanceSource } from "@zxing/library";

const HINTS = new Map<DecodeHintType, unknown>([[DecodeHintType.TRY_HARDER, true]]);
const READERS = [new Code128Reader(), new DataMatrixReader(), new QRCodeReader(), new EAN13Reader()];

/** The text of the first code found in a picture of RGBA pixels, or null. */
export function decode(pixels: Uint8ClampedArray, width: number, height: number): string | null {
  const grey = new Uint8ClampedArray(width * height);
  for (let i = 0; i < grey.length; i += 1) grey[i] = ((pixels[4 * i] ?? 0) * 77 + (pixels[4 * i + 1] ?? 0) * 150 + (pixels[4 * i + 2] ?? 0) * 29) >> 8;
  const bitmap = new BinaryBitmap(new HybridBinarizer(new RGBLuminanceSource(grey, width, height)));
  for (const reader of READERS) {
    try {
      return reader.decode(bitmap, HINTS).getText();
    } catch {
      // this reader sees none of its codes here; the next one looks
    }
  }
  return null;
}
