import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { enterPrice, priceText, readPrices } from "./entered-price.ts";

interface Words {
  readonly alpha?: true;
  readonly source?: string;
  readonly forget?: true;
  readonly home?: string;
  readonly json?: true;
}

/** `tah price`: what 1 TAO is worth, by its owner's word: nothing asks for prices over the network. */
export function addPriceCommand(program: Command, say: (text: string) => void): void {
  program
    .command("price")
    .description("say what 1 TAO (or 1 alpha) is worth, for `tah earnings`; without words: what was said")
    .argument("[price]", "for example 312.5")
    .argument("[currency]", "for example EUR")
    .option("--source <where>", "where you have read it, for example kraken.com")
    .option("--alpha", "of the alpha that the active network pays (default: of TAO)")
    .option("--forget", "show no worth any more")
    .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
    .option("--json", "print JSON, for programs")
    .action((price: string | undefined, currency: string | undefined, words: Words) => {
      const home = resolve(words.home ?? dataFolder(process.env, process.platform, homedir()));
      const asset = words.alpha === true ? "alpha" : "tao";
      const now = Date.now();
      if (words.forget === true) enterPrice(home, asset, null);
      else if (price !== undefined) {
        const { source } = words;
        if (currency === undefined || source === undefined)
          throw new Failure(
            "bad-option",
            "A price needs its currency and its source: say for example `tah price 312.5 EUR --source kraken.com`.",
          );
        mkdirSync(home, { recursive: true, mode: 0o700 });
        enterPrice(home, asset, { price, currency: currency.toUpperCase(), source, at: now });
      }
      const known = readPrices(home);
      const rows = (["tao", "alpha"] as const).flatMap((each) => {
        const entered = known[each];
        return entered === undefined ? [] : `${priceText(each, entered, now)}.`;
      });
      const text =
        rows.length === 0 ? "No price was entered: earnings are shown in their own units." : rows.join("\n");
      say(words.json === true ? JSON.stringify(known) : text);
    });
}
