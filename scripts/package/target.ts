import { Failure } from "../../src-protocol/failure.ts";

/** A system that the app is packaged for, in Node's words. */
export interface Target {
  readonly platform: "linux" | "darwin" | "win32";
  readonly arch: "x64" | "arm64";
}

export const TARGETS = [
  { platform: "linux", arch: "x64" },
  { platform: "linux", arch: "arm64" },
  { platform: "darwin", arch: "arm64" },
  { platform: "win32", arch: "x64" },
  { platform: "win32", arch: "arm64" },
] as const satisfies readonly Target[];

/** Where an app is asked for and there can be none, with the reason. */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  "darwin-x64":
    "onnxruntime-node 1.30.0 brings no library for Macs with an Intel processor, so nothing could compute there.",
};

export function targetName({ platform, arch }: Target): string {
  return `${platform}-${arch}`;
}

/** @throws Failure `bad-target` */
export function parseTarget(platform: string, arch: string): Target {
  const target = TARGETS.find((one) => one.platform === platform && one.arch === arch);
  if (target !== undefined) return target;
  const why = IMPOSSIBLE[`${platform}-${arch}`] ?? `It can be one of: ${TARGETS.map(targetName).join(", ")}.`;
  throw new Failure("bad-target", `There is no package for ${platform}-${arch}. ${why}`);
}

export function hostTarget(): Target {
  return parseTarget(process.platform, process.arch);
}
