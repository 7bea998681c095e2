import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../../src-protocol/failure.ts";
import type { Target } from "../target.ts";
import { isProgram, settle } from "./tree.ts";

export interface DebOptions {
  readonly root: string;
  readonly target: Target;
  readonly version: string;
  /** With the tree in `usr`; `DEBIAN` is made in it. */
  readonly folder: string;
  readonly file: string;
  readonly time: Date;
}

/** Of the libraries that Node, ONNX Runtime and the addons ask for (`objdump -T`). */
const DEPENDS = ["libc6 (>= 2.33)", "libstdc++6 (>= 7)", "libgcc-s1"];
/** A tenth larger than xz makes it, in a twentieth of the time; every dpkg with this glibc reads it. */
const LEVEL = 9;
const SCRIPTS = ["prerm", "postinst", "postrm"];

/** A real Debian package, with dpkg's own tool. */
export function buildDeb({ root, target, version, folder, file, time }: DebOptions): void {
  const control = join(folder, "DEBIAN");
  mkdirSync(control);
  for (const script of SCRIPTS) cpSync(join(root, "assets", "linux", script), join(control, script));
  const files = readdirSync(join(folder, "usr"), { recursive: true, encoding: "utf8" })
    .map((path) => `usr/${path}`)
    .filter((path) => lstatSync(join(folder, path)).isFile())
    .sort();
  const bytes = files.reduce((sum, path) => sum + lstatSync(join(folder, path)).size, 0);
  writeFileSync(
    join(control, "md5sums"),
    files
      .map(
        (path) =>
          `${createHash("md5")
            .update(readFileSync(join(folder, path)))
            .digest("hex")}  ${path}\n`,
      )
      .join(""),
  );
  writeFileSync(join(control, "control"), controlFile(target, version, Math.ceil(bytes / 1024)));
  settle(
    folder,
    time,
    (path) => isProgram(path.replace(/^usr\//, "")) || SCRIPTS.includes(path.replace(/^DEBIAN\//, "")),
  );
  try {
    execFileSync(
      "dpkg-deb",
      ["--root-owner-group", "-Zzstd", `-z${LEVEL}`, "--build", folder, `${file}.part`],
      {
        env: { ...process.env, SOURCE_DATE_EPOCH: String(time.getTime() / 1000) },
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new Failure(
      "deb-not-built",
      isMissing
        ? "dpkg-deb is not here: a .deb is made on Debian or Ubuntu, or with the package dpkg installed."
        : `dpkg-deb did not make the package: ${String((error as { stderr?: unknown }).stderr ?? error).trim()}`,
    );
  }
  renameSync(`${file}.part`, file);
}

export function debArch({ arch }: Target): string {
  return arch === "x64" ? "amd64" : "arm64";
}

function controlFile(target: Target, version: string, kib: number): string {
  return `Package: train-at-home
Version: ${version}
Architecture: ${debArch(target)}
Maintainer: Train at Home contributors <contributors@train-at-home.invalid>
Installed-Size: ${kib}
Depends: ${DEPENDS.join(", ")}
Recommends: xdg-utils
Section: science
Priority: optional
Description: trains large models with your computer's spare time
 Your computer trains a slice of a large model together with other homes,
 when you allow it, and earns by the work that its neighbours sign for.
 This package brings the daemon, its dashboard for the browser and the
 command tah.
 .
 Nothing is downloaded or computed before you have said yes to it: open the
 dashboard from the menu, or type tah dashboard.
`;
}
