import {
  chmodSync,
  cpSync,
  globSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { SHELLS } from "../../../src-cli/completions.ts";

export interface TreeOptions {
  readonly root: string;
  /** A staged folder (`stage`). */
  readonly staged: string;
  /** What is filled, as it would lie below `/usr`; it is emptied first. */
  readonly folder: string;
  readonly version: string;
  /** Where it will lie on the computer: `/usr`, or `/usr/local`. */
  readonly prefix: string;
}

const PROGRAMS = /^(bin\/tah|lib\/train-at-home\/node\/node)$/;

/** The headless product below a prefix: the same files in the .deb and in the .tar.gz. */
export function headlessTree({ root, staged, folder, version, prefix }: TreeOptions): void {
  rmSync(folder, { recursive: true, force: true });
  const linux = join(root, "assets", "linux");
  const put = (path: string, text: string | Uint8Array): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  cpSync(join(staged, "daemon"), join(folder, "lib", "train-at-home", "daemon"), { recursive: true });
  cpSync(join(staged, "node"), join(folder, "lib", "train-at-home", "node"), { recursive: true });
  put("bin/tah", readFileSync(join(linux, "tah")));
  put("share/applications/train-at-home.desktop", readFileSync(join(linux, "train-at-home.desktop")));
  put(
    "lib/systemd/user/train-at-home.service",
    readFileSync(join(linux, "train-at-home.service"), "utf8").replaceAll("@PREFIX@", prefix),
  );
  for (const icon of globSync("*.png", { cwd: join(root, "assets", "icons") }))
    put(
      `share/icons/hicolor/${icon.slice(0, -".png".length)}/apps/train-at-home.png`,
      readFileSync(join(root, "assets", "icons", icon)),
    );
  put("share/icons/hicolor/scalable/apps/train-at-home.svg", readFileSync(join(root, "assets", "icon.svg")));
  put(
    "share/man/man1/tah.1.gz",
    gzipSync(tah(root, ["manual"]).replace(/Train at Home [\d.]+/, `Train at Home ${version}`), { level: 9 }),
  );
  const places = {
    bash: "share/bash-completion/completions/tah",
    zsh: "share/zsh/vendor-completions/_tah",
    fish: "share/fish/vendor_completions.d/tah.fish",
  };
  for (const shell of SHELLS) put(places[shell], tah(root, ["completions", shell]));
  put("share/doc/train-at-home/copyright", copyright(readFileSync(join(staged, "LICENSES.txt"), "utf8")));
  put("share/doc/train-at-home/install.md", readFileSync(join(root, "docs", "install.md")));
}

/** Nothing of the machine that builds it: the same rights and one time everywhere. */
export function settle(folder: string, time: Date, isProgram: (path: string) => boolean): void {
  for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const at = join(folder, path);
    if (lstatSync(at).isDirectory()) chmodSync(at, 0o755);
    else chmodSync(at, isProgram(path) ? 0o755 : 0o644);
    utimesSync(at, time, time);
  }
  chmodSync(folder, 0o755);
  utimesSync(folder, time, time);
}

export function isProgram(path: string): boolean {
  return PROGRAMS.test(path);
}

/** Of what the checkout's `tah` says of itself; it is the one that ships. */
function tah(root: string, words: readonly string[]): string {
  return execFileSync(process.execPath, [join(root, "src-cli", "tah.ts"), ...words], { encoding: "utf8" });
}

function copyright(licences: string): string {
  return `Train at Home, and what it is made of: the licences of every part that this package brings.

${licences}`;
}
