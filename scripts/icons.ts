import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Page } from "@playwright/test";
import { icns, ico } from "./icon-containers.ts";
import { TRAY_COLOURS, trayDrawing, TRAY_SHAPES, type TrayShape } from "./tray-drawing.ts";

/**
 * `node scripts/icons.ts`: draws everything in `assets/icons` and `assets/tray` from
 * `assets/icon.svg` and the tray's shapes, with a Chromium. The results are committed, so that
 * packaging needs neither a browser nor a download.
 */
const SIZES = [16, 24, 32, 48, 64, 128, 256, 512, 1024] as const;
const assets = join(import.meta.dirname, "..", "assets");

const executablePath =
  process.env["TAH_CHROMIUM"] ?? (process.platform === "linux" ? "/usr/bin/chromium" : "");
const browser = await chromium.launch({
  ...(executablePath === "" ? {} : { executablePath }),
  chromiumSandbox: process.getuid?.() !== 0,
});
try {
  const page = await browser.newPage({ deviceScaleFactor: 1 });
  await drawAppIcons(page);
  for (const shape of TRAY_SHAPES) await drawTrayIcons(page, shape);
} finally {
  await browser.close();
}

async function drawAppIcons(page: Page): Promise<void> {
  const folder = join(assets, "icons");
  mkdirSync(folder, { recursive: true });
  const svg = readFileSync(join(assets, "icon.svg"), "utf8");
  const images = new Map<number, Uint8Array>();
  for (const size of SIZES) {
    const png = await draw(page, svg, size);
    images.set(size, png);
    writeFileSync(join(folder, `${size}x${size}.png`), png);
  }
  writeFileSync(join(assets, "icon.ico"), ico(images));
  writeFileSync(join(assets, "icon.icns"), icns(images));
}

/** 16 points, and twice that for dense screens; for macOS in black, which the system paints itself. */
async function drawTrayIcons(page: Page, shape: TrayShape): Promise<void> {
  const folder = join(assets, "tray");
  mkdirSync(folder, { recursive: true });
  for (const [suffix, colours] of [
    ["", TRAY_COLOURS[shape]],
    ["Template", { ring: "#000", mark: "#000" }],
  ] as const) {
    const svg = trayDrawing(shape, colours);
    writeFileSync(join(folder, `${shape}${suffix}.png`), await draw(page, svg, 16));
    writeFileSync(join(folder, `${shape}${suffix}@2x.png`), await draw(page, svg, 32));
  }
}

async function draw(page: Page, svg: string, size: number): Promise<Uint8Array> {
  await page.setViewportSize({ width: size, height: size });
  const source = `data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}`;
  await page.setContent(
    `<style>body{margin:0}img{display:block;width:${size}px;height:${size}px}</style><img src="${source}">`,
  );
  await page.locator("img").evaluate((image: HTMLImageElement) => image.decode());
  return await page.screenshot({ omitBackground: true });
}
