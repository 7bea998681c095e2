import { Failure } from "../../src-protocol/failure.ts";

/**
 * Reads `length` bytes at `offset` of the file at `location`, a path of plain names joined by "/"
 * inside the model's own folder. The size is checked against the tensor's shape before it is asked
 * for. Throws a Failure when there is no such part.
 */
export type ReadExternal = (location: string, offset: number, length: number) => Uint8Array;

/** Names that Windows gives to devices, with or without an extension. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
const MAX_LENGTH = 1024;

/**
 * The names that lead from the model's folder to an external data file.
 *
 * SECURITY: the path comes from a file that a stranger may have made. It can only name what lies
 * inside the folder: no absolute path, no "..", no drive letter or alternate stream (":"), no
 * Windows separator, no control character, on every platform alike. That no link leads out is for
 * the reader to check (`isInside`), because only it knows the disk.
 *
 * @throws Failure `external-data-path`
 */
export function externalPath(location: string): string[] {
  const names = location.split("/");
  if (location.length > MAX_LENGTH || !names.every(isPlainName)) {
    throw new Failure(
      "external-data-path",
      `The model names ${JSON.stringify(location.slice(0, 200))} as the place of its data, ` +
        "which is not a file inside the model's own folder. It is not read: export the model again, with its data beside it.",
    );
  }
  return names;
}

function isPlainName(name: string): boolean {
  return (
    name !== "" &&
    name !== "." &&
    name !== ".." &&
    // oxlint-disable-next-line no-control-regex -- control characters are what is refused
    !/[\\:*?"<>|\u0000-\u001f\u007f]/.test(name) &&
    !/[. ]$/.test(name) &&
    !DEVICE.test(name)
  );
}

/**
 * Whether the real path of a file (all links followed) lies inside the real path of a folder.
 * `separator` is the platform's.
 */
export function isInside(folder: string, file: string, separator: "/" | "\\"): boolean {
  const base = folder.endsWith(separator) ? folder : folder + separator;
  return file.startsWith(base) && file.length > base.length;
}
