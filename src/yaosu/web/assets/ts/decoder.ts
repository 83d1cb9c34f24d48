/** All codes in a picture: the same decoder as the server's (zxing-cpp), compiled for browsers. */
import { prepareZXingModule, readBarcodes, type ReaderOptions, type ReadResult } from "zxing-wasm/reader";
import wasm from "zxing-wasm/reader/zxing_reader.wasm";

prepareZXingModule({ overrides: { locateFile: () => new URL(wasm, import.meta.url).href } });

export interface Point {
  x: number;
  y: number;
}
/** One symbol: its text (GS1 content with its symbology identifier, so that separators keep their meaning) and place. */
export interface Found {
  text: string;
  format: string;
  corners: Point[];
}

/** The symbologies found on packages of medicine (1011), and the barcodes beside them. */
const FORMATS: NonNullable<ReaderOptions["formats"]> = ["Code128", "DataMatrix", "QRCode", "EAN13", "EAN8", "UPCA", "ITF", "Code39", "DataBar"];
const GS1: Record<string, string> = { "]d": "]d2", "]C": "]C1", "]Q": "]Q3", "]e": "]e0" };

function found(one: ReadResult): Found {
  const { topLeft, topRight, bottomRight, bottomLeft } = one.position;
  const prefix = one.contentType === "GS1" ? (GS1[one.symbologyIdentifier.slice(0, 2)] ?? "") : "";
  return { text: prefix + one.text, format: one.format, corners: [topLeft, topRight, bottomRight, bottomLeft] };
}

/** A frame of the camera, quickly; or a photo, thoroughly. */
export async function decodeAll(pixels: ImageData, thorough = false): Promise<Found[]> {
  const options: ReaderOptions = { formats: FORMATS, tryHarder: thorough, tryRotate: true, tryInvert: thorough, tryDownscale: true, textMode: "Plain", maxNumberOfSymbols: 255 };
  return (await readBarcodes(pixels, options)).filter((one) => one.isValid).map(found);
}
