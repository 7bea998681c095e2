import { join } from "node:path";
import type { HandedOver, KeyAtRest } from "../../src-protocol/keychain.ts";
import { FormerKeys } from "../earnings/former-keys.ts";
import type { DaemonOptions } from "../options.ts";
import { readHandedOver } from "../wallet/handed-over.ts";
import { KeptKeys } from "../wallet/kept-keys.ts";
import { OwnKey } from "../wallet/own-key.ts";
import { passwordSource } from "../wallet/password-source.ts";
import { SignatureLog } from "../wallet/signature-log.ts";
import { loggedHotkey, openFormerHotkey } from "../wallet/wallet.ts";
import type { PasswordSource } from "../wallet/wallet.ts";
import type { SessionPorts } from "../networks/network-session.ts";
import type { CleanUp } from "./clean-up.ts";
import type { Ground } from "./ground.ts";

/** The key that works here, and those that worked here before. */
export interface Keys {
  readonly own: OwnKey;
  /** How its file lay there at the start. */
  readonly atRest: KeyAtRest;
  readonly formerKeys: FormerKeys;
  readonly former: SessionPorts["former"];
}

export async function openKeys(
  { home, log }: Ground,
  options: DaemonOptions,
  cleanUp: CleanUp,
): Promise<Keys> {
  const signatures = new SignatureLog(join(home.path, "signatures.jsonl"), Date.now);
  const kept = new KeptKeys(home.path, await handedOver(options));
  const own = await OwnKey.open(home.path, signatures, passwordOf(options), kept, options.named);
  const atRest = await own.atRest();
  log.info(`The hotkey: ${atRest.text}`);
  const formerKeys = new FormerKeys(join(home.path, "former-keys.json"), Date.now);
  cleanUp.add(() => formerKeys.save());
  for (const warning of own.warnings) log.warn(warning);
  const former: Keys["former"] = {
    keys: formerKeys,
    get path() {
      return own.path;
    },
    async open(path, address) {
      const hotkey = await openFormerHotkey(path, address, kept);
      return hotkey === null ? null : loggedHotkey(hotkey, signatures);
    },
  };
  return { own, atRest, formerKeys, former };
}

/** SECURITY: read here and handed on; options are written to the log. */
function handedOver({ keychainOnStdin }: DaemonOptions): Promise<HandedOver> {
  return keychainOnStdin
    ? readHandedOver(process.stdin)
    : Promise.resolve({ keychain: "none", why: "no-app" });
}

function passwordOf({ walletPasswordFile }: DaemonOptions): PasswordSource {
  const terminal = { input: process.stdin, output: process.stdout };
  return passwordSource({ file: walletPasswordFile, env: process.env, terminal });
}
