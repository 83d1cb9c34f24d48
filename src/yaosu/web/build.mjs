// Bundles assets/ into static/dist/ with content hashes and writes manifest.json ("app.css" → "app-XXXX.css").
// Targets Chrome 109: that is what a pharmacy's old PC runs.
import { mkdir, readdir, rename, rm, writeFile, copyFile, readFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, "static", "dist");
await mkdir(dist, { recursive: true });

const result = await build({
  absWorkingDir: root,
  entryPoints: { app: "assets/ts/app.ts", style: "assets/css/app.css" },
  outdir: dist,
  bundle: true,
  splitting: true,
  format: "esm",
  target: "chrome109",
  minify: true,
  sourcemap: false,
  legalComments: "none",
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[name]-[hash]",
  assetNames: "[name]-[hash]",
  // the decoder is WebAssembly: a file of its own, fetched when somebody uses the camera
  loader: { ".wasm": "file" },
  metafile: true,
  logLevel: "warning",
});

const manifest = {};
const kept = new Set(["manifest.json", "manifest.json.new", ".stamp"]);
for (const [file, output] of Object.entries(result.metafile.outputs)) {
  const name = path.basename(file);
  kept.add(name);
  if (output.entryPoint === "assets/ts/app.ts") manifest["app.js"] = name;
  if (output.entryPoint === "assets/css/app.css") manifest["app.css"] = name;
}
const images = path.join(root, "assets", "img");
for (const file of await readdir(images)) {
  const hash = createHash("sha256").update(await readFile(path.join(images, file))).digest("hex").slice(0, 8);
  const { name, ext } = path.parse(file);
  manifest[file] = `${name}-${hash}${ext}`;
  kept.add(manifest[file]);
  await copyFile(path.join(images, file), path.join(dist, manifest[file]));
}
// what the bundles contain of others goes out with their licences
const packages = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (found) packages.add(found[1]);
}
let licences = "";
for (const name of [...packages].sort()) {
  const folder = path.join(root, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  licences += `${name} ${version} (${license})\n\n`;
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1)))
    if (entry.isFile() && /^(licen[cs]e|notice)/i.test(entry.name))
      licences += (await readFile(path.join(folder, entry.name), "utf8")).trim() + "\n\n";
  licences += "-".repeat(80) + "\n\n";
}
await writeFile(path.join(dist, "licences.txt"), licences);
kept.add("licences.txt");

// the manifest appears whole, after the files it names; then what it no longer names goes
await writeFile(path.join(dist, "manifest.json.new"), JSON.stringify(manifest, null, 2) + "\n");
await rename(path.join(dist, "manifest.json.new"), path.join(dist, "manifest.json"));
for (const file of await readdir(dist)) if (!kept.has(file)) await rm(path.join(dist, file), { recursive: true });

for (const [file, output] of Object.entries(result.metafile.outputs))
  console.log(`${String(Math.ceil(output.bytes / 1024)).padStart(6)} kB  ${path.basename(file)}`);
