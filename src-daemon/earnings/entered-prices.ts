import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { prices } from "../../src-protocol/price.ts";
import type { EnteredPrice, PricedAsset, Prices } from "../../src-protocol/price.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

const FILE_NAME = "prices.json";

/** `<data folder>/prices.json`: what its owner has said. A file that is damaged has no price: it can be entered again. */
export function readPrices(home: string): Prices {
  try {
    return prices.parse(JSON.parse(readFileSync(join(home, FILE_NAME), "utf8")));
  } catch {
    return {};
  }
}

/** Null forgets it. */
export function enterPrice(home: string, asset: PricedAsset, entered: EnteredPrice | null): Prices {
  const { [asset]: _before, ...others } = readPrices(home);
  const changed: Prices = entered === null ? others : { ...others, [asset]: entered };
  const path = join(home, FILE_NAME);
  if (Object.keys(changed).length === 0) rmSync(path, { force: true });
  else writePrivateFile(path, `${JSON.stringify(changed)}\n`);
  return changed;
}
