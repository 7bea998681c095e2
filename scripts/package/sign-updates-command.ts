import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { checkUpdate, signedText, updateInfo } from "../../src-main/update-signature.ts";

/**
 * `npm run sign-updates -- [FOLDER]`: puts the release's signature into every `latest*.yml` that
 * electron-builder has written. The key is in TAH_UPDATE_PRIVATE_KEY (ed25519, PEM); the app that is
 * built with its public half takes nothing else.
 */
const root = join(import.meta.dirname, "..", "..");

try {
  main();
} catch (error) {
  process.stderr.write(`${failureBody(error).message}\n`);
  process.exitCode = 1;
}

function main(): void {
  const folder = resolve(process.argv[2] ?? join(root, "dist", "packages"));
  const pem = process.env["TAH_UPDATE_PRIVATE_KEY"];
  if (pem === undefined || pem === "")
    throw new Failure(
      "key-needed",
      "TAH_UPDATE_PRIVATE_KEY holds no key (ed25519, as PEM): openssl genpkey -algorithm ed25519 makes one.",
    );
  const key = createPrivateKey(pem);
  const files = globSync("latest*.yml", { cwd: folder });
  if (files.length === 0)
    throw new Failure(
      "nothing-to-sign",
      `There is no latest*.yml in ${folder}: package with a publish address first.`,
    );
  const publicKey = createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
  for (const name of files) {
    const path = join(folder, name);
    const text = readFileSync(path, "utf8").replace(/^tahSignature: .*\n?/gm, "");
    const info = updateInfo.parse(parseYaml(text));
    const tahSignature = sign(null, Buffer.from(signedText(info)), key).toString("base64");
    const verdict = checkUpdate({ ...info, tahSignature }, publicKey);
    if (verdict.kind === "refused") throw new Failure("not-signed", `${name}: ${verdict.why}`);
    writeFileSync(path, `${text.trimEnd()}\ntahSignature: ${tahSignature}\n`);
    process.stdout.write(`${name}: ${info.version} is signed, ${info.files.length} files\n`);
  }
}

/** By the reader that the app itself reads it with. */
function parseYaml(text: string): unknown {
  const fromUpdater = createRequire(createRequire(join(root, "package.json")).resolve("electron-updater"));
  return (fromUpdater("js-yaml") as { load(text: string): unknown }).load(text);
}
