import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ss58Address } from "../../src-protocol/keys.ts";
import type { Ss58Address } from "../../src-protocol/keys.ts";
import { writePrivateFile } from "../data-folder/private-file.ts";

const agreed = z.strictObject({ payoutColdkey: ss58Address });
const FILE_NAME = "payout.json";

/** The address that this computer's owner had a network pay to (`tah payout`); null: none. */
export function agreedPayout(folder: string): Ss58Address | null {
  try {
    return agreed.parse(JSON.parse(readFileSync(join(folder, FILE_NAME), "utf8"))).payoutColdkey;
  } catch {
    return null;
  }
}

export function keepAgreedPayout(folder: string, payoutColdkey: Ss58Address): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writePrivateFile(join(folder, FILE_NAME), JSON.stringify({ payoutColdkey }));
}
