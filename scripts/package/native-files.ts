import { closeSync, openSync, readSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { targetName, type Target } from "./target.ts";

/** What an executable file says of itself in its header. */
export interface NativeHeader {
  readonly format: "ELF" | "PE" | "Mach-O";
  /** More than one in a universal file. */
  readonly machines: readonly string[];
}

const HEADER_BYTES = 4096;
const ELF_MACHINES: Readonly<Record<number, string>> = {
  0x3e: "x64",
  0xb7: "arm64",
  0x28: "arm",
  0x03: "ia32",
};
const PE_MACHINES: Readonly<Record<number, string>> = {
  0x8664: "x64",
  0xaa64: "arm64",
  0x1c4: "arm",
  0x14c: "ia32",
};
const MACH_MACHINES: Readonly<Record<number, string>> = { 0x01000007: "x64", 0x0100000c: "arm64" };
const MOST_MACHINES = 8;

/** Null: not an executable, library or addon of a system we know. Reads foreign bytes: never beyond their end. */
export function nativeHeader(bytes: Uint8Array): NativeHeader | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < 64) return null;
  const magic = view.getUint32(0);
  if (magic === 0x7f454c46)
    return { format: "ELF", machines: [name(ELF_MACHINES, view.getUint16(18, true))] };
  if (magic === 0xcffaedfe)
    return { format: "Mach-O", machines: [name(MACH_MACHINES, view.getUint32(4, true))] };
  if (magic === 0xcafebabe) return universal(view);
  if (view.getUint16(0) !== 0x4d5a) return null;
  const at = view.getUint32(60, true);
  if (at + 6 > view.byteLength || view.getUint32(at) !== 0x50450000) return null;
  return { format: "PE", machines: [name(PE_MACHINES, view.getUint16(at + 4, true))] };
}

/** A Java class begins with the same four bytes; its version stands where the count would be. */
function universal(view: DataView): NativeHeader | null {
  const count = view.getUint32(4);
  if (count === 0 || count > MOST_MACHINES || 8 + count * 20 > view.byteLength) return null;
  const machines = Array.from({ length: count }, (_, index) =>
    name(MACH_MACHINES, view.getUint32(8 + index * 20)),
  );
  return { format: "Mach-O", machines };
}

function name(table: Readonly<Record<number, string>>, code: number): string {
  return table[code] ?? `machine 0x${code.toString(16)}`;
}

export interface NativeFile extends NativeHeader {
  /** Below the folder, with `/`. */
  readonly path: string;
}

/** By their first bytes, whatever they are called. */
export function nativeFiles(folder: string): NativeFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .flatMap((path) => {
      const header = nativeHeader(firstBytes(path));
      return header === null ? [] : [{ path: relative(folder, path).split(sep).join("/"), ...header }];
    })
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

const FORMATS = { linux: "ELF", darwin: "Mach-O", win32: "PE" } as const satisfies Record<
  Target["platform"],
  NativeHeader["format"]
>;

/** What was looked at, for whoever reads it: a line that says what was asked for, then a file a line. */
export function nativeLines(files: readonly NativeFile[], target: Target): string[] {
  const wrong = files.filter((file) => !runsOn(file, target)).length;
  const asked = `${FORMATS[target.platform]} for ${target.arch}`;
  return [
    `${files.length} headers of executables, libraries and addons read: ${wrong === 0 ? `all are ${asked}` : `${wrong} of them not ${asked}`}`,
    ...files.map(
      (file) =>
        `  ${runsOn(file, target) ? "ok   " : "WRONG"} ${file.format.padEnd(6)} ${file.machines.join("+").padEnd(9)} ${file.path}`,
    ),
  ];
}

function runsOn({ format, machines }: NativeHeader, { platform, arch }: Target): boolean {
  return format === FORMATS[platform] && machines.includes(arch);
}

/** Which of them could not run on the target, a sentence each. */
export function nativeProblems(files: readonly NativeFile[], target: Target): string[] {
  return files
    .filter((file) => !runsOn(file, target))
    .map(
      ({ path, format, machines }) =>
        `${path} is ${format} for ${machines.join(" and ")}: it cannot run on ${targetName(target)}.`,
    );
}

function firstBytes(path: string): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const file = openSync(path, "r");
  try {
    return bytes.subarray(0, readSync(file, bytes, 0, HEADER_BYTES, 0));
  } finally {
    closeSync(file);
  }
}
