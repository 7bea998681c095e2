import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { icns, ico } from "./icon-containers.ts";
import { TRAY_SHAPES } from "./tray-drawing.ts";

const assets = join(import.meta.dirname, "..", "assets");
const SIZES = [16, 24, 32, 48, 64, 128, 256, 512, 1024];
const png = (size: number) => readFileSync(join(assets, "icons", `${size}x${size}.png`));
const images = new Map(SIZES.map((size) => [size, png(size)]));

/** Width and height stand at bytes 16 and 20 of every PNG. */
function sides(image: Buffer): [number, number] {
  expect(image.subarray(1, 4).toString()).toBe("PNG");
  return [image.readUInt32BE(16), image.readUInt32BE(20)];
}

test("the pictures have the size that their name says", () => {
  for (const size of SIZES) expect(sides(png(size))).toEqual([size, size]);
  for (const shape of TRAY_SHAPES) {
    for (const kind of ["", "Template"]) {
      expect(sides(readFileSync(join(assets, "tray", `${shape}${kind}.png`)))).toEqual([16, 16]);
      expect(sides(readFileSync(join(assets, "tray", `${shape}${kind}@2x.png`)))).toEqual([32, 32]);
    }
  }
});

test("Windows' icon file holds the committed pictures, where its head says", () => {
  const file = readFileSync(join(assets, "icon.ico"));
  expect(file.equals(ico(images))).toBe(true);
  const found = Array.from({ length: file.readUInt16LE(4) }, (_, index) => {
    const at = 6 + 16 * index;
    const start = file.readUInt32LE(at + 12);
    return sides(file.subarray(start, start + file.readUInt32LE(at + 8)))[0];
  });
  expect(found).toEqual([16, 24, 32, 48, 64, 128, 256]);
});

test("macOS' icon file holds the committed pictures, and its lengths add up", () => {
  const file = readFileSync(join(assets, "icon.icns"));
  expect(file.equals(icns(images))).toBe(true);
  expect(file.readUInt32BE(4)).toBe(file.length);
  const found: number[] = [];
  for (let at = 8; at < file.length; at += file.readUInt32BE(at + 4))
    found.push(sides(file.subarray(at + 8, at + file.readUInt32BE(at + 4)))[0]);
  expect(Math.max(...found)).toBe(1024);
});
