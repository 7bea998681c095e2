import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { ensureRenderer } from "../renderer.ts";
import { nativeFiles, nativeLines, nativeProblems } from "./native-files.ts";
import { productVersion } from "./product-version.ts";
import { stage, stageFolder } from "./stage.ts";
import { parseTarget } from "./target.ts";

/**
 * `npm run stage -- --platform win32 --arch x64`: what an app of that platform ships beside its archive. Ends
 * with 1 when an executable file of it is of another system or processor.
 */
const root = join(import.meta.dirname, "..", "..");
const say = (text: string) => void process.stderr.write(`${text}\n`);
const HELP = `npm run stage -- [--platform linux|darwin|win32] [--arch x64|arm64] [--folder FOLDER]
                 [--node-archive FILE --node-sums SHASUMS256.txt] [--json]

Collects into dist/stage/SYSTEM-ARCH (or FOLDER) the daemon, tah and the Node that runs them. Works for
every platform from every platform: what is not installed here comes from npm by package-lock.json's digests.
Prints what the headers of its executable files say (ELF, PE, Mach-O), with --json as JSON.
`;

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${failureBody(error).message}\n`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      platform: { type: "string", default: process.platform },
      arch: { type: "string", default: process.arch },
      folder: { type: "string" },
      "node-archive": { type: "string" },
      "node-sums": { type: "string" },
      json: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const target = parseTarget(values.platform, values.arch);
  const { "node-archive": file, "node-sums": sums } = values;
  if ((file === undefined) !== (sums === undefined))
    throw new Failure(
      "bad-option",
      "--node-archive and --node-sums belong together: the archive is checked against the list.",
    );
  for (const path of [file, sums])
    if (path !== undefined && !existsSync(path)) throw new Failure("bad-option", `There is no file ${path}.`);
  const folder = values.folder ?? stageFolder(root, target);
  await ensureRenderer(root, say);
  const { packages, node } = await stage(root, {
    target,
    folder,
    version: productVersion(root),
    nodeArchive: file === undefined || sums === undefined ? null : { file, sums },
  });
  const native = nativeFiles(folder);
  const problems = nativeProblems(native, target);
  const lines =
    values.json === true
      ? JSON.stringify({ target, folder, packages: packages.length, node, native, problems })
      : nativeLines(native, target).join("\n");
  process.stdout.write(`${lines}\n`);
  say(
    `${folder}: the daemon and tah with ${packages.length} packages and Node ${node.version} (${node.origin}).`,
  );
  for (const problem of problems) say(problem);
  return problems.length === 0 ? 0 : 1;
}
