import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { ensureRenderer } from "../renderer.ts";
import { contentsOf, contentsProblems, MIB, mib, readContentsList } from "./contents.ts";
import { buildDeb, debArch } from "./headless/deb.ts";
import { buildTarball } from "./headless/tarball.ts";
import { headlessTree } from "./headless/tree.ts";
import { missingModules } from "./missing-modules.ts";
import { productVersion } from "./product-version.ts";
import { stage, stageFolder } from "./stage.ts";
import { parseTarget, targetName } from "./target.ts";

/** `npm run package:headless`: daemon, dashboard and `tah` as a .deb and a .tar.gz for Linux. */
const root = join(import.meta.dirname, "..", "..");
const say = (text: string) => void process.stderr.write(`${text}\n`);
const HELP = `npm run package:headless -- [--arch x64|arm64] [--version N] [--output FOLDER] [--json]

Makes train-at-home_VERSION_ARCH.deb and train-at-home-VERSION-linux-ARCH.tar.gz in dist/packages, with
SHA256SUMS. The same sources give the same bytes.
  --only deb|tar.gz  one of the two
  --staged           with what is in dist/stage, without staging it again
`;
/** Of every file in it, unless SOURCE_DATE_EPOCH says another: the same bytes whenever it is built. */
const TIME_S = 1_767_225_600;

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${failureBody(error).message}\n`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      arch: { type: "string", default: process.arch },
      version: { type: "string" },
      output: { type: "string" },
      only: { type: "string" },
      staged: { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const target = parseTarget("linux", values.arch);
  const version = values.version ?? productVersion(root);
  if (!/^\d+\.\d+\.\d+(-[a-z0-9.]+)?$/.test(version))
    throw new Failure("bad-option", `"${version}" is no version: it is three numbers with dots, as 1.2.3.`);
  if (values.only !== undefined && values.only !== "deb" && values.only !== "tar.gz")
    throw new Failure("bad-option", "--only takes deb or tar.gz.");
  const output = resolve(values.output ?? join(root, "dist", "packages"));
  const time = new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? TIME_S) * 1000);
  const staged = stageFolder(root, target);
  await ensureRenderer(root, say);
  if (values.staged !== true || !existsSync(staged)) {
    say(`Collecting what ships for ${targetName(target)} …`);
    await stage(root, { target, folder: staged, version, nodeArchive: null });
  } else writeVersion(join(staged, "daemon", "package.json"), version);
  const list = readContentsList();
  const problems = [...contentsProblems(contentsOf(staged), target, list), ...missingModules(staged)];
  if (problems.length > 0)
    throw new Failure(
      "contents-differ",
      `What would ship is not as scripts/package/contents.json says:\n${problems.join("\n")}`,
    );

  mkdirSync(output, { recursive: true });
  const work = mkdtempSync(join(output, ".making-"));
  try {
    const deb = join(output, `train-at-home_${version}_${debArch(target)}.deb`);
    const archive = join(output, `train-at-home-${version}-${targetName(target)}.tar.gz`);
    const made: string[] = [];
    if (values.only !== "tar.gz") {
      say("Making the .deb …");
      const folder = join(work, "deb");
      headlessTree({ root, staged, folder: join(folder, "usr"), version, prefix: "/usr" });
      buildDeb({ root, target, version, folder, file: deb, time });
      made.push(deb);
    }
    if (values.only !== "deb") {
      say("Making the .tar.gz …");
      const folder = join(work, `train-at-home-${version}`);
      headlessTree({ root, staged, folder, version, prefix: "/usr/local" });
      cpSync(join(root, "assets", "linux", "INSTALL"), join(folder, "INSTALL"));
      buildTarball({ folder, file: archive, time });
      made.push(archive);
    }
    return report(made, {
      output,
      installed: contentsOf(staged).bytes,
      most: list.mostDownloadMiB,
      json: values.json === true,
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface Report {
  readonly output: string;
  readonly installed: number;
  readonly most: number;
  readonly json: boolean;
}

function report(made: readonly string[], { output, installed, most, json }: Report): number {
  const lines = made.map((path) => {
    const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
    return { file: path.slice(output.length + 1), bytes: statSync(path).size, sha256 };
  });
  writeFileSync(join(output, "SHA256SUMS"), lines.map(({ file, sha256 }) => `${sha256}  ${file}\n`).join(""));
  if (json) process.stdout.write(`${JSON.stringify({ installedBytes: installed, files: lines })}\n`);
  else
    for (const { file, bytes, sha256 } of lines)
      process.stdout.write(
        `${file}: ${mib(bytes)} MiB to download, ${mib(installed)} MiB installed\n  sha256 ${sha256}\n`,
      );
  const large = lines.filter(({ file, bytes }) => file.endsWith(".deb") && bytes > most * MIB);
  for (const { file, bytes } of large)
    process.stderr.write(
      `${file} is ${mib(bytes)} MiB, and ${most} MiB is the most (scripts/package/contents.json).\n`,
    );
  return large.length === 0 ? 0 : 1;
}

function writeVersion(path: string, version: string): void {
  const file = JSON.parse(readFileSync(path, "utf8")) as Record<string, string>;
  writeFileSync(path, `${JSON.stringify({ ...file, version }, null, 2)}\n`);
}
